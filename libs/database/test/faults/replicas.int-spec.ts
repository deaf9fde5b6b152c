import { channels, type DatabaseEvent } from '@sparkle/contracts';
import { SeededRandom, TcpProxy, until } from '@sparkle/contracts/testing';
import {
  type Database,
  type DatabaseWarning,
  QueryCounter,
  ReadOnlyTransactionError,
  RequestScope,
  WalPositionInvalidError,
} from '@sparkle/database';
import type { PostgresServer } from '@sparkle/database/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { acme, addUser, FaultyServer, INSERT_USER } from './faulty-server.js';

type Row = { id: string };

let faulty: FaultyServer;
let standby: PostgresServer;
let proxy: TcpProxy;
let database: Database;
let warnings: DatabaseWarning[];
let events: DatabaseEvent[];
let stop: () => void;

beforeAll(async () => {
  faulty = await FaultyServer.start();
  standby = await faulty.server.startReplica();
  proxy = await TcpProxy.to(standby.url);
});
afterAll(async () => {
  await proxy.close();
  await standby.stop();
  await faulty.stop();
});

beforeEach(async () => {
  await faulty.query('DELETE FROM users');
  warnings = [];
  events = [];
  stop = channels.database.subscribe((event) => events.push(event));
  database = await open();
});
afterEach(async () => {
  stop();
  await faulty.closeAll();
});

function open(replica: { maxLagMs?: number; restMs?: number } = {}): Promise<Database> {
  return faulty.open(
    {
      replicas: [
        {
          url: `postgres://postgres@127.0.0.1:${proxy.port}/app`,
          name: 'standby',
          maxLagMs: 30_000,
          askTimeoutMs: 1_000,
          restMs: 1,
          ...replica,
        },
      ],
    },
    { warn: (warning) => warnings.push(warning), random: new SeededRandom(1) },
  );
}

const who = 'SELECT pg_is_in_recovery() AS standby';
const readsFrom = async (options = {}) => {
  const [row] = await database.readTenant(acme, (tx) => tx.query<{ standby: boolean }>(who), options);
  return row!.standby ? 'standby' : 'primary';
};
const users = async (options = {}) =>
  (await database.readTenant(acme, (tx) => tx.query<Row>('SELECT id FROM users ORDER BY id'), options)).map(
    ({ id }) => id,
  );
const served = () => until(async () => (await readsFrom()) === 'standby', 'the standby');
const outcomes = () =>
  events.flatMap((event) => (event.kind === 'replica' ? [`${event.replica} ${event.outcome}`] : []));

/** Lets the standby replay nothing while `work` runs. */
async function paused(work: () => Promise<void>): Promise<void> {
  await standby.query('SELECT pg_wal_replay_pause()');
  await until(
    async () =>
      (await standby.query("SELECT 1 WHERE pg_get_wal_replay_pause_state() = 'paused'")).length === 1,
    'the pause',
  );
  try {
    await work();
  } finally {
    await standby.query('SELECT pg_wal_replay_resume()');
  }
}

describe('reads', () => {
  it('are served by a replica that is recent enough, for their tenant only, and cost no extra statement', async () => {
    await faulty.query("INSERT INTO tenants (id, name) VALUES ('globex', 'globex') ON CONFLICT DO NOTHING");
    await faulty.query("INSERT INTO users (tenant_id, id) VALUES ('globex', 'eve')");
    await addUser(database, 'ada');
    await served();
    const { result, queries } = await QueryCounter.run(() =>
      database.readTenant(acme, (tx) => tx.query(`${who}, id, current_user::text AS role FROM users`)),
    );
    expect(result).toEqual([{ standby: true, id: 'ada', role: 'sparkle_app' }]);
    expect(queries.count).toBe(1);
    expect(outcomes()).toContain('standby served');
  });

  it('cannot write, on the replica or on the primary', async () => {
    await served();
    for (const freshness of ['recent', 'any', 'primary'] as const) {
      const work = database.readTenant(acme, (tx) => tx.query(INSERT_USER, ['ada']), { freshness });
      await expect(work).rejects.toBeInstanceOf(ReadOnlyTransactionError);
    }
    const nested = database.readTenant(acme, () => addUser(database, 'ada'));
    await expect(nested).rejects.toBeInstanceOf(ReadOnlyTransactionError);
    expect(await faulty.users()).toEqual([]);
    expect(warnings).toEqual([]);
  });

  it('inside of a transaction belong to it and see what it wrote', async () => {
    await served();
    await database.withTenant(acme, async (tx) => {
      await tx.query(INSERT_USER, ['ada']);
      expect(await users()).toEqual(['ada']);
    });
  });

  it('run on the primary when that is asked for, and when there is no replica', async () => {
    await served();
    expect(await readsFrom({ freshness: 'primary' })).toBe('primary');
    database = await faulty.open();
    expect(await readsFrom()).toBe('primary');
  });

  it('refuse a position that is none', async () => {
    await expect(users({ after: 'yesterday' })).rejects.toBeInstanceOf(WalPositionInvalidError);
  });
});

describe('a replica that lags', () => {
  it('never hides from a request what that request has written', async () => {
    await served();
    await paused(async () => {
      await RequestScope.run(async () => {
        await addUser(database, 'ada');
        expect(await users()).toEqual(['ada']);
        expect(await readsFrom()).toBe('primary');
      });
      // Somebody else's request may see the older state, within the allowed lag.
      expect(await users()).toEqual([]);
      expect(await readsFrom()).toBe('standby');
    });
    expect(outcomes()).toContain('standby behind');
  });

  it('shows own writes once it has replayed them', async () => {
    await served();
    for (let turn = 0; turn < 50; turn++)
      await RequestScope.run(async () => {
        await addUser(database, `user-${turn}`);
        expect(await users()).toHaveLength(turn + 1);
      });
    await RequestScope.run(async () => {
      await addUser(database, 'last');
      await until(async () => (await readsFrom()) === 'standby', 'the standby');
      expect(await users()).toHaveLength(51);
    });
  });

  it('is asked by another process whether it has come as far as a position', async () => {
    await served();
    await paused(async () => {
      await addUser(database, 'ada');
      const after = await database.position();
      expect(await users({ after })).toEqual(['ada']);
      expect(await users({ after, freshness: 'any' })).toEqual(['ada']);
      expect(await users({ freshness: 'any' })).toEqual([]);
    });
    const after = await database.position();
    await until(async () => (await readsFrom({ after })) === 'standby', 'the standby');
  });

  it('by more than its bound serves nothing, and serves again when it has caught up', async () => {
    database = await open({ maxLagMs: 200 });
    await served();
    await paused(async () => {
      await addUser(database, 'ada');
      await until(async () => (await readsFrom()) === 'primary', 'the primary');
      expect(await users()).toEqual(['ada']);
      expect(await readsFrom({ freshness: 'any' })).toBe('primary');
      await until(async () => (await readsFrom({ freshness: 'any' })) === 'standby', 'an undemanding read');
    });
    await served();
    expect(await users()).toEqual(['ada']);
    expect(warnings).toEqual([]);
  });

  it('because nothing happens on the primary is none', async () => {
    database = await open({ maxLagMs: 200 });
    await served();
    for (let turn = 0; turn < 5; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      await until(async () => (await readsFrom()) === 'standby', 'the standby');
    }
  });
});

describe('a replica that fails', () => {
  it('is replaced by the primary, is left alone, is reported once, and serves again by itself', async () => {
    await addUser(database, 'ada');
    await served();
    await proxy.refuse();
    for (let turn = 0; turn < 20; turn++) expect(await users()).toEqual(['ada']);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]!.message).toMatch(/replica "standby" failed; the primary serves its reads/);
    await proxy.accept();
    await served();
    expect(warnings).toHaveLength(2);
    expect(warnings[1]!.message).toBe('The replica "standby" serves reads again.');
  });

  it('in the middle of a read has the primary run that read again', async () => {
    await addUser(database, 'ada');
    await served();
    const asked: string[] = [];
    const rows = await database.readTenant(acme, async (tx) => {
      const [row] = await tx.query<{ standby: boolean }>(who);
      asked.push(row!.standby ? 'standby' : 'primary');
      if (row!.standby) await proxy.refuse();
      return tx.query<Row>('SELECT id FROM users');
    });
    expect(rows).toEqual([{ id: 'ada' }]);
    expect(asked).toEqual(['standby', 'primary']);
    await proxy.accept();
  });

  it('by silence costs the time it may be asked for, and then nothing until it has rested', async () => {
    database = await open({ restMs: 600_000 });
    await addUser(database, 'ada');
    await served();
    proxy.stall();
    expect(await users()).toEqual(['ada']);
    expect(outcomes().filter((outcome) => outcome === 'standby failed')).toHaveLength(1);
    for (let turn = 0; turn < 50; turn++) expect(await users()).toEqual(['ada']);
    expect(outcomes().filter((outcome) => outcome === 'standby failed')).toHaveLength(1);
    proxy.resume();
  });

  it('from the start keeps nothing from starting', async () => {
    await proxy.refuse();
    database = await open();
    await addUser(database, 'ada');
    expect(await users()).toEqual(['ada']);
    await until(async () => warnings.length > 0, 'the warning');
    await proxy.accept();
    await served();
  });

  it('by ending a read that stands in the way of replaying has the primary run it', async () => {
    await standby.query("ALTER SYSTEM SET max_standby_streaming_delay = '0'");
    await standby.query('SELECT pg_reload_conf()');
    await addUser(database, 'ada');
    await served();
    let runs = 0;
    const rows = await database.readTenant(acme, async (tx) => {
      runs += 1;
      const found = await tx.query<Row>('SELECT id FROM users');
      if (runs === 1) {
        await faulty.query('BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE; COMMIT');
        await until(
          () =>
            tx.query('SELECT 1').then(
              () => false,
              () => true,
            ),
          'the conflict',
        );
        await tx.query('SELECT 1');
      }
      return found;
    });
    expect(rows).toEqual([{ id: 'ada' }]);
    expect(runs).toBe(2);
    expect(warnings.filter(({ message }) => /failed/.test(message)).length).toBeLessThanOrEqual(1);
  });
});

describe('a primary that is away', () => {
  it('leaves reads that take any data to the replica', async () => {
    await addUser(database, 'ada');
    await served();
    await faulty.server.kill();
    try {
      expect(await users({ freshness: 'any' })).toEqual(['ada']);
      await expect(users({ freshness: 'primary' })).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE' });
    } finally {
      await faulty.server.restart();
    }
    await served();
  });
});
