import type { SchemaMigration } from '@sparkle/contracts';
import { enableTenantIsolation } from '@sparkle/database';

const TABLES = [
  'entity_resolutions',
  'entity_assignments',
  'tracked_entities',
  'origin_mentions',
  'origin_aliases',
  'origin_evidence',
];

/**
 * Decisions about which names are one entity, and what they are decided about. `entity_assignments` are the
 * decisions in force; for the nodes they speak of (`tracked_entities`) the tables `origin_*` hold what ingestion
 * found, and `node_mentions`, `node_aliases`, `knowledge_edges` and `edge_evidence` what the decisions make of
 * it. `embedding_source` is a digest of what a node's embedding was made from. A change of kind `changed` is a published document whose part of the graph was rewritten.
 */
export const entityResolutionMigration: SchemaMigration = {
  name: '0120-entity-resolution-log',
  statements: [
    `CREATE TABLE entity_resolutions (
      tenant_id text NOT NULL REFERENCES tenants(id) ON DELETE CASCADE,
      id uuid NOT NULL,
      number bigint NOT NULL,
      kind text NOT NULL CHECK (kind IN ('merge', 'split', 'undo')),
      actor text NOT NULL,
      reason text NOT NULL,
      source_ids uuid[] NOT NULL,
      target_id uuid NOT NULL,
      target jsonb NOT NULL,
      moved jsonb NOT NULL DEFAULT '{}',
      undoes uuid,
      undone_by uuid,
      created_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (tenant_id, id)
    )`,
    'CREATE UNIQUE INDEX entity_resolutions_number ON entity_resolutions (tenant_id, number)',
    'CREATE INDEX entity_resolutions_target ON entity_resolutions (tenant_id, target_id)',
    `CREATE TABLE entity_assignments (
      tenant_id text NOT NULL,
      resolution_id uuid NOT NULL,
      node_id uuid NOT NULL,
      document_id uuid,
      target_id uuid NOT NULL,
      because_of uuid,
      active boolean NOT NULL DEFAULT true,
      FOREIGN KEY (tenant_id, resolution_id) REFERENCES entity_resolutions (tenant_id, id) ON DELETE CASCADE
    )`,
    `CREATE UNIQUE INDEX entity_assignments_once ON entity_assignments
      (tenant_id, resolution_id, node_id, document_id, because_of) NULLS NOT DISTINCT`,
    'CREATE INDEX entity_assignments_node ON entity_assignments (tenant_id, node_id)',
    'CREATE INDEX entity_assignments_target ON entity_assignments (tenant_id, target_id)',
    'CREATE INDEX entity_assignments_because ON entity_assignments (tenant_id, because_of)',
    `CREATE TABLE tracked_entities (
      tenant_id text NOT NULL REFERENCES tenants(id) ON DELETE CASCADE,
      node_id uuid NOT NULL,
      PRIMARY KEY (tenant_id, node_id)
    )`,
    `CREATE TABLE origin_mentions (
      tenant_id text NOT NULL,
      node_id uuid NOT NULL,
      chunk_id uuid NOT NULL,
      document_id uuid NOT NULL,
      count integer NOT NULL,
      PRIMARY KEY (tenant_id, node_id, chunk_id),
      FOREIGN KEY (tenant_id, chunk_id) REFERENCES chunks (tenant_id, id) ON DELETE CASCADE
    )`,
    'CREATE INDEX origin_mentions_chunk ON origin_mentions (tenant_id, chunk_id)',
    'CREATE INDEX origin_mentions_document ON origin_mentions (tenant_id, document_id)',
    `CREATE TABLE origin_aliases (
      tenant_id text NOT NULL,
      node_id uuid NOT NULL,
      alias_key text NOT NULL,
      alias text NOT NULL,
      document_id uuid NOT NULL,
      PRIMARY KEY (tenant_id, alias_key, node_id, document_id),
      FOREIGN KEY (tenant_id, document_id) REFERENCES documents (tenant_id, id) ON DELETE CASCADE
    )`,
    'CREATE INDEX origin_aliases_node ON origin_aliases (tenant_id, node_id)',
    'CREATE INDEX origin_aliases_document ON origin_aliases (tenant_id, document_id)',
    `CREATE TABLE origin_evidence (
      tenant_id text NOT NULL,
      source_id uuid NOT NULL,
      target_id uuid NOT NULL,
      type text NOT NULL,
      chunk_id uuid NOT NULL,
      document_id uuid NOT NULL,
      statement text NOT NULL,
      confidence real NOT NULL,
      attributes jsonb NOT NULL DEFAULT '{}',
      PRIMARY KEY (tenant_id, source_id, target_id, type, chunk_id),
      FOREIGN KEY (tenant_id, chunk_id) REFERENCES chunks (tenant_id, id) ON DELETE CASCADE
    )`,
    'CREATE INDEX origin_evidence_target ON origin_evidence (tenant_id, target_id)',
    'CREATE INDEX origin_evidence_chunk ON origin_evidence (tenant_id, chunk_id)',
    'CREATE INDEX origin_evidence_document ON origin_evidence (tenant_id, document_id)',
    ...TABLES.flatMap((table) => enableTenantIsolation(table)),
    'ALTER TABLE knowledge_nodes ADD COLUMN embedding_source text',
    'ALTER TABLE graph_changes DROP CONSTRAINT graph_changes_kind_check',
    `ALTER TABLE graph_changes ADD CONSTRAINT graph_changes_kind_check
      CHECK (kind IN ('added', 'removed', 'changed'))`,
  ],
};
