import { channels, type DatabaseEvent, parseTenantId } from '@sparkle/contracts';
import { TestClock, until } from '@sparkle/contracts/testing';
import { type Database, type DatabaseWarning, openDatabase, parseDatabaseOptions } from '@sparkle/database';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

const acme = parseTenantId('acme');
let db: TestDatabase;
let database: Database;
let clock: TestClock;
let warnings: DatabaseWarning[];
let events: DatabaseEvent[];
let stop: () => void;

beforeAll(async () => {
  db = await createTestDatabase();
  await db.createTenant(acme);
});
afterAll(() => db.drop());

beforeEach(async () => {
  clock = new TestClock();
  warnings = [];
  events = [];
  stop = channels.database.subscribe((event) => events.push(event));
  database = await openDatabase(
    parseDatabaseOptions({ url: db.url, pool: { size: 4, overflow: 6, heldWarningMs: 5_000 } }),
    { clock, warn: (warning) => warnings.push(warning), name: 'watched' },
  );
});
afterEach(async () => {
  stop();
  await database.close();
});

/** Transactions that stay open until they are let go. */
async function hold(count: number, open: () => Promise<void>): Promise<void> {
  let begun = 0;
  let letGo!: () => void;
  const released = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const holders = Array.from({ length: count }, () =>
    database.withTenant(acme, async () => {
      begun += 1;
      await released;
    }),
  );
  await until(async () => begun === count, 'the holders');
  await open();
  letGo();
  await Promise.all(holders);
}

async function aCarelessRepository(work: () => Promise<void>): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  await database.withTenant(acme, work);
}

describe('a connection held for too long', () => {
  it('is reported once, with the place that holds it, whoever listens', async () => {
    let holding = false;
    let letGo!: () => void;
    const work = aCarelessRepository(
      () =>
        new Promise((resolve) => {
          holding = true;
          letGo = resolve;
        }),
    );
    await until(async () => holding, 'the holder');
    await clock.advance(4_999);
    expect(warnings).toEqual([]);
    await clock.advance(1);
    expect(warnings).toEqual([{ kind: 'held', message: expect.any(String) }]);
    expect(warnings[0]!.message).toMatch(
      /pool "watched" has been held for 5000 ms\n {4}at aCarelessRepository \(.*pool-watch\.int-spec\.ts:\d+:\d+\)/,
    );
    expect(warnings[0]!.message).not.toMatch(/libs\/database\/src|node:internal/);
    await clock.advance(60_000);
    letGo();
    await work;
    expect(warnings).toHaveLength(1);
  });

  it('is one sample of the hold time and one event of its own', async () => {
    await hold(1, () => clock.advance(6_000));
    expect(events.filter(({ kind }) => kind === 'connection_held')).toEqual([
      { kind: 'connection_held', pool: 'watched', heldMs: 6_000 },
    ]);
    expect(events.filter(({ kind }) => kind === 'connection_held_long')).toEqual([
      {
        kind: 'connection_held_long',
        pool: 'watched',
        tenantId: 'acme',
        heldMs: 5_000,
        origin: expect.stringContaining('pool-watch.int-spec.ts'),
      },
    ]);
  });

  it('is not reported when it was given back in time', async () => {
    await hold(1, () => clock.advance(4_000));
    await clock.advance(60_000);
    expect(warnings).toEqual([]);
  });
});

describe('a pool that runs out', () => {
  const saturations = () => warnings.filter(({ kind }) => kind === 'saturated');

  it('is reported above four fifths of its capacity, with those who hold most', async () => {
    await hold(8, async () => undefined);
    expect(saturations()).toEqual([]);
    await hold(9, async () => undefined);
    expect(saturations()).toHaveLength(1);
    expect(saturations()[0]!.message).toMatch(
      /pool "watched" has 9 of 10 connections in use .*\n {4}\d × .*pool-watch\.int-spec\.ts:\d+/,
    );
    expect(events.filter(({ kind }) => kind === 'pool_saturated')).toEqual([
      { kind: 'pool_saturated', pool: 'watched', checkedOut: 9, capacity: 10 },
    ]);
  });

  it('is reported once for as long as it does not calm down', async () => {
    await hold(8, async () => {
      for (let time = 0; time < 5; time++) {
        await hold(2, async () => undefined);
        await clock.advance(60_000);
      }
    });
    expect(saturations()).toHaveLength(1);
    await hold(10, async () => undefined);
    expect(saturations()).toHaveLength(2);
  });

  it('is reported no more than once a minute', async () => {
    for (let time = 0; time < 4; time++) await hold(10, () => clock.advance(15_000));
    expect(saturations()).toHaveLength(1);
    await hold(10, async () => undefined);
    expect(saturations()).toHaveLength(2);
  });
});

it('the figures of the pool tell size, use, overflow and those who wait', async () => {
  let waiting!: Promise<number>;
  await hold(10, async () => {
    waiting = database.withTenant(acme, async () => 1);
    await until(async () => database.poolState.waiting === 1, 'a waiting caller');
    expect(database.poolState).toEqual({ size: 10, checkedOut: 10, overflow: 6, waiting: 1 });
  });
  await waiting;
  expect(events).toContainEqual({
    kind: 'pool',
    pool: 'watched',
    size: 10,
    checkedOut: 10,
    overflow: 6,
    waiting: 0,
  });
});
