import { TcpProxy, until } from '@sparkle/contracts/testing';
import { ReadOnlyTransactionError } from '@sparkle/database';
import type { PostgresServer } from '@sparkle/database/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { acme, addUser, FaultyServer, INSERT_USER, outcomeOf } from './faulty-server.js';

let faulty: FaultyServer;
let standby: PostgresServer;
let entrance: TcpProxy;

beforeAll(async () => {
  faulty = await FaultyServer.start();
  standby = await faulty.server.startReplica();
  // What is acknowledged is on the standby, too.
  await faulty.query("ALTER SYSTEM SET synchronous_standby_names = '*'");
  await faulty.query('SELECT pg_reload_conf()');
  await until(
    async () =>
      (await faulty.query("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'")).length === 1,
    'the synchronous standby',
  );
  entrance = await TcpProxy.to(faulty.url);
});
afterAll(async () => {
  await entrance.close();
  await faulty.stop();
  await standby.stop();
});

it('a fail-over behind the same address loses no acknowledged write, and work goes on by itself', async () => {
  const database = await faulty.open({
    url: `postgres://postgres@127.0.0.1:${entrance.port}/app`,
    pool: { size: 10, overflow: 0 },
  });
  const outcomes = new Map<string, string>();
  let goOn = true;
  const worker = async (name: number) => {
    for (let turn = 0; goOn; turn++) {
      const id = `${name}-${turn}`;
      outcomes.set(id, await outcomeOf(addUser(database, id)));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const count = (outcome: string) => [...outcomes.values()].filter((known) => known === outcome).length;
  const workers = Array.from({ length: 10 }, (_, name) => worker(name));
  await until(async () => count('ok') > 100, 'work before the fail-over');

  await faulty.server.kill();
  await entrance.refuse();
  const { port } = entrance;
  entrance = new TcpProxy('127.0.0.1', standby.port);
  entrance.port = port;
  await entrance.accept();
  // The address leads to a server that may not write yet.
  await until(async () => count('DATABASE_READ_ONLY') > 0, 'the standby behind the address');
  await standby.query('SELECT pg_promote()');
  const before = count('ok');
  await until(async () => count('ok') > before + 100, 'work after the fail-over');
  goOn = false;
  await Promise.all(workers);

  const rows = await standby.query<{ id: string }>('SELECT id FROM users', [], 'app');
  const kept = new Set(rows.map(({ id }) => id));
  for (const [id, outcome] of outcomes) {
    if (outcome === 'ok') expect(kept.has(id), `${id} is lost`).toBe(true);
    else if (outcome !== 'DATABASE_COMMIT_UNKNOWN') {
      expect(['DATABASE_CONNECTION_LOST', 'DATABASE_UNREACHABLE', 'DATABASE_READ_ONLY']).toContain(outcome);
      expect(kept.has(id), `${id} was rejected`).toBe(false);
    }
  }
  expect(database.poolState).toMatchObject({ checkedOut: 0, waiting: 0 });
});

it('a write on a server that may only read is refused by name', async () => {
  const replica = await standby.startReplica();
  try {
    const database = await faulty.open({ url: replica.urlOf('app') });
    const work = database.withTenant(acme, (tx) => tx.query(INSERT_USER, ['refused']));
    await expect(work).rejects.toBeInstanceOf(ReadOnlyTransactionError);
  } finally {
    await faulty.closeAll();
    await replica.stop();
  }
});
