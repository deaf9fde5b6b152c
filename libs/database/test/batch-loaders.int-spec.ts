import { randomUUID } from 'node:crypto';
import { parseTenantId, type TenantId } from '@sparkle/contracts';
import {
  type Database,
  defineGroupLoader,
  defineLoader,
  LoaderInvalidError,
  LoaderScopeMissingError,
  NestedTenantError,
  QueryCounter,
  RecordMissingError,
  RequestScope,
} from '@sparkle/database';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const acme = parseTenantId('acme');
const globex = parseTenantId('globex');
let db: TestDatabase;
let database: Database;

beforeAll(async () => {
  db = await createTestDatabase();
  ({ database } = db);
  for (const tenant of [acme, globex]) {
    await db.createTenant(tenant);
    await database.withTenant(tenant, async (tx) => {
      await tx.query(
        `INSERT INTO users (tenant_id, id, display_name)
         SELECT $1, 'user-' || n, $1 || ' ' || n FROM generate_series(1, 100) n`,
        [tenant],
      );
      await tx.query(
        `INSERT INTO conversations (tenant_id, id, user_id, title)
         SELECT $1, gen_random_uuid(), 'user-' || n, 'about ' || m
         FROM generate_series(1, 3) n, generate_series(1, 2) m ORDER BY n, m`,
        [tenant],
      );
    });
  }
});
afterAll(() => db.drop());

interface UserRow {
  id: string;
  display_name: string;
}

const userById = defineLoader({
  name: 'user-by-id',
  read: (sql, ids: readonly string[]) =>
    sql.query<UserRow>('SELECT id, display_name FROM users WHERE id = ANY($1)', [ids]),
  keyOf: (row) => row.id,
});

const titlesByUser = defineGroupLoader({
  name: 'titles-by-user',
  read: (sql, ids: readonly string[]) =>
    sql.query<{ user_id: string; title: string }>(
      'SELECT user_id, title FROM conversations WHERE user_id = ANY($1) ORDER BY title',
      [ids],
    ),
  keyOf: (row) => row.user_id,
  parse: (row) => row.title,
});

const nameOf = async (tenant: TenantId, id: string) =>
  (await database.loaders(tenant).load(userById, id))?.display_name;

function counted<T>(work: () => Promise<T>) {
  return QueryCounter.run(() => RequestScope.run(work));
}

describe('batched loading', () => {
  it('reads what a hundred places ask for with one statement, in the order of the keys', async () => {
    const ids = Array.from({ length: 100 }, (_, index) => `user-${100 - index}`);
    const { result, queries } = await counted(() => Promise.all(ids.map((id) => nameOf(acme, id))));
    expect(result).toEqual(ids.map((id) => id.replace('user-', 'acme ')));
    expect(queries.count).toBe(1);
  });

  it('asks for each key once, and not again in the same request', async () => {
    const { queries } = await counted(async () => {
      await Promise.all(['user-1', 'user-1', 'user-2'].map((id) => nameOf(acme, id)));
      await nameOf(acme, 'user-2');
    });
    expect(queries.count).toBe(1);
  });

  it('gives undefined for a key without a row, an empty list for a group, and an error where one is required', async () => {
    await RequestScope.run(async () => {
      const loaders = database.loaders(acme);
      expect(await loaders.load(userById, 'nobody')).toBeUndefined();
      expect(await loaders.loadMany(titlesByUser, ['user-2', 'nobody'])).toEqual([
        ['about 1', 'about 2'],
        [],
      ]);
      const missing = loaders.require(userById, 'nobody');
      await expect(missing).rejects.toThrow(RecordMissingError);
      await expect(missing).rejects.not.toThrow(/nobody/);
    });
  });

  it('splits what is more than the largest batch', async () => {
    const small = defineLoader({
      name: 'small',
      read: (sql, ids: readonly string[]) =>
        sql.query<UserRow>('SELECT id FROM users WHERE id = ANY($1)', [ids]),
      keyOf: (row) => row.id,
      maxBatchSize: 30,
    });
    const ids = Array.from({ length: 100 }, (_, index) => `user-${index + 1}`);
    const { result, queries } = await counted(() => database.loaders(acme).loadMany(small, ids));
    expect(result.map((row) => row?.id)).toEqual(ids);
    expect(queries.count).toBe(4);
    for (const maxBatchSize of [0, 1.5, 10_001])
      expect(() => defineLoader({ name: 'x', read: async () => [], keyOf: String, maxBatchSize })).toThrow(
        LoaderInvalidError,
      );
  });

  it('fails the keys whose rows are wrong, and no others', async () => {
    const picky = defineLoader({
      name: 'picky',
      read: (sql, ids: readonly string[]) =>
        sql.query<UserRow>('SELECT id FROM users WHERE id = ANY($1)', [ids]),
      keyOf: (row) => row.id,
      parse: (row) => {
        if (row.id === 'user-2') throw new Error('unreadable');
        return row.id;
      },
    });
    const { result } = await counted(() =>
      Promise.allSettled(['user-1', 'user-2', 'user-3'].map((id) => database.loaders(acme).load(picky, id))),
    );
    expect(result.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  it('does not remember a failure', async () => {
    let broken = true;
    const flaky = defineLoader({
      name: 'flaky',
      read: (sql, ids: readonly string[]) =>
        sql.query<UserRow>(
          broken ? 'SELECT 1/0' : 'SELECT id FROM users WHERE id = ANY($1)',
          broken ? [] : [ids],
        ),
      keyOf: (row) => row.id,
    });
    await RequestScope.run(async () => {
      const loaders = database.loaders(acme);
      await expect(loaders.load(flaky, 'user-1')).rejects.toThrow(/division/);
      broken = false;
      expect(await loaders.load(flaky, 'user-1')).toEqual({ id: 'user-1' });
    });
  });
});

describe('what has been loaded', () => {
  it('is never shared between tenants or requests', async () => {
    await RequestScope.run(async () => {
      const names = await Promise.all([nameOf(acme, 'user-1'), nameOf(globex, 'user-1')]);
      expect(names).toEqual(['acme 1', 'globex 1']);
      expect(database.loaders(acme)).not.toBe(database.loaders(globex));
      const own = database.loaders(acme);
      expect(database.loaders(acme)).toBe(own);
      await Promise.all(
        [1, 2].map(() => RequestScope.run(async () => expect(database.loaders(acme)).not.toBe(own))),
      );
    });
    const { queries } = await QueryCounter.run(() =>
      Promise.all([1, 2, 3].map(() => RequestScope.run(() => nameOf(acme, 'user-1')))),
    );
    expect(queries.count).toBe(3);
  });

  it('needs a request or a transaction to belong to', async () => {
    expect(() => database.loaders(acme)).toThrow(LoaderScopeMissingError);
    await database.withTenant(acme, async () => {
      expect(await nameOf(acme, 'user-1')).toBe('acme 1');
      expect(() => database.loaders(globex)).toThrow(NestedTenantError);
    });
  });

  it('within a transaction is what that transaction sees, and is gone with it', async () => {
    const id = randomUUID();
    await RequestScope.run(async () => {
      const work = database.withTenant(acme, async (tx) => {
        await tx.query('INSERT INTO users (tenant_id, id, display_name) VALUES ($1, $2, $2)', [acme, id]);
        expect(await nameOf(acme, id)).toBe(id);
        throw new Error('undo');
      });
      await expect(work).rejects.toThrow('undo');
      expect(await nameOf(acme, id)).toBeUndefined();
    });
  });

  it('within a nested scope is gone when that is undone', async () => {
    const id = randomUUID();
    await database.withTenant(acme, async () => {
      const nested = database.withTenant(acme, async (tx) => {
        await tx.query('INSERT INTO users (tenant_id, id, display_name) VALUES ($1, $2, $2)', [acme, id]);
        expect(await nameOf(acme, id)).toBe(id);
        throw new Error('undo');
      });
      await expect(nested).rejects.toThrow('undo');
      expect(await nameOf(acme, id)).toBeUndefined();
    });
  });

  it('can be forgotten, one key or all', async () => {
    const { queries } = await counted(async () => {
      const loaders = database.loaders(acme);
      await loaders.loadMany(userById, ['user-1', 'user-2']);
      loaders.forget(userById, 'user-1');
      await loaders.loadMany(userById, ['user-1', 'user-2']);
      loaders.forget(userById);
      await loaders.loadMany(userById, ['user-1', 'user-2']);
    });
    expect(queries.count).toBe(3);
  });
});
