import { Column, Entity, JoinColumn, ManyToOne, OneToMany, PrimaryColumn, type Relation } from 'typeorm';

/** An entity of a tenant's knowledge graph; `key` is its normalised name. */
@Entity('knowledge_nodes')
export class KnowledgeNodeEntity {
  @PrimaryColumn({ type: 'text', name: 'tenant_id' })
  tenantId: string;

  @PrimaryColumn({ type: 'uuid' })
  id: string;

  @Column({ type: 'text' })
  key: string;

  @Column({ type: 'text' })
  name: string;

  @Column({ type: 'text' })
  type: string;

  @Column({ type: 'text', nullable: true })
  description: string | null;

  @Column({ type: 'jsonb', default: {} })
  attributes: Record<string, unknown>;

  @Column({ type: 'vector', nullable: true, select: false })
  embedding: number[] | null;

  @Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @Column({ type: 'timestamptz', name: 'updated_at', default: () => 'now()' })
  updatedAt: Date;

  @OneToMany(
    () => KnowledgeEdgeEntity,
    (edge) => edge.source,
  )
  outgoing: Relation<KnowledgeEdgeEntity[]>;
}

/** Another name of a node. */
@Entity('node_aliases')
export class NodeAliasEntity {
  @PrimaryColumn({ type: 'text', name: 'tenant_id' })
  tenantId: string;

  @PrimaryColumn({ type: 'uuid', name: 'node_id' })
  nodeId: string;

  @PrimaryColumn({ type: 'text', name: 'alias_key' })
  aliasKey: string;

  @Column({ type: 'text' })
  alias: string;

  @Column({ type: 'uuid', name: 'document_id', nullable: true })
  documentId: string | null;
}

/** A typed relation between two nodes. */
@Entity('knowledge_edges')
export class KnowledgeEdgeEntity {
  @PrimaryColumn({ type: 'text', name: 'tenant_id' })
  tenantId: string;

  @PrimaryColumn({ type: 'uuid' })
  id: string;

  @Column({ type: 'uuid', name: 'source_id' })
  sourceId: string;

  @Column({ type: 'uuid', name: 'target_id' })
  targetId: string;

  @Column({ type: 'text' })
  type: string;

  @Column({ type: 'real', default: 1 })
  weight: number;

  @Column({ type: 'real', default: 1 })
  confidence: number;

  @Column({ type: 'jsonb', default: {} })
  attributes: Record<string, unknown>;

  @ManyToOne(
    () => KnowledgeNodeEntity,
    (node) => node.outgoing,
    { onDelete: 'CASCADE' },
  )
  @JoinColumn([
    { name: 'tenant_id', referencedColumnName: 'tenantId' },
    { name: 'source_id', referencedColumnName: 'id' },
  ])
  source: Relation<KnowledgeNodeEntity>;

  @ManyToOne(() => KnowledgeNodeEntity, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'tenant_id', referencedColumnName: 'tenantId' },
    { name: 'target_id', referencedColumnName: 'id' },
  ])
  target: Relation<KnowledgeNodeEntity>;
}

/** How often a chunk names a node. */
@Entity('node_mentions')
export class NodeMentionEntity {
  @PrimaryColumn({ type: 'text', name: 'tenant_id' })
  tenantId: string;

  @PrimaryColumn({ type: 'uuid', name: 'node_id' })
  nodeId: string;

  @PrimaryColumn({ type: 'uuid', name: 'chunk_id' })
  chunkId: string;

  @Column({ type: 'uuid', name: 'document_id' })
  documentId: string;

  @Column({ type: 'integer', default: 1 })
  count: number;
}

/** The statement of a chunk that supports an edge. */
@Entity('edge_evidence')
export class EdgeEvidenceEntity {
  @PrimaryColumn({ type: 'text', name: 'tenant_id' })
  tenantId: string;

  @PrimaryColumn({ type: 'uuid', name: 'edge_id' })
  edgeId: string;

  @PrimaryColumn({ type: 'uuid', name: 'chunk_id' })
  chunkId: string;

  @Column({ type: 'uuid', name: 'document_id' })
  documentId: string;

  @Column({ type: 'text' })
  statement: string;

  @Column({ type: 'real', default: 1 })
  confidence: number;
}

/** Change log of a tenant's graph; snapshots follow it by `version`. */
@Entity('graph_changes')
export class GraphChangeEntity {
  @PrimaryColumn({ type: 'text', name: 'tenant_id' })
  tenantId: string;

  /** A 64-bit number as text. */
  @PrimaryColumn({ type: 'bigint' })
  version: string;

  @Column({ type: 'uuid', name: 'document_id' })
  documentId: string;

  @Column({ type: 'text' })
  kind: string;

  @Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })
  createdAt: Date;
}
