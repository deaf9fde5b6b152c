import type { SchemaMigration } from '@sparkle/contracts';

/** Tables whose rows belong to one tenant; each gets row-level security. */
export const TENANT_TABLES = [
  'users',
  'conversations',
  'messages',
  'conversation_summaries',
  'documents',
  'jobs',
  'chunks',
  'knowledge_nodes',
  'node_aliases',
  'knowledge_edges',
  'node_mentions',
  'edge_evidence',
  'graph_changes',
  'user_node_status',
  'study_records',
] as const;

/**
 * The product's tables. `dimensions` is the length of every stored embedding; it is fixed when the schema is
 * made, because changing it means embedding everything anew.
 */
export function initialSchema(dimensions: number): SchemaMigration {
  const vector = `vector(${dimensions})`;
  const hnsw = 'WITH (m = 16, ef_construction = 200)';
  return {
    name: '0001-initial-schema',
    statements: [
      'CREATE EXTENSION IF NOT EXISTS vector',
      'CREATE EXTENSION IF NOT EXISTS pg_trgm',

      `CREATE TABLE tenants (
        id text PRIMARY KEY,
        name text NOT NULL,
        status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
        plan jsonb,
        corpus_version bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now()
      )`,

      `CREATE TABLE users (
        tenant_id text NOT NULL REFERENCES tenants(id) ON DELETE CASCADE,
        id text NOT NULL,
        display_name text,
        status text NOT NULL DEFAULT 'active',
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, id)
      )`,
      'CREATE INDEX users_status_created_at ON users (status, created_at)',

      `CREATE TABLE conversations (
        tenant_id text NOT NULL REFERENCES tenants(id) ON DELETE CASCADE,
        id uuid NOT NULL,
        user_id text NOT NULL,
        title text,
        message_count integer NOT NULL DEFAULT 0,
        summarised_to integer NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, id)
      )`,
      'CREATE INDEX conversations_user ON conversations (tenant_id, user_id, updated_at DESC)',
      'CREATE INDEX conversations_warmup ON conversations (updated_at) WHERE message_count > 30 AND summarised_to = 0',

      `CREATE TABLE messages (
        tenant_id text NOT NULL,
        conversation_id uuid NOT NULL,
        seq integer NOT NULL,
        id uuid NOT NULL,
        role text NOT NULL CHECK (role IN ('user', 'assistant', 'tool')),
        content text NOT NULL,
        idempotency_key text,
        metadata jsonb NOT NULL DEFAULT '{}',
        token_count integer NOT NULL DEFAULT 0,
        embedding ${vector},
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, conversation_id, seq),
        FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations (tenant_id, id) ON DELETE CASCADE
      )`,
      `CREATE UNIQUE INDEX messages_idempotency ON messages (tenant_id, conversation_id, idempotency_key, role)
        WHERE idempotency_key IS NOT NULL`,
      `CREATE INDEX messages_embedding ON messages USING hnsw (embedding vector_cosine_ops) ${hnsw}`,

      `CREATE TABLE conversation_summaries (
        tenant_id text NOT NULL,
        conversation_id uuid NOT NULL,
        from_seq integer NOT NULL,
        to_seq integer NOT NULL,
        content text NOT NULL,
        notes jsonb NOT NULL DEFAULT '[]',
        method text NOT NULL,
        token_count integer NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, conversation_id, to_seq),
        FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations (tenant_id, id) ON DELETE CASCADE
      )`,

      `CREATE TABLE documents (
        tenant_id text NOT NULL REFERENCES tenants(id) ON DELETE CASCADE,
        id uuid NOT NULL,
        title text NOT NULL,
        format text NOT NULL CHECK (format IN ('markdown', 'text')),
        content text NOT NULL,
        content_hash text NOT NULL,
        byte_size integer NOT NULL,
        state text NOT NULL DEFAULT 'queued'
          CHECK (state IN ('queued', 'processing', 'ready', 'failed', 'deleting')),
        step text,
        error jsonb,
        chunk_count integer NOT NULL DEFAULT 0,
        entity_count integer NOT NULL DEFAULT 0,
        relation_count integer NOT NULL DEFAULT 0,
        cost jsonb NOT NULL DEFAULT '{}',
        attributes jsonb NOT NULL DEFAULT '{}',
        created_by text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, id)
      )`,
      'CREATE UNIQUE INDEX documents_content_hash ON documents (tenant_id, content_hash)',
      'CREATE INDEX documents_created ON documents (tenant_id, created_at DESC)',

      `CREATE TABLE jobs (
        tenant_id text NOT NULL REFERENCES tenants(id) ON DELETE CASCADE,
        id uuid NOT NULL,
        kind text NOT NULL,
        subject_id uuid,
        state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'completed', 'failed')),
        step text,
        progress real NOT NULL DEFAULT 0,
        attempts integer NOT NULL DEFAULT 0,
        payload jsonb NOT NULL DEFAULT '{}',
        result jsonb,
        error jsonb,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz,
        PRIMARY KEY (tenant_id, id)
      )`,
      `CREATE INDEX jobs_unfinished ON jobs (state, updated_at) WHERE state IN ('queued', 'running')`,
      'CREATE INDEX jobs_subject ON jobs (tenant_id, subject_id)',

      `CREATE TABLE chunks (
        tenant_id text NOT NULL,
        id uuid NOT NULL,
        document_id uuid NOT NULL,
        ordinal integer NOT NULL,
        headings text[] NOT NULL DEFAULT '{}',
        content text NOT NULL,
        start_offset integer NOT NULL,
        end_offset integer NOT NULL,
        token_count integer NOT NULL,
        terms text NOT NULL DEFAULT '',
        fts tsvector GENERATED ALWAYS AS (to_tsvector('simple', terms)) STORED,
        embedding ${vector},
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, document_id) REFERENCES documents (tenant_id, id) ON DELETE CASCADE
      )`,
      'CREATE UNIQUE INDEX chunks_document ON chunks (tenant_id, document_id, ordinal)',
      'CREATE INDEX chunks_fts ON chunks USING gin (fts)',
      `CREATE INDEX chunks_embedding ON chunks USING hnsw (embedding vector_cosine_ops) ${hnsw}`,

      `CREATE TABLE knowledge_nodes (
        tenant_id text NOT NULL REFERENCES tenants(id) ON DELETE CASCADE,
        id uuid NOT NULL,
        key text NOT NULL,
        name text NOT NULL,
        type text NOT NULL,
        description text,
        attributes jsonb NOT NULL DEFAULT '{}',
        embedding ${vector},
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, id)
      )`,
      'CREATE UNIQUE INDEX knowledge_nodes_key ON knowledge_nodes (tenant_id, key)',
      'CREATE INDEX knowledge_nodes_name_trgm ON knowledge_nodes USING gin (name gin_trgm_ops)',
      `CREATE INDEX knowledge_nodes_embedding ON knowledge_nodes USING hnsw (embedding vector_cosine_ops) ${hnsw}`,

      `CREATE TABLE node_aliases (
        tenant_id text NOT NULL,
        node_id uuid NOT NULL,
        alias_key text NOT NULL,
        alias text NOT NULL,
        document_id uuid,
        PRIMARY KEY (tenant_id, alias_key, node_id),
        FOREIGN KEY (tenant_id, node_id) REFERENCES knowledge_nodes (tenant_id, id) ON DELETE CASCADE
      )`,
      'CREATE INDEX node_aliases_node ON node_aliases (tenant_id, node_id)',
      'CREATE INDEX node_aliases_trgm ON node_aliases USING gin (alias gin_trgm_ops)',

      `CREATE TABLE knowledge_edges (
        tenant_id text NOT NULL,
        id uuid NOT NULL,
        source_id uuid NOT NULL,
        target_id uuid NOT NULL,
        type text NOT NULL,
        weight real NOT NULL DEFAULT 1,
        confidence real NOT NULL DEFAULT 1 CHECK (confidence BETWEEN 0 AND 1),
        attributes jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, source_id) REFERENCES knowledge_nodes (tenant_id, id) ON DELETE CASCADE,
        FOREIGN KEY (tenant_id, target_id) REFERENCES knowledge_nodes (tenant_id, id) ON DELETE CASCADE
      )`,
      'CREATE UNIQUE INDEX knowledge_edges_triple ON knowledge_edges (tenant_id, source_id, target_id, type)',
      'CREATE INDEX knowledge_edges_target ON knowledge_edges (tenant_id, target_id)',

      `CREATE TABLE node_mentions (
        tenant_id text NOT NULL,
        node_id uuid NOT NULL,
        chunk_id uuid NOT NULL,
        document_id uuid NOT NULL,
        count integer NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, node_id, chunk_id),
        FOREIGN KEY (tenant_id, node_id) REFERENCES knowledge_nodes (tenant_id, id) ON DELETE CASCADE,
        FOREIGN KEY (tenant_id, chunk_id) REFERENCES chunks (tenant_id, id) ON DELETE CASCADE
      )`,
      'CREATE INDEX node_mentions_chunk ON node_mentions (tenant_id, chunk_id)',
      'CREATE INDEX node_mentions_document ON node_mentions (tenant_id, document_id)',

      `CREATE TABLE edge_evidence (
        tenant_id text NOT NULL,
        edge_id uuid NOT NULL,
        chunk_id uuid NOT NULL,
        document_id uuid NOT NULL,
        statement text NOT NULL,
        confidence real NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, edge_id, chunk_id),
        FOREIGN KEY (tenant_id, edge_id) REFERENCES knowledge_edges (tenant_id, id) ON DELETE CASCADE,
        FOREIGN KEY (tenant_id, chunk_id) REFERENCES chunks (tenant_id, id) ON DELETE CASCADE
      )`,
      'CREATE INDEX edge_evidence_chunk ON edge_evidence (tenant_id, chunk_id)',
      'CREATE INDEX edge_evidence_document ON edge_evidence (tenant_id, document_id)',

      `CREATE TABLE graph_changes (
        tenant_id text NOT NULL REFERENCES tenants(id) ON DELETE CASCADE,
        version bigint NOT NULL,
        document_id uuid NOT NULL,
        kind text NOT NULL CHECK (kind IN ('added', 'removed')),
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, version)
      )`,

      `CREATE TABLE user_node_status (
        tenant_id text NOT NULL,
        user_id text NOT NULL,
        node_id uuid NOT NULL,
        mastered boolean NOT NULL DEFAULT false,
        mastery_level real NOT NULL DEFAULT 0 CHECK (mastery_level BETWEEN 0 AND 1),
        last_review_date timestamptz,
        PRIMARY KEY (tenant_id, user_id, node_id),
        FOREIGN KEY (tenant_id, node_id) REFERENCES knowledge_nodes (tenant_id, id) ON DELETE CASCADE
      )`,
      `CREATE INDEX user_node_status_review
        ON user_node_status (tenant_id, user_id, mastered, last_review_date)`,

      `CREATE TABLE study_records (
        tenant_id text NOT NULL,
        id uuid NOT NULL,
        user_id text NOT NULL,
        node_id uuid,
        activity text NOT NULL,
        duration_seconds integer NOT NULL CHECK (duration_seconds >= 0),
        score real CHECK (score BETWEEN 0 AND 1),
        study_time timestamptz NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (id, study_time)
      ) PARTITION BY RANGE (study_time)`,
      'CREATE TABLE study_records_default PARTITION OF study_records DEFAULT',
      'CREATE INDEX study_records_user ON study_records (tenant_id, user_id, study_time)',
      `CREATE INDEX study_records_created_brin
        ON study_records USING brin (created_at) WITH (pages_per_range = 128)`,
    ],
  };
}
