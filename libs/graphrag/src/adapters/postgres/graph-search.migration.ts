import type { SchemaMigration } from '@sparkle/contracts';
import { enableTenantIsolation } from '@sparkle/database';

const words = "array_remove(string_to_array(terms, ' '), '')";

/**
 * Columns made from `terms`, which holds analysed search terms separated by spaces, so that BM25 is computed in the
 * database: the terms that occur, how often those do that occur more than once, and how many there are.
 * `array_to_tsvector` takes terms as they are; a text search parser would split some of them.
 */
const SEARCH_COLUMNS = `
  ADD COLUMN fts tsvector GENERATED ALWAYS AS (array_to_tsvector(${words})) STORED,
  ADD COLUMN repeated jsonb GENERATED ALWAYS AS (
    CASE WHEN cardinality(${words}) > length(array_to_tsvector(${words})) THEN repeated_terms(terms) END) STORED,
  ADD COLUMN term_count integer GENERATED ALWAYS AS (
    CASE WHEN terms IS NOT NULL THEN least(65535, cardinality(${words})) END) STORED`;

/**
 * What the SQL reader of a graph searches. Terms of statements and of nodes' names are made by this library from
 * rows that several writers change: such a change sets them to null here, in triggers, and they are made anew when
 * a document is published, or before the next question.
 */
export const graphSearchMigration: SchemaMigration = {
  name: '0140-graph-search',
  statements: [
    `CREATE FUNCTION repeated_terms(terms text) RETURNS jsonb LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
      SELECT coalesce(jsonb_object_agg(term, least(255, count)), '{}'::jsonb) FROM (
        SELECT term, count(*) FROM unnest(${words}) AS term GROUP BY term HAVING count(*) > 1) AS t $$`,

    'ALTER TABLE chunks DROP COLUMN fts',
    `ALTER TABLE chunks ${SEARCH_COLUMNS}`,
    'CREATE INDEX chunks_fts ON chunks USING gin (fts)',

    'ALTER TABLE edge_evidence ADD COLUMN terms text',
    `ALTER TABLE edge_evidence ${SEARCH_COLUMNS}`,
    'CREATE INDEX edge_evidence_fts ON edge_evidence USING gin (fts)',
    'CREATE INDEX edge_evidence_without_terms ON edge_evidence (tenant_id, edge_id, chunk_id) WHERE terms IS NULL',

    `CREATE TABLE node_names (
      tenant_id text NOT NULL,
      node_id uuid NOT NULL,
      terms text,
      PRIMARY KEY (tenant_id, node_id),
      FOREIGN KEY (tenant_id, node_id) REFERENCES knowledge_nodes (tenant_id, id) ON DELETE CASCADE
    )`,
    `ALTER TABLE node_names ${SEARCH_COLUMNS}`,
    'CREATE INDEX node_names_fts ON node_names USING gin (fts)',
    'CREATE INDEX node_names_without_terms ON node_names (tenant_id, node_id) WHERE terms IS NULL',
    ...enableTenantIsolation('node_names'),
    'INSERT INTO node_names (tenant_id, node_id) SELECT tenant_id, id FROM knowledge_nodes',

    'ALTER TABLE documents ADD COLUMN title_key text',
    'CREATE INDEX documents_title_key ON documents (tenant_id, title_key)',
    `CREATE INDEX documents_without_title_key ON documents (tenant_id, id) WHERE title_key IS NULL AND state = 'ready'`,
    `CREATE INDEX documents_unpublished ON documents (tenant_id, id) WHERE state <> 'ready'`,

    `CREATE FUNCTION add_node_names() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO node_names (tenant_id, node_id) SELECT tenant_id, id FROM changed ON CONFLICT DO NOTHING;
      RETURN NULL;
    END $$`,
    `CREATE TRIGGER add_node_names AFTER INSERT ON knowledge_nodes REFERENCING NEW TABLE AS changed
      FOR EACH STATEMENT EXECUTE FUNCTION add_node_names()`,

    // Rows that already lack terms are set to null again: whoever is about to fill them in has read the old name.
    `CREATE FUNCTION forget_terms_of_node() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      UPDATE node_names SET terms = NULL WHERE tenant_id = NEW.tenant_id AND node_id = NEW.id;
      UPDATE edge_evidence v SET terms = NULL FROM knowledge_edges e
      WHERE e.tenant_id = NEW.tenant_id AND (e.source_id = NEW.id OR e.target_id = NEW.id)
        AND v.tenant_id = e.tenant_id AND v.edge_id = e.id;
      RETURN NULL;
    END $$`,
    `CREATE TRIGGER forget_terms AFTER UPDATE OF name ON knowledge_nodes FOR EACH ROW
      WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION forget_terms_of_node()`,

    `CREATE FUNCTION forget_terms_of_edge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      UPDATE edge_evidence SET terms = NULL WHERE tenant_id = NEW.tenant_id AND edge_id = NEW.id;
      RETURN NULL;
    END $$`,
    `CREATE TRIGGER forget_terms AFTER UPDATE OF source_id, target_id, type ON knowledge_edges FOR EACH ROW
      WHEN ((OLD.source_id, OLD.target_id, OLD.type) IS DISTINCT FROM (NEW.source_id, NEW.target_id, NEW.type))
      EXECUTE FUNCTION forget_terms_of_edge()`,

    `CREATE FUNCTION forget_own_terms() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      NEW.terms := NULL;
      RETURN NEW;
    END $$`,
    `CREATE TRIGGER forget_terms BEFORE UPDATE OF edge_id, statement ON edge_evidence FOR EACH ROW
      WHEN ((OLD.edge_id, OLD.statement) IS DISTINCT FROM (NEW.edge_id, NEW.statement))
      EXECUTE FUNCTION forget_own_terms()`,

    `CREATE FUNCTION forget_terms_of_aliases() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      UPDATE node_names n SET terms = NULL
      FROM (SELECT DISTINCT tenant_id, node_id FROM changed) c
      WHERE n.tenant_id = c.tenant_id AND n.node_id = c.node_id;
      RETURN NULL;
    END $$`,
    ...['INSERT', 'UPDATE', 'DELETE'].flatMap((event) =>
      (event === 'INSERT' ? ['NEW'] : event === 'DELETE' ? ['OLD'] : ['OLD', 'NEW']).map(
        (rows) => `CREATE TRIGGER forget_terms_${event.toLowerCase()}_${rows.toLowerCase()} AFTER ${event}
          ON node_aliases REFERENCING ${rows} TABLE AS changed
          FOR EACH STATEMENT EXECUTE FUNCTION forget_terms_of_aliases()`,
      ),
    ),

    // Aliases count from the moment the document that states them is published, and until it is not.
    `CREATE FUNCTION forget_terms_of_document() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      UPDATE node_names n SET terms = NULL
      FROM (SELECT DISTINCT node_id FROM node_aliases
            WHERE tenant_id = NEW.tenant_id AND document_id = NEW.id) a
      WHERE n.tenant_id = NEW.tenant_id AND n.node_id = a.node_id;
      RETURN NULL;
    END $$`,
    `CREATE TRIGGER forget_terms AFTER UPDATE OF state ON documents FOR EACH ROW
      WHEN ((OLD.state = 'ready') IS DISTINCT FROM (NEW.state = 'ready'))
      EXECUTE FUNCTION forget_terms_of_document()`,
    `CREATE FUNCTION forget_title_key() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      NEW.title_key := NULL;
      RETURN NEW;
    END $$`,
    `CREATE TRIGGER forget_title_key BEFORE UPDATE OF title ON documents FOR EACH ROW
      WHEN (OLD.title IS DISTINCT FROM NEW.title) EXECUTE FUNCTION forget_title_key()`,
  ],
};
