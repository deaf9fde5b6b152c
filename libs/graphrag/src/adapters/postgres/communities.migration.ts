import type { SchemaMigration } from '@sparkle/contracts';
import { enableTenantIsolation } from '@sparkle/database';

/**
 * Communities of a tenant's graph on two levels. `content_hash` is a digest of what a community consists of,
 * `summary_hash` of what it consisted of when its points were made. `community_sources` are the passages that
 * points rest on: when one is deleted, fewer than `source_count` are left, and the summary is withheld.
 */
export const communitiesMigration: SchemaMigration = {
  name: '0130-communities',
  statements: [
    `CREATE TABLE communities (
      tenant_id text NOT NULL REFERENCES tenants(id) ON DELETE CASCADE,
      id uuid NOT NULL,
      level smallint NOT NULL CHECK (level IN (0, 1)),
      parent_id uuid,
      title text NOT NULL,
      node_count integer NOT NULL,
      chunk_count integer NOT NULL,
      document_count integer NOT NULL,
      content_hash text NOT NULL,
      points jsonb NOT NULL DEFAULT '[]',
      summary_hash text,
      summary_model text,
      source_count integer NOT NULL DEFAULT 0,
      cost jsonb NOT NULL DEFAULT '{}',
      embedding vector,
      updated_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (tenant_id, id)
    )`,
    `CREATE INDEX communities_pending ON communities (tenant_id)
      WHERE summary_hash IS DISTINCT FROM content_hash`,
    `CREATE TABLE community_members (
      tenant_id text NOT NULL,
      member_id uuid NOT NULL,
      kind text NOT NULL CHECK (kind IN ('node', 'chunk')),
      community_id uuid NOT NULL,
      PRIMARY KEY (tenant_id, member_id),
      FOREIGN KEY (tenant_id, community_id) REFERENCES communities (tenant_id, id) ON DELETE CASCADE
    )`,
    'CREATE INDEX community_members_community ON community_members (tenant_id, community_id)',
    `CREATE TABLE community_sources (
      tenant_id text NOT NULL,
      community_id uuid NOT NULL,
      chunk_id uuid NOT NULL,
      PRIMARY KEY (tenant_id, community_id, chunk_id),
      FOREIGN KEY (tenant_id, community_id) REFERENCES communities (tenant_id, id) ON DELETE CASCADE,
      FOREIGN KEY (tenant_id, chunk_id) REFERENCES chunks (tenant_id, id) ON DELETE CASCADE
    )`,
    'CREATE INDEX community_sources_chunk ON community_sources (tenant_id, chunk_id)',
    `CREATE TABLE community_states (
      tenant_id text NOT NULL REFERENCES tenants(id) ON DELETE CASCADE,
      version bigint NOT NULL,
      generation bigint NOT NULL,
      drift integer NOT NULL,
      refreshed_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (tenant_id)
    )`,
    ...['communities', 'community_members', 'community_sources', 'community_states'].flatMap((table) =>
      enableTenantIsolation(table),
    ),
  ],
};
