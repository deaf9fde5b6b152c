import type { SchemaMigration } from '@sparkle/contracts';
import { communitiesMigration } from './communities.migration.js';
import { embeddingStrengthMigration } from './embedding-strength.store.js';
import { entityResolutionMigration } from './entity-resolution.migration.js';
import { graphSearchMigration } from './graph-search.migration.js';

/**
 * What this library adds to the schema of `@sparkle/database`. Every alias row belongs to one document: when
 * two documents state the same alias, deleting one must leave the other's.
 */
export const graphragMigrations: readonly SchemaMigration[] = [
  {
    name: '0100-node-aliases-per-document',
    statements: [
      'ALTER TABLE node_aliases DROP CONSTRAINT node_aliases_pkey',
      'ALTER TABLE node_aliases ALTER COLUMN document_id SET NOT NULL',
      'ALTER TABLE node_aliases ADD PRIMARY KEY (tenant_id, alias_key, node_id, document_id)',
      'CREATE INDEX node_aliases_document ON node_aliases (tenant_id, document_id)',
    ],
  },
  embeddingStrengthMigration,
  {
    // Files whose text is yet to be read, documents that replace others, and what an ingestion cost. A costly
    // extractor's findings stay with their passage, so that no crash and no new version pays for them again.
    name: '0110-document-formats',
    statements: [
      'ALTER TABLE documents DROP CONSTRAINT documents_format_check',
      `ALTER TABLE documents ADD CONSTRAINT documents_format_check
        CHECK (format IN ('markdown', 'text', 'html', 'pdf'))`,
      `ALTER TABLE documents ADD COLUMN source bytea, ADD COLUMN replaces uuid[] NOT NULL DEFAULT '{}'`,
      `CREATE INDEX documents_replaces ON documents USING gin (replaces) WHERE replaces <> '{}'`,
      // Serves the quota: what a tenant keeps is counted without reading the documents.
      'CREATE INDEX documents_usage ON documents (tenant_id) INCLUDE (id, byte_size)',
      `ALTER TABLE chunks ADD COLUMN page integer, ADD COLUMN extraction jsonb, ADD COLUMN extracted_by text`,
      `ALTER TABLE jobs ADD COLUMN cost jsonb NOT NULL DEFAULT '{}'`,
    ],
  },
  entityResolutionMigration,
  communitiesMigration,
  graphSearchMigration,
];
