import { parseTenantId } from '@sparkle/contracts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  databaseMigrations,
  enableTenantIsolation,
  ForeignBucketError,
  HashPolicy,
  ModuloPolicy,
  migrate,
  openShards,
  parseShardsOptions,
  type Shards,
  shardCatalogueMigrations,
  shardMigrations,
} from '../../src/index.js';
import { PostgresServer } from '../../src/testing/index.js';

const acme = parseTenantId('acme');

let servers: PostgresServer[];
let shards: Shards;

/** A table of the application's own, whose rows live with their user; no foreign key leads out of it. */
const readings = {
  name: '9000-readings',
  statements: [
    `CREATE TABLE readings (tenant_id text NOT NULL, user_id bigint NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY,
       at timestamptz NOT NULL DEFAULT now(), value double precision, raw bytea, PRIMARY KEY (user_id, id))`,
    ...enableTenantIsolation('readings'),
  ],
};

beforeAll(async () => {
  servers = await Promise.all([PostgresServer.start(), PostgresServer.start()]);
  const [even, odd] = servers.map(({ url }) => ({ url, pool: { size: 2, overflow: 4 } }));
  for (const [index, { url }] of servers.entries())
    await migrate(url, [
      ...databaseMigrations(4),
      ...shardMigrations,
      ...(index === 0 ? shardCatalogueMigrations : []),
      readings,
    ]);
  shards = await openShards(
    parseShardsOptions({
      catalogue: even,
      shards: { even, odd },
      policy: 'modulo',
      buckets: 2,
      tables: [{ table: 'readings', key: 'user_id' }],
      fenceMs: 2000,
    }),
  );
  await shards.administration.createMap(['even', 'odd']);
});
afterAll(async () => {
  await shards.close();
  await Promise.all(servers.map((server) => server.stop()));
});

describe('the bucket of a key', () => {
  it('is the same in PostgreSQL', async () => {
    const text = fc.string({ unit: 'binary', minLength: 1 }).filter((key) => !/[\0\p{Cs}]/u.test(key));
    const keys = [...fc.sample(text, 300), '学生-42', 'acme', ' ', '\\x00', "'"];
    for (const buckets of [1, 7, 1024, 65_536]) {
      const policy = new HashPolicy(buckets);
      const rows = await servers[0]!.query<{ bucket: number }>(
        `SELECT ${policy.bucketSql('key')} AS bucket FROM unnest($1::text[]) WITH ORDINALITY AS k(key, place)
         ORDER BY place`,
        [keys],
      );
      expect(rows.map(({ bucket }) => bucket)).toEqual(keys.map((key) => policy.bucketOf(key)));
    }
    const numbers = [
      0n,
      1n,
      2n ** 53n + 1n,
      2n ** 63n - 1n,
      ...fc.sample(fc.bigInt(0n, 2n ** 63n - 1n), 100),
    ].map(String);
    const policy = new ModuloPolicy(1000);
    const rows = await servers[0]!.query<{ bucket: number }>(
      `SELECT ${policy.bucketSql('key')} AS bucket FROM unnest($1::text[]) WITH ORDINALITY AS k(key, place) ORDER BY place`,
      [numbers],
    );
    expect(rows.map(({ bucket }) => bucket)).toEqual(numbers.map((key) => policy.bucketOf(key)));
  });
});

describe('rows placed by user_id % n', () => {
  const add = (user: number, value: number) =>
    shards.router.withKey(user, acme, (tx) =>
      tx.query(`INSERT INTO readings (tenant_id, user_id, value, raw) VALUES ($1, $2, $3, '\\x00ff')`, [
        acme,
        user,
        value,
      ]),
    );
  const users = (server: number) =>
    servers[server]!.query<{ user: number }>('SELECT DISTINCT user_id::int AS user FROM readings ORDER BY 1');

  it('are on the n-th server, and their tenant sees them there', async () => {
    for (const user of [1, 2, 3, 4]) await add(user, user / 3);
    expect(await users(0)).toEqual([{ user: 2 }, { user: 4 }]);
    expect(await users(1)).toEqual([{ user: 1 }, { user: 3 }]);
    const seen = await shards.router.withKey(3, acme, (tx) =>
      tx.query('SELECT value FROM readings WHERE user_id = 3'),
    );
    expect(seen).toEqual([{ value: 1 }]);
    const other = await shards.router.withKey(3, parseTenantId('globex'), (tx) =>
      tx.query('SELECT 1 FROM readings'),
    );
    expect(other).toEqual([]);
  });

  it('cannot be written by work for a user of the other server', async () => {
    const wrong = shards.router.withKey(2, acme, (tx) =>
      tx.query('INSERT INTO readings (tenant_id, user_id, value) VALUES ($1, 5, 0)', [acme]),
    );
    await expect(wrong).rejects.toBeInstanceOf(ForeignBucketError);
    expect(await users(0)).toEqual([{ user: 2 }, { user: 4 }]);
  });

  it('move as they are, with identities, bytes and every digit', async () => {
    const rows = () =>
      Promise.all(
        servers.map((server) => server.query('SELECT r::text FROM readings r ORDER BY user_id, id')),
      );
    const [even, odd] = await rows();
    await shards.administration.moveBucket(1, 'even');
    const merged = [...even!, ...odd!].map((row) => JSON.stringify(row)).sort();
    const [all, none] = await rows();
    expect(all!.map((row) => JSON.stringify(row)).sort()).toEqual(merged);
    expect(none).toEqual([]);
    await add(5, 0.1);
    expect(await users(0)).toEqual([1, 2, 3, 4, 5].map((user) => ({ user })));
  });
});
