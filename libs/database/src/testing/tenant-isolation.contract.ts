import { randomUUID } from 'node:crypto';
import { parseTenantId, type SqlClient, type TenantId } from '@sparkle/contracts';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../core/database.service.js';
import { TENANT_TABLES } from '../migrations/index.js';

const acme = parseTenantId('acme');
const globex = parseTenantId('globex');

/** What row-level security guarantees on a migrated, empty database, whatever engine and login it has. */
export function describeTenantIsolation(open: () => Database): void {
  describe('row-level security', () => {
    let database: Database;

    beforeAll(async () => {
      database = open();
      for (const tenant of [acme, globex]) {
        await database.asSystem((tx) => tx.query('INSERT INTO tenants (id, name) VALUES ($1, $1)', [tenant]));
        await database.withTenant(tenant, (tx) => seedEveryTable(tx, tenant));
      }
    });

    it.each(TENANT_TABLES)('shows, changes and deletes only own rows of %s', async (table) => {
      const seen = await database.withTenant(globex, (tx) =>
        tx.query(`SELECT DISTINCT tenant_id AS tenant FROM ${table}`),
      );
      expect(seen).toEqual([{ tenant: 'globex' }]);
      const touched = await database.withTenant(globex, (tx) =>
        tx.query(`UPDATE ${table} SET tenant_id = tenant_id WHERE tenant_id = 'acme' RETURNING 1`),
      );
      expect(touched).toEqual([]);
      const undone = new Error('undo');
      await expect(
        database.withTenant(globex, async (tx) => {
          await tx.query(`DELETE FROM ${table}`);
          throw undone;
        }),
      ).rejects.toBe(undone);
      const deleted = await database.withTenant(globex, (tx) =>
        tx.query(`DELETE FROM ${table} WHERE tenant_id = 'acme' RETURNING 1`),
      );
      expect(deleted).toEqual([]);
      const kept = await database.asSystem((tx) =>
        tx.query<{ count: number }>(`SELECT count(*)::int AS count FROM ${table} WHERE tenant_id = 'acme'`),
      );
      expect(kept[0]!.count).toBeGreaterThan(0);
    });

    it.each(TENANT_TABLES)('refuses to write a row of another tenant into %s', async (table) => {
      const insert = database.withTenant(globex, async (tx) => {
        const [row] = await tx.query<{ row: object }>(
          `SELECT to_jsonb(t) - 'fts' AS row FROM ${table} t LIMIT 1`,
        );
        const foreign: Record<string, unknown> = { ...row!.row, tenant_id: 'acme' };
        const columns = Object.keys(foreign).join(', ');
        await tx.query(
          `INSERT INTO ${table} (${columns})
           SELECT ${columns} FROM jsonb_populate_record(NULL::${table}, $1::jsonb)`,
          [JSON.stringify(foreign)],
        );
      });
      await expect(insert).rejects.toThrow(/row-level security/);
      const move = database.withTenant(globex, (tx) => tx.query(`UPDATE ${table} SET tenant_id = 'acme'`));
      await expect(move).rejects.toThrow(/row-level security/);
    });

    it.each([...TENANT_TABLES, 'tenants'])(
      'shows nothing of %s when the tenant is forgotten',
      async (table) => {
        const rows = await database.asSystem(async (tx) => {
          await tx.query("SELECT set_config('role', 'sparkle_app', true)");
          return tx.query(`SELECT 1 FROM ${table}`);
        });
        expect(rows).toEqual([]);
      },
    );

    it('shows a tenant itself only, and lets it change nothing but its corpus version', async () => {
      const rows = await database.withTenant(globex, (tx) =>
        tx.query('UPDATE tenants SET corpus_version = corpus_version + 1 RETURNING id'),
      );
      expect(rows).toEqual([{ id: 'globex' }]);
      for (const forbidden of ["UPDATE tenants SET plan = '{}'", 'DELETE FROM tenants'])
        await expect(database.withTenant(globex, (tx) => tx.query(forbidden))).rejects.toThrow(
          /permission denied/,
        );
    });

    it('cannot be walked around through a partition or by truncating', async () => {
      for (const statement of ['SELECT 1 FROM study_records_default', 'TRUNCATE study_records'])
        await expect(database.withTenant(globex, (tx) => tx.query(statement))).rejects.toThrow(
          /permission denied/,
        );
    });

    it('lets the system see the rows of every tenant', async () => {
      const rows = await database.asSystem((tx) =>
        tx.query('SELECT tenant_id AS tenant FROM users ORDER BY tenant_id'),
      );
      expect(rows).toEqual([{ tenant: 'acme' }, { tenant: 'globex' }]);
    });
  });
}

/** One row, at least, in every tenant table. */
async function seedEveryTable(sql: SqlClient, tenant: TenantId): Promise<void> {
  const [conversation, document, chunk, node, other, edge] = Array.from({ length: 6 }, () => randomUUID());
  const insert = (table: string, row: Record<string, unknown>) => {
    const columns = ['tenant_id', ...Object.keys(row)];
    const places = columns.map((_, index) => `$${index + 1}`);
    return sql.query(`INSERT INTO ${table} (${columns.join(', ')}) VALUES (${places.join(', ')})`, [
      tenant,
      ...Object.values(row),
    ]);
  };
  await insert('users', { id: 'ada' });
  await insert('conversations', { id: conversation, user_id: 'ada' });
  await insert('messages', {
    conversation_id: conversation,
    seq: 1,
    id: randomUUID(),
    role: 'user',
    content: 'Hello',
  });
  await insert('conversation_summaries', {
    conversation_id: conversation,
    from_seq: 1,
    to_seq: 1,
    content: 'A greeting.',
    method: 'extractive',
  });
  await insert('documents', {
    id: document,
    title: 'Graphs',
    format: 'text',
    content: 'A graph.',
    content_hash: 'x',
    byte_size: 8,
    created_by: 'ada',
  });
  await insert('jobs', { id: randomUUID(), kind: 'ingestion', subject_id: document });
  await insert('chunks', {
    id: chunk,
    document_id: document,
    ordinal: 0,
    content: 'A graph.',
    start_offset: 0,
    end_offset: 8,
    token_count: 3,
  });
  await insert('knowledge_nodes', { id: node, key: 'graph', name: 'graph', type: 'concept' });
  await insert('knowledge_nodes', { id: other, key: 'edge', name: 'edge', type: 'concept' });
  await insert('node_aliases', { node_id: node, alias_key: 'network', alias: 'network' });
  await insert('knowledge_edges', { id: edge, source_id: node, target_id: other, type: 'has' });
  await insert('node_mentions', { node_id: node, chunk_id: chunk, document_id: document });
  await insert('edge_evidence', {
    edge_id: edge,
    chunk_id: chunk,
    document_id: document,
    statement: 'A graph has edges.',
  });
  await insert('graph_changes', { version: 1, document_id: document, kind: 'added' });
  await insert('user_node_status', { user_id: 'ada', node_id: node });
  await insert('study_records', {
    id: randomUUID(),
    user_id: 'ada',
    activity: 'reading',
    duration_seconds: 60,
    study_time: '2020-01-15T12:00:00Z',
  });
}
