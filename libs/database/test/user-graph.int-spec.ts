import { parseTenantId } from '@sparkle/contracts';
import {
  type Database,
  LoaderInvalidError,
  loadUserGraph,
  QueryCounter,
  RequestScope,
  readUserGraph,
  UserNodeStatusEntity,
} from '@sparkle/database';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const acme = parseTenantId('acme');
const globex = parseTenantId('globex');
let db: TestDatabase;
let database: Database;

beforeAll(async () => {
  db = await createTestDatabase({ dimensions: 4 });
  ({ database } = db);
  for (const tenant of [acme, globex]) {
    await db.createTenant(tenant);
    await database.withTenant(tenant, async (tx) => {
      await tx.query(
        `INSERT INTO users (tenant_id, id) SELECT $1, id FROM unnest(ARRAY['ada', 'bob', 'cyd']) id`,
        [tenant],
      );
      await tx.query(
        `INSERT INTO knowledge_nodes (tenant_id, id, key, name, type, description)
         SELECT $1, gen_random_uuid(), 'node ' || n, 'Node ' || n, 'concept', repeat('long ', 100)
         FROM generate_series(1, 100) n`,
        [tenant],
      );
      await tx.query(
        `INSERT INTO user_node_status (tenant_id, user_id, node_id, mastered, mastery_level, last_review_date)
         SELECT $1, u.id, n.id, right(n.key, 1) = '0', 0.5,
           '2026-01-01'::timestamptz - replace(n.key, 'node ', '')::int * interval '1 hour'
         FROM users u, knowledge_nodes n WHERE u.id <> 'cyd'`,
        [tenant],
      );
    });
  }
});
afterAll(() => db.drop());

describe('a user’s graph of a hundred nodes', () => {
  it('is one statement when it is joined', async () => {
    const { result, queries } = await QueryCounter.run(() =>
      database.withTenant(acme, (tx) => readUserGraph(tx, 'ada')),
    );
    expect(result).toHaveLength(100);
    expect(result[0]).toEqual({
      nodeId: expect.any(String),
      mastered: false,
      masteryLevel: 0.5,
      lastReviewDate: expect.any(Date),
      name: 'Node 1',
      type: 'concept',
    });
    expect(queries.count).toBe(1);
  });

  it('is two statements when it is batched, for any number of users', async () => {
    const users = ['ada', 'bob', 'cyd'];
    const { result, queries } = await QueryCounter.run(() =>
      RequestScope.run(() => Promise.all(users.map((id) => loadUserGraph(database.loaders(acme), id)))),
    );
    expect(result.map((nodes) => nodes.length)).toEqual([100, 100, 0]);
    expect(queries.count).toBe(2);
    const joined = await database.withTenant(acme, (tx) => readUserGraph(tx, 'ada'));
    expect(result[0]).toEqual(joined);
  });

  it('is one statement as entities, joined by TypeORM, with no column that was not asked for', async () => {
    const { result, queries } = await QueryCounter.run(() =>
      database.withTenant(acme, (tx) =>
        tx.manager.find(UserNodeStatusEntity, {
          where: { tenantId: acme, userId: 'ada' },
          relations: { node: true },
          select: { nodeId: true, masteryLevel: true, node: { name: true } },
        }),
      ),
    );
    expect(result).toHaveLength(100);
    expect(result[0]!.node.name).toMatch(/^Node \d+$/);
    expect(queries.count).toBe(1);
    expect(queries.statements[0]).not.toMatch(/description|embedding|attributes/);
  });

  it('reads the fields that were chosen, and none besides', async () => {
    const { result, queries } = await QueryCounter.run(() =>
      database.withTenant(acme, (tx) =>
        readUserGraph(tx, 'ada', { fields: ['description'], mastered: true, limit: 3 }),
      ),
    );
    expect(result.map((node) => Object.keys(node).sort())).toEqual(
      Array.from({ length: 3 }, () => [
        'description',
        'lastReviewDate',
        'mastered',
        'masteryLevel',
        'nodeId',
      ]),
    );
    expect(queries.statements[0]).not.toMatch(/n\.name|n\.attributes|embedding/);
  });

  it('is the tenant’s own', async () => {
    const own = await database.withTenant(acme, (tx) => readUserGraph(tx, 'ada'));
    const others = await database.withTenant(globex, (tx) => readUserGraph(tx, 'ada'));
    const shared = new Set(own.map(({ nodeId }) => nodeId));
    expect(others).toHaveLength(100);
    expect(others.filter(({ nodeId }) => shared.has(nodeId))).toEqual([]);
  });

  it.each([{ fields: ['name; DROP TABLE users' as 'name'] }, { limit: 0 }, { limit: 10_001 }])(
    'is refused for %j',
    async (options) => {
      const work = database.withTenant(acme, (tx) => readUserGraph(tx, 'ada', options));
      await expect(work).rejects.toBeInstanceOf(LoaderInvalidError);
    },
  );
});
