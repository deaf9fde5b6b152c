import { randomUUID } from 'node:crypto';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { parseTenantId, TenantDatabase, type TenantId } from '@sparkle/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  BucketBusyError,
  BucketMovedError,
  ForeignBucketError,
  MoveInProgressError,
  NestedShardKeyError,
  openDatabase,
  parseDatabaseOptions,
  ShardAdministration,
  ShardIdentityError,
  ShardKeyInvalidError,
  ShardMapMismatchError,
  ShardMapMissingError,
  ShardNotPreparedError,
  ShardRouter,
  ShardSetupInvalidError,
  type Shards,
  ShardsModule,
  ShardsOptionsInvalidError,
  ShardUnknownError,
  tenantShardTables,
} from '../../src/index.js';
import { createTenant, ShardCluster } from './shard-cluster.js';
import { expectIntact, Writer } from './workload.js';

const BUCKETS = 8;

let cluster: ShardCluster;
let shards: Shards;
let early: Shards;
const used = new Map<number, number>();

/** A new tenant of a bucket, in its place. */
async function tenantOf(bucket: number): Promise<TenantId> {
  const index = used.get(bucket) ?? 0;
  used.set(bucket, index + 1);
  const tenant = cluster.tenantsOf(bucket, index + 1)[index]!;
  await createTenant(shards, tenant);
  return tenant;
}

const addUser = (from: Shards, tenant: TenantId, id: string) =>
  from.router.withKey(tenant, tenant, (tx) =>
    tx.query('INSERT INTO users (tenant_id, id) VALUES ($1, $2)', [tenant, id]),
  );

const usersOf = (tenant: TenantId) =>
  cluster.everywhere('SELECT id FROM users WHERE tenant_id = $1 ORDER BY id', [tenant]);

beforeAll(async () => {
  cluster = await ShardCluster.start(3, BUCKETS);
  shards = await cluster.open();
  early = await cluster.open();
});
afterAll(() => cluster.stop());

describe('before there is a map', () => {
  it('nothing is routed', async () => {
    const tenant = parseTenantId('acme');
    await expect(addUser(early, tenant, 'ada')).rejects.toBeInstanceOf(ShardMapMissingError);
  });

  it('an existing database becomes the first shard with all it has, and keeps what it is asked for twice', async () => {
    const existing = cluster.tenantsOf(5, 1)[0]!;
    used.set(5, 1);
    await cluster.server('a').query('INSERT INTO tenants (id, name) VALUES ($1, $1)', [existing]);
    await shards.administration.createMap(['a']);
    await shards.administration.createMap(['a']);
    await addUser(early, existing, 'ada');
    expect(await usersOf(existing)).toEqual([['a', [{ id: 'ada' }]]]);
    expect(await shards.administration.shards()).toEqual([{ name: 'a', state: 'active', buckets: BUCKETS }]);
  });
});

describe('adding shards', () => {
  it('is refused for a server that has rows already', async () => {
    await cluster.server('b').query(`INSERT INTO tenants (id, name) VALUES ('stray', 'stray')`);
    await expect(shards.administration.addShard('b')).rejects.toThrow(ShardNotPreparedError);
    await cluster.server('b').query('DELETE FROM tenants');
    expect(await shards.administration.plan()).toEqual([]);
  });

  it('is refused for a server that is another shard', async () => {
    const { a } = cluster.options().shards;
    const confused = await cluster.open({ shards: { ...cluster.options().shards, b: a! } });
    await expect(confused.administration.addShard('b')).rejects.toThrow(ShardIdentityError);
  });

  it('is refused without a connection', async () => {
    await expect(shards.administration.addShard('d')).rejects.toThrow(ShardUnknownError);
  });

  it('moves only as many buckets as the new one needs', async () => {
    await shards.administration.addShard('b');
    const first = await shards.administration.rebalance();
    expect(first.map(({ source, target }) => [source, target])).toEqual(Array(4).fill(['a', 'b']));
    await shards.administration.addShard('c');
    const second = await shards.administration.plan();
    expect(second).toHaveLength(2);
    expect(new Set(second.map(({ target }) => target))).toEqual(new Set(['c']));
    expect(await shards.administration.rebalance()).toHaveLength(2);
    expect((await shards.administration.shards()).map(({ buckets }) => buckets)).toEqual([3, 3, 2]);
    await expectIntact(cluster, []);
  });
});

describe('a bucket that is moved', () => {
  it('takes every column of every table along, whatever is in it, generated columns computed anew', async () => {
    const tenant = await tenantOf(0);
    const from = await shards.router.locate(tenant);
    const [document, chunk, node, other, conversation] = Array.from({ length: 5 }, () => randomUUID());
    await shards.router.withKey(tenant, tenant, async (tx) => {
      const all = [tenant];
      await tx.query(
        `INSERT INTO documents (tenant_id, id, title, format, content, content_hash, byte_size, created_by, attributes)
         VALUES ($1, $2, 'Ünïcode "quoted" \\ 图', 'text', E'line\\nline\\t', 'hash', 1, 'ada', 'null')`,
        [...all, document],
      );
      await tx.query(
        `INSERT INTO chunks (tenant_id, id, document_id, ordinal, headings, content, start_offset, end_offset, token_count, terms, embedding)
         VALUES ($1, $2, $3, 0, ARRAY['', 'NULL', '{a,"b"}', NULL], '', 0, 1, 1, 'graph database', '[0.1,-2,3e-7,4]')`,
        [...all, chunk, document],
      );
      await tx.query(
        `INSERT INTO knowledge_nodes (tenant_id, id, key, name, type, attributes)
         VALUES ($1, $2, 'graph', 'graph', 'concept', '{"a": [1, 2.50, null, "\\u0001x"]}'), ($1, $3, 'edge', 'edge', 'concept', '{}')`,
        [...all, node, other],
      );
      await tx.query(
        `INSERT INTO knowledge_edges (tenant_id, id, source_id, target_id, type, weight, confidence)
         VALUES ($1, gen_random_uuid(), $2, $3, 'has', 'Infinity', 0.1)`,
        [...all, node, other],
      );
      await tx.query(
        `INSERT INTO conversations (tenant_id, id, user_id, updated_at) VALUES ($1, $2, 'ada', 'infinity')`,
        [...all, conversation],
      );
      await tx.query(
        `INSERT INTO messages (tenant_id, conversation_id, seq, id, role, content, created_at)
         SELECT $1, $2, n, gen_random_uuid(), 'user', repeat('x', n), '2024-02-29 23:59:59.999999+00'
         FROM generate_series(1, 1200) n`,
        [...all, conversation],
      );
      await tx.query(
        `INSERT INTO study_records (tenant_id, id, user_id, activity, duration_seconds, study_time, score)
         SELECT $1, gen_random_uuid(), 'ada', 'reading', n, '2024-01-01'::timestamptz + n * interval '20 days', 1.0 / n
         FROM generate_series(1, 30) n`,
        all,
      );
    });
    const direct = await openDatabase(parseDatabaseOptions({ url: cluster.server('a').url }));
    const tables = await tenantShardTables(direct);
    await direct.close();
    expect(tables.length).toBeGreaterThanOrEqual(16);
    const content = async () => {
      const found: Record<string, unknown[]> = {};
      for (const { table, key } of tables) {
        const places = await cluster.everywhere(
          `SELECT t::text AS row FROM ${table} t WHERE ${key} = $1 ORDER BY 1`,
          [tenant],
        );
        expect(places.length, table).toBeLessThanOrEqual(1);
        found[table] = places.flatMap(([, rows]) => rows);
      }
      return found;
    };
    const before = await content();
    expect(before.chunks![0]).toMatchObject({ row: expect.stringContaining(`'graph'`) });
    const target = from.shard === 'c' ? 'b' : 'c';
    const report = await shards.administration.moveBucket(0, target);
    expect(report).toMatchObject({ source: from.shard, target, rows: 1237 });
    expect(await content()).toEqual(before);
    expect(await shards.administration.moveBucket(0, target)).toBeUndefined();
    await expectIntact(cluster, []);
  });

  it('is found by a router whose map is old, also while the catalogue cannot be asked', async () => {
    const tenant = await tenantOf(1);
    const before = await early.router.locate(tenant);
    const target = before.shard === 'b' ? 'c' : 'b';
    await shards.administration.moveBucket(1, target);
    await addUser(early, tenant, 'ada');
    expect(await early.router.locate(tenant)).toEqual({ bucket: 1, shard: target });
    expect(await usersOf(tenant)).toEqual([[target, [{ id: 'ada' }]]]);
    // The catalogue's tables are not readable now, but the shard that gave the bucket up knows where it went.
    await shards.administration.moveBucket(1, before.shard);
    await cluster.server('a').query('ALTER TABLE shard_buckets RENAME TO hidden');
    try {
      await addUser(early, tenant, 'bob');
    } finally {
      await cluster.server('a').query('ALTER TABLE hidden RENAME TO shard_buckets');
    }
    expect(await usersOf(tenant)).toEqual([[before.shard, [{ id: 'ada' }, { id: 'bob' }]]]);
  });

  it('is found by a router that believes it to be on a server which is gone', async () => {
    const tenant = await tenantOf(2);
    await shards.administration.moveBucket(2, 'c');
    const lonely = await cluster.open();
    expect((await lonely.router.locate(tenant)).shard).toBe('c');
    await shards.administration.moveBucket(2, 'b');
    await cluster.server('c').shutDown();
    try {
      await addUser(lonely, tenant, 'ada');
    } finally {
      await cluster.server('c').restart();
    }
    expect(await usersOf(tenant)).toEqual([['b', [{ id: 'ada' }]]]);
  });

  it('cannot be written to on its old shard, not even by a statement that no router sent', async () => {
    const tenant = await tenantOf(3);
    const { shard } = await shards.router.locate(tenant);
    const target = shard === 'b' ? 'c' : 'b';
    let noticed = 0;
    await shards.administration.moveBucket(3, target, {
      onProgress: async ({ step }) => {
        // As long as the shard owns the bucket, such a statement is carried over like any other.
        if (step === 'copied')
          await cluster
            .server(shard)
            .query(`INSERT INTO users (tenant_id, id) VALUES ($1, 'early')`, [tenant]);
        if (step !== 'switched' && step !== 'cleaned') return;
        for (const statement of [
          `INSERT INTO study_records (tenant_id, id, user_id, activity, duration_seconds, study_time)
             VALUES ($1, gen_random_uuid(), 'ada', 'reading', 1, now())`,
          ...(step === 'switched' ? ['DELETE FROM users WHERE tenant_id = $1'] : []),
        ])
          await expect(cluster.server(shard).query(statement, [tenant])).rejects.toMatchObject({
            code: 'SB001',
          });
        noticed++;
      },
    });
    expect(noticed).toBe(2);
    expect(await usersOf(tenant)).toEqual([[target, [{ id: 'early' }]]]);
  });

  it('waits for a transaction that is at work in it, holds nobody up meanwhile, and gives up in the end', async () => {
    const tenant = await tenantOf(4);
    const impatient = await cluster.open({ fenceMs: 50, fenceAttempts: 3 });
    const { shard } = await shards.router.locate(tenant);
    const target = shard === 'b' ? 'c' : 'b';
    const writer = new Writer(shards, tenant, 1);
    await shards.router.withKey(tenant, tenant, async (tx) => {
      await tx.query(`INSERT INTO users (tenant_id, id) VALUES ($1, 'slow')`, [tenant]);
      const move = impatient.administration.moveBucket(4, target);
      await expect(move).rejects.toBeInstanceOf(BucketBusyError);
      // Concurrent work of others, on other connections.
      await new Promise<void>((resolve, reject) => {
        setImmediate(() => addUser(early, tenant, 'fast').then(() => resolve(), reject));
      });
    });
    expect(await shards.administration.moves()).toHaveLength(1);
    await writer.change();
    await shards.administration.resumeMoves();
    expect(await usersOf(tenant)).toEqual([[target, [{ id: 'fast' }, { id: 'slow' }]]]);
    await expectIntact(cluster, [writer]);
  });

  it('sends a transaction with a snapshot from before the move back to the start, on the new shard', async () => {
    const tenant = await tenantOf(6);
    const { shard } = await shards.router.locate(tenant);
    const target = shard === 'b' ? 'c' : 'b';
    // What a router does, with the move between the transaction's snapshot and its claim.
    const database = await openDatabase(parseDatabaseOptions({ url: cluster.server(shard).url }));
    let attempts = 0;
    const late = database.withTenant(
      tenant,
      async (tx) => {
        if (++attempts === 1) await shards.administration.moveBucket(6, target);
        const [claim] = await tx.query<{ state: string }>('SELECT state FROM shard_claim($1, $2)', [
          6,
          tenant,
        ]);
        return claim!.state;
      },
      { isolation: 'REPEATABLE READ' },
    );
    expect(await late).toBe('gone');
    expect(attempts).toBe(2);
    await database.close();
  });

  it('is moved by one mover at a time, to one place', async () => {
    const { shard } = await shards.router.locate(cluster.tenantsOf(7, 1)[0]!);
    const [target, third] = ['a', 'b', 'c'].filter((name) => name !== shard);
    let conflicts = 0;
    await shards.administration.moveBucket(7, target!, {
      onProgress: async ({ step }) => {
        if (step !== 'copied') return;
        for (const to of [target!, third!])
          await expect(early.administration.moveBucket(7, to)).rejects.toBeInstanceOf(MoveInProgressError);
        expect(await early.administration.resumeMoves()).toEqual([]);
        conflicts++;
      },
    });
    expect(conflicts).toBe(1);
    expect((await shards.router.locate(cluster.tenantsOf(7, 1)[0]!)).bucket).toBe(7);
  });

  it.each([-1, BUCKETS, 0.5])('has a number that exists, which %d does not', async (bucket) => {
    await expect(shards.administration.moveBucket(bucket, 'a')).rejects.toBeInstanceOf(
      ShardSetupInvalidError,
    );
  });

  it('goes to a shard of the map only', async () => {
    await expect(shards.administration.moveBucket(0, 'nowhere')).rejects.toBeInstanceOf(ShardUnknownError);
  });
});

describe('work on one key', () => {
  it('cannot write rows of another key that lives elsewhere', async () => {
    const { router } = shards;
    const here = await tenantOf(0);
    const at = (await router.locate(here)).shard;
    let foreign: TenantId | undefined;
    for (let bucket = 1; bucket < BUCKETS && !foreign; bucket++) {
      const candidate = await tenantOf(bucket);
      if ((await router.locate(candidate)).shard !== at) foreign = candidate;
    }
    const work = router.asSystem(here, async (tx) => {
      await tx.query(`INSERT INTO users (tenant_id, id) VALUES ($1, 'own')`, [here]);
      await tx.query(
        `INSERT INTO study_records (tenant_id, id, user_id, activity, duration_seconds, study_time)
        VALUES ($1, gen_random_uuid(), 'ada', 'reading', 1, now())`,
        [foreign],
      );
    });
    await expect(work).rejects.toBeInstanceOf(ForeignBucketError);
    expect(await usersOf(here)).toEqual([]);
  });

  it('can nest work on the same key, and is refused another key wherever that lives', async () => {
    const tenant = await tenantOf(0);
    const neighbour = await tenantOf(0);
    const nested = shards.router.withKey(tenant, tenant, async (tx) => {
      await tx.query(`INSERT INTO users (tenant_id, id) VALUES ($1, 'outer')`, [tenant]);
      await addUser(shards, tenant, 'inner');
      await expect(addUser(shards, neighbour, 'other')).rejects.toBeInstanceOf(NestedShardKeyError);
    });
    await nested;
    expect(await usersOf(tenant)).toEqual([
      [(await shards.router.locate(tenant)).shard, [{ id: 'inner' }, { id: 'outer' }]],
    ]);
    expect(await usersOf(neighbour)).toEqual([]);
  });

  it('sees its tenant alone, also when its key is a user of it', async () => {
    const tenant = await tenantOf(0);
    const other = await tenantOf(0);
    await addUser(shards, other, 'hidden');
    await addUser(shards, tenant, 'seen');
    const seen = await shards.router.withKey(tenant, tenant, (tx) => tx.query('SELECT id FROM users'));
    expect(seen).toEqual([{ id: 'seen' }]);
  });

  it('is refused for a key that cannot be placed', async () => {
    const tenant = await tenantOf(0);
    const work = shards.router.withKey('', tenant, () => Promise.resolve());
    await expect(work).rejects.toBeInstanceOf(ShardKeyInvalidError);
  });

  it('fails with a typed error, and nothing written, when its bucket is in service nowhere', async () => {
    const tenant = await tenantOf(1);
    const hurried = await cluster.open({ moveWaitMs: 1 });
    const { bucket, shard } = await hurried.router.locate(tenant);
    const server = cluster.server(shard);
    await server.query(`UPDATE shard_ownership SET state = 'incoming' WHERE bucket = $1`, [bucket]);
    try {
      await expect(addUser(hurried, tenant, 'ada')).rejects.toBeInstanceOf(BucketMovedError);
    } finally {
      await server.query(`UPDATE shard_ownership SET state = 'owned' WHERE bucket = $1`, [bucket]);
    }
    expect(await usersOf(tenant)).toEqual([]);
  });
});

describe('a map', () => {
  it('is opened with the policy and the number of buckets it was made for only', async () => {
    for (const wrong of [{ buckets: BUCKETS * 2 }, { policy: 'modulo' as const }]) {
      const other = await cluster.open(wrong);
      await expect(other.router.refresh()).rejects.toBeInstanceOf(ShardMapMismatchError);
      await expect(other.administration.createMap(['a'])).rejects.toBeInstanceOf(ShardMapMismatchError);
    }
  });

  it('is not left by exchanged addresses: the servers know who they are', async () => {
    const { a, b, c } = cluster.options().shards;
    const confused = await cluster.open({ shards: { a: b!, b: c!, c: a! } });
    const tenant = await tenantOf(0);
    await expect(addUser(confused, tenant, 'ada')).rejects.toBeInstanceOf(ShardIdentityError);
  });

  it('has no shard that could be removed by a wrong name', async () => {
    await expect(shards.administration.removeShard('nowhere')).rejects.toBeInstanceOf(ShardUnknownError);
  });
});

describe('a table that refers to one which does not move', () => {
  it('keeps its shard from being prepared', async () => {
    await cluster
      .server('a')
      .query(`CREATE TABLE notes (id int PRIMARY KEY, tenant_id text REFERENCES tenants(id))`);
    try {
      await expect(shards.administration.prepareShards()).rejects.toThrow(/"notes" refers to "tenants"/);
    } finally {
      await cluster.server('a').query('DROP TABLE notes');
    }
    await shards.administration.prepareShards();
  });
});

describe('a login that owns the schema and is no superuser', () => {
  it('is told which grant moving needs, and moves with it', async () => {
    for (const [name, server] of cluster.servers) {
      await server.query('CREATE ROLE keeper LOGIN');
      await server.query('GRANT sparkle_app TO keeper');
      await server.query(
        `DO $$ DECLARE r record; BEGIN
           EXECUTE 'GRANT ALL ON DATABASE postgres TO keeper';
           ALTER SCHEMA public OWNER TO keeper;
           FOR r IN SELECT oid::regclass AS name FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') LOOP
             EXECUTE format('ALTER TABLE %s OWNER TO keeper', r.name);
           END LOOP;
           FOR r IN SELECT oid::regprocedure AS name FROM pg_proc
             WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'shard%' LOOP
             EXECUTE format('ALTER FUNCTION %s OWNER TO keeper', r.name);
           END LOOP;
           FOR r IN SELECT p.polname AS name, p.polrelid::regclass AS relation FROM pg_policy p
             WHERE polname = 'system_access' LOOP
             EXECUTE format('ALTER POLICY system_access ON %s TO keeper', r.relation);
           END LOOP;
         END $$`,
      );
      if (name === 'a') await server.query('ALTER SEQUENCE shard_move_tokens OWNER TO keeper');
    }
    const url = (name: string) => ({ url: cluster.server(name).urlOf('postgres', 'keeper') });
    const modest = await cluster.open({
      catalogue: url('a'),
      shards: { a: url('a'), b: url('b'), c: url('c') },
    });
    const tenant = await tenantOf(0);
    await addUser(modest, tenant, 'ada');
    const { shard } = await modest.router.locate(tenant);
    const target = shard === 'b' ? 'c' : 'b';
    const refused = modest.administration.moveBucket(0, target);
    await expect(refused).rejects.toThrow(/GRANT SET ON PARAMETER session_replication_role/);
    await addUser(modest, tenant, 'bob');
    for (const server of cluster.servers.values())
      await server.query('GRANT SET ON PARAMETER session_replication_role TO keeper');
    await modest.administration.resumeMoves();
    await addUser(modest, tenant, 'cleo');
    expect(await usersOf(tenant)).toEqual([[target, [{ id: 'ada' }, { id: 'bob' }, { id: 'cleo' }]]]);
    await expectIntact(cluster, []);
  });
});

describe('ShardsModule', () => {
  const start = (module: ReturnType<typeof ShardsModule.forRoot>) => {
    @Module({ imports: [module] })
    class App {}
    return NestFactory.createApplicationContext(App, { logger: false, abortOnError: false });
  };

  it.each([
    ['forRoot', () => ShardsModule.forRoot(cluster.options())],
    ['forRootAsync', () => ShardsModule.forRootAsync({ useFactory: async () => cluster.options() })],
  ])(
    '%s serves tenants from their shards under the port, and closes with the application',
    async (_, module) => {
      const app = await start(module());
      const tenant = await tenantOf(0);
      const database = app.get<TenantDatabase>(TenantDatabase);
      const rows = await database.withTenant(tenant, (tx) => tx.query('SELECT id FROM tenants'));
      expect(rows).toEqual([{ id: tenant }]);
      expect(await app.get(ShardRouter).locate(tenant)).toEqual(await shards.router.locate(tenant));
      expect(await app.get(ShardAdministration).moves()).toEqual([]);
      await app.close();
      await expect(database.withTenant(tenant, (tx) => tx.query('SELECT 1'))).rejects.toThrow();
    },
  );

  it('refuses to start on wrong options and names every wrong path, never a value', async () => {
    const error = await start(
      ShardsModule.forRoot({
        catalogue: { url: 'mysql://secret' },
        shards: { 'Not a name': { url: 'secret' } },
        buckets: 0,
        fenceMs: 1,
      }),
    ).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ShardsOptionsInvalidError);
    expect(String(error)).toMatch(/catalogue: url: .*shards\..*buckets: .*fenceMs: /s);
    expect(String(error)).not.toMatch(/secret/);
  });
});
