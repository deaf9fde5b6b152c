import { Column, Entity, JoinColumn, ManyToOne, OneToMany, PrimaryColumn, type Relation } from 'typeorm';

/** A text that was handed in to be ingested. */
@Entity('documents')
export class DocumentEntity {
  @PrimaryColumn({ type: 'text', name: 'tenant_id' })
  tenantId: string;

  @PrimaryColumn({ type: 'uuid' })
  id: string;

  @Column({ type: 'text' })
  title: string;

  @Column({ type: 'text' })
  format: string;

  @Column({ type: 'text' })
  content: string;

  @Column({ type: 'text', name: 'content_hash' })
  contentHash: string;

  @Column({ type: 'integer', name: 'byte_size' })
  byteSize: number;

  @Column({ type: 'text', default: 'queued' })
  state: string;

  @Column({ type: 'text', nullable: true })
  step: string | null;

  @Column({ type: 'jsonb', nullable: true })
  error: Record<string, unknown> | null;

  @Column({ type: 'integer', name: 'chunk_count', default: 0 })
  chunkCount: number;

  @Column({ type: 'integer', name: 'entity_count', default: 0 })
  entityCount: number;

  @Column({ type: 'integer', name: 'relation_count', default: 0 })
  relationCount: number;

  @Column({ type: 'jsonb', default: {} })
  cost: Record<string, unknown>;

  @Column({ type: 'jsonb', default: {} })
  attributes: Record<string, unknown>;

  @Column({ type: 'text', name: 'created_by' })
  createdBy: string;

  @Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @Column({ type: 'timestamptz', name: 'updated_at', default: () => 'now()' })
  updatedAt: Date;

  @OneToMany(
    () => ChunkEntity,
    (chunk) => chunk.document,
  )
  chunks: Relation<ChunkEntity[]>;
}

/** A passage of a document. Offsets count UTF-16 units of the document's content. */
@Entity('chunks')
export class ChunkEntity {
  @PrimaryColumn({ type: 'text', name: 'tenant_id' })
  tenantId: string;

  @PrimaryColumn({ type: 'uuid' })
  id: string;

  @Column({ type: 'uuid', name: 'document_id' })
  documentId: string;

  @Column({ type: 'integer' })
  ordinal: number;

  @Column({ type: 'text', array: true, default: [] })
  headings: string[];

  @Column({ type: 'text' })
  content: string;

  @Column({ type: 'integer', name: 'start_offset' })
  startOffset: number;

  @Column({ type: 'integer', name: 'end_offset' })
  endOffset: number;

  @Column({ type: 'integer', name: 'token_count' })
  tokenCount: number;

  @Column({ type: 'text', default: '' })
  terms: string;

  /** Full-text form of `terms`, kept by the server. */
  @Column({ type: 'tsvector', select: false, insert: false, update: false, nullable: true })
  fts: string | null;

  @Column({ type: 'vector', nullable: true, select: false })
  embedding: number[] | null;

  @ManyToOne(
    () => DocumentEntity,
    (document) => document.chunks,
    { onDelete: 'CASCADE' },
  )
  @JoinColumn([
    { name: 'tenant_id', referencedColumnName: 'tenantId' },
    { name: 'document_id', referencedColumnName: 'id' },
  ])
  document: Relation<DocumentEntity>;
}

/** Background work as its tenant sees it. */
@Entity('jobs')
export class JobEntity {
  @PrimaryColumn({ type: 'text', name: 'tenant_id' })
  tenantId: string;

  @PrimaryColumn({ type: 'uuid' })
  id: string;

  @Column({ type: 'text' })
  kind: string;

  @Column({ type: 'uuid', name: 'subject_id', nullable: true })
  subjectId: string | null;

  @Column({ type: 'text', default: 'queued' })
  state: string;

  @Column({ type: 'text', nullable: true })
  step: string | null;

  @Column({ type: 'real', default: 0 })
  progress: number;

  @Column({ type: 'integer', default: 0 })
  attempts: number;

  @Column({ type: 'jsonb', default: {} })
  payload: Record<string, unknown>;

  @Column({ type: 'jsonb', nullable: true })
  result: Record<string, unknown> | null;

  @Column({ type: 'jsonb', nullable: true })
  error: Record<string, unknown> | null;

  @Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @Column({ type: 'timestamptz', name: 'updated_at', default: () => 'now()' })
  updatedAt: Date;

  @Column({ type: 'timestamptz', name: 'finished_at', nullable: true })
  finishedAt: Date | null;
}
