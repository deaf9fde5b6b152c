import { parseTenantId } from '@sparkle/contracts';
import {
  type Database,
  type DatabaseWarning,
  KnowledgeNodeEntity,
  openDatabase,
  parseDatabaseOptions,
  RequestScope,
  statementShape,
} from '@sparkle/database';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

const acme = parseTenantId('acme');
let db: TestDatabase;
let database: Database;
const warnings: DatabaseWarning[] = [];

beforeAll(async () => {
  db = await createTestDatabase();
  await db.createTenant(acme);
  database = await openDatabase(parseDatabaseOptions({ url: db.url, detectRepeatedQueries: true }), {
    warn: (warning) => warnings.push(warning),
  });
});
afterAll(async () => {
  await database.close();
  await db.drop();
});
beforeEach(() => {
  warnings.length = 0;
});

async function oneUser(id: string): Promise<unknown> {
  return database.withTenant(acme, async (tx) => {
    await new Promise((resolve) => setImmediate(resolve));
    return tx.query('SELECT * FROM users WHERE id = $1', [id]);
  });
}

async function usersOneByOne(count: number): Promise<void> {
  for (let index = 0; index < count; index++) await oneUser(`secret-${index}`);
}

describe('repeated statements', () => {
  it('are reported once for each request, with the callers and without any value', async () => {
    await RequestScope.run(() => usersOneByOne(4), 'GET /users');
    expect(warnings).toEqual([]);
    await RequestScope.run(() => usersOneByOne(20), 'GET /users');
    expect(warnings).toHaveLength(1);
    const [{ kind, message }] = warnings as [DatabaseWarning];
    expect(kind).toBe('repeated_query');
    expect(message).toContain('sent 5 times in one request (GET /users)');
    expect(message).toContain('SELECT * FROM users WHERE id = $1');
    expect(message).toMatch(/\n {4}at .*repeated-queries\.int-spec\.ts:\d+:\d+/);
    expect(message).toMatch(/\n {4}at oneUser .*\n {4}at usersOneByOne /);
    expect(message).not.toMatch(/secret|libs\/database\/src/);
  });

  it('are found through TypeORM too, and traced to the program', async () => {
    async function readNodes(): Promise<void> {
      await database.withTenant(acme, async (tx) => {
        for (let index = 0; index < 6; index++)
          await tx.manager.findOneBy(KnowledgeNodeEntity, { tenantId: acme, key: `key-${index}` });
      });
    }
    await RequestScope.run(readNodes);
    expect(warnings).toHaveLength(1);
    const frames = warnings[0]!.message.split('\n    at ').slice(1);
    expect(frames[0]).toContain('repeated-queries.int-spec.ts');
    expect(frames.join()).not.toContain('typeorm');
  });

  it('of different requests are not counted together', async () => {
    await Promise.all(Array.from({ length: 6 }, () => RequestScope.run(() => usersOneByOne(4))));
    expect(warnings).toEqual([]);
  });

  it('are counted by transaction outside of requests', async () => {
    await usersOneByOne(20);
    expect(warnings).toEqual([]);
    await database.withTenant(acme, async (tx) => {
      for (let index = 0; index < 5; index++) await tx.query(`SELECT ${index} AS n`);
    });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]!.message).toContain(
      'in one transaction; load the rows together instead: SELECT ? AS n',
    );
  });
});

describe('the shape of a statement', () => {
  it.each([
    ["SELECT 1 FROM t WHERE a = 'it''s' AND b = 2.5", 'SELECT ? FROM t WHERE a = ? AND b = ?'],
    ['SELECT a1 FROM t2\n  WHERE id IN ($1, $2,\n $3)', 'SELECT a1 FROM t2 WHERE id IN (…)'],
    ['INSERT INTO t VALUES ($1, $2::text), ($3, $4::text)', 'INSERT INTO t VALUES (…)'],
    ['SELECT * FROM t WHERE a = $1 AND b = -7', 'SELECT * FROM t WHERE a = $1 AND b = ?'],
  ])('leaves out the values of %s', (text, shape) => {
    expect(statementShape(text)).toBe(shape);
  });
});
