import type { SchemaMigration } from '@sparkle/contracts';

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
];
