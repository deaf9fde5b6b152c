import type { SchemaMigration } from '@sparkle/contracts';

/**
 * What the index report found on realistic data (`npm run index-report`): no query of the application reads a
 * large table whole, and no index is kept that none of them uses.
 */
export const indexCoverage: SchemaMigration = {
  name: '0005-index-coverage',
  statements: [
    // A page of documents, newest first, begins where the page before ended. Callers know milliseconds, so that is
    // what is stored: order and edge of a page are then plain columns, which an index and the policies can serve.
    'ALTER TABLE documents ALTER COLUMN created_at TYPE timestamptz(3)',
    'DROP INDEX documents_created',
    'CREATE INDEX documents_created ON documents (tenant_id, created_at DESC, id DESC)',

    // What is published: every read of a tenant's graph asks for it, and needs nothing but the ids.
    "CREATE INDEX documents_ready ON documents (tenant_id, id) WHERE state = 'ready'",

    // Deleting a node deletes its learners' states; the primary key has the user before the node.
    'CREATE INDEX user_node_status_node ON user_node_status (tenant_id, node_id)',

    // Learning paths walk backwards along a few of a tenant's edges.
    `CREATE INDEX knowledge_edges_prerequisite ON knowledge_edges (tenant_id, target_id)
      WHERE type = 'prerequisite_of'`,

    // Recall compares the messages of one conversation, all of them: no query asks for the nearest of all.
    'DROP INDEX messages_embedding',

    // The part of a name that entity search looks for; see 0003. The pattern is always escaped by the caller, so
    // the one error this function knows, a pattern that ends within an escape, cannot occur.
    `DO $$ BEGIN
  ALTER FUNCTION texticlike(text, text) LEAKPROOF;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE 'a superuser has to run: ALTER FUNCTION texticlike(text, text) LEAKPROOF';
END $$`,
  ],
};
