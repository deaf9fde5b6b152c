import type { TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createGraphragDatabase, createTestGraphragOn } from '../../testing/test-graphrag.js';

let test: TestDatabase;

beforeAll(async () => {
  test = await createGraphragDatabase();
});
afterAll(() => test?.drop());

const OWN = [
  'communities',
  'community_members',
  'community_sources',
  'community_states',
  'entity_assignments',
  'entity_resolutions',
  'origin_aliases',
  'origin_evidence',
  'origin_mentions',
  'tracked_entities',
];

it('lets no tenant see or write a row of another in the tables of decisions and communities', async () => {
  const rag = createTestGraphragOn(test);
  const acme = await test.createTenant('acme');
  const globex = await test.createTenant('globex');
  for (const [title, text] of [
    ['Harbour', 'The Port Elsa Authority (PEA) hired Marta Lund. Marta Lund built the Sea Otter.'],
    ['Letters', 'Marta Lund met Jon Lund at Port Elsa. Jon Lund sailed the Sea Otter.'],
  ] as const)
    await rag.ingest(acme, text, title);
  const nodes = await test.database.withTenant(acme, (sql) =>
    sql.query<{ id: string }>(
      "SELECT id FROM knowledge_nodes WHERE key IN ('marta lund', 'port elsa authority') ORDER BY key",
    ),
  );
  await rag.resolutions.merge(acme, {
    keepId: nodes[0]!.id,
    mergeIds: [nodes[1]!.id],
    actor: 'ada',
    reason: 'for the test',
  });
  await rag.communities.refresh({ tenantId: acme });
  for (const table of OWN) {
    const all = await test.database.asSystem((sql) =>
      sql.query<{ tenant: string }>(`SELECT DISTINCT tenant_id AS tenant FROM ${table}`),
    );
    expect(all, table).toEqual([{ tenant: 'acme' }]);
    const seen = await test.database.withTenant(globex, (sql) => sql.query(`SELECT 1 FROM ${table}`));
    expect(seen, table).toEqual([]);
    const moved = test.database.withTenant(acme, (sql) =>
      sql.query(`UPDATE ${table} SET tenant_id = 'globex'`),
    );
    await expect(moved, table).rejects.toThrow(/row-level security/);
    const copied = test.database.withTenant(globex, (sql) =>
      sql.query(`INSERT INTO ${table} (tenant_id) VALUES ('acme')`),
    );
    await expect(copied, table).rejects.toThrow(/row-level security|null value/);
  }
});

it('isolates every table that has tenants', async () => {
  const open = await test.database.asSystem((sql) =>
    sql.query<{ name: string }>(
      `SELECT c.relname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
       WHERE c.relkind IN ('r', 'p') AND a.attname = 'tenant_id' AND NOT c.relispartition
         AND c.relnamespace = 'public'::regnamespace AND NOT (c.relrowsecurity AND c.relforcerowsecurity)`,
    ),
  );
  expect(open).toEqual([]);
});
