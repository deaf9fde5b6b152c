import { Column, Entity, JoinColumn, ManyToOne, OneToMany, PrimaryColumn, type Relation } from 'typeorm';

/** A chat of one user. */
@Entity('conversations')
export class ConversationEntity {
  @PrimaryColumn({ type: 'text', name: 'tenant_id' })
  tenantId: string;

  @PrimaryColumn({ type: 'uuid' })
  id: string;

  @Column({ type: 'text', name: 'user_id' })
  userId: string;

  @Column({ type: 'text', nullable: true })
  title: string | null;

  @Column({ type: 'integer', name: 'message_count', default: 0 })
  messageCount: number;

  @Column({ type: 'integer', name: 'summarised_to', default: 0 })
  summarisedTo: number;

  @Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @Column({ type: 'timestamptz', name: 'updated_at', default: () => 'now()' })
  updatedAt: Date;

  @OneToMany(
    () => MessageEntity,
    (message) => message.conversation,
  )
  messages: Relation<MessageEntity[]>;
}

/** One turn of a conversation; `seq` counts from 1. */
@Entity('messages')
export class MessageEntity {
  @PrimaryColumn({ type: 'text', name: 'tenant_id' })
  tenantId: string;

  @PrimaryColumn({ type: 'uuid', name: 'conversation_id' })
  conversationId: string;

  @PrimaryColumn({ type: 'integer' })
  seq: number;

  @Column({ type: 'uuid' })
  id: string;

  @Column({ type: 'text' })
  role: string;

  @Column({ type: 'text' })
  content: string;

  @Column({ type: 'text', name: 'idempotency_key', nullable: true })
  idempotencyKey: string | null;

  @Column({ type: 'jsonb', default: {} })
  metadata: Record<string, unknown>;

  @Column({ type: 'integer', name: 'token_count', default: 0 })
  tokenCount: number;

  @Column({ type: 'vector', nullable: true, select: false })
  embedding: number[] | null;

  /** Stems and pairs of characters by which old messages are found; unknown for messages from before. */
  @Column({ type: 'tsvector', select: false, nullable: true })
  words: string | null;

  @Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @ManyToOne(
    () => ConversationEntity,
    (conversation) => conversation.messages,
    { onDelete: 'CASCADE' },
  )
  @JoinColumn([
    { name: 'tenant_id', referencedColumnName: 'tenantId' },
    { name: 'conversation_id', referencedColumnName: 'id' },
  ])
  conversation: Relation<ConversationEntity>;
}

/** What the messages from `fromSeq` to `toSeq` said. */
@Entity('conversation_summaries')
export class ConversationSummaryEntity {
  @PrimaryColumn({ type: 'text', name: 'tenant_id' })
  tenantId: string;

  @PrimaryColumn({ type: 'uuid', name: 'conversation_id' })
  conversationId: string;

  @Column({ type: 'integer', name: 'from_seq' })
  fromSeq: number;

  @PrimaryColumn({ type: 'integer', name: 'to_seq' })
  toSeq: number;

  @Column({ type: 'text' })
  content: string;

  @Column({ type: 'jsonb', default: [] })
  notes: unknown[];

  @Column({ type: 'text' })
  method: string;

  @Column({ type: 'integer', name: 'token_count', default: 0 })
  tokenCount: number;

  @Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })
  createdAt: Date;
}
