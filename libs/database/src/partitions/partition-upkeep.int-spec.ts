import { randomBytes, randomUUID } from 'node:crypto';
import { parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { migrate } from '../core/migrate.js';
import { openDatabase } from '../core/open-database.js';
import { QueryCounter } from '../core/query-counter.js';
import { parseDatabaseOptions } from '../database.options.js';
import { DatabaseOptionsInvalidError } from '../errors.js';
import { databaseMigrations } from '../migrations/index.js';
import { createTestDatabase, type TestDatabase } from '../testing/index.js';
import type { ArchiveStore } from './archive-store.port.js';
import { MemoryArchiveStore } from './memory-archive-store.js';
import { studyRecordUpkeep } from './study-record-upkeep.js';

const acme = parseTenantId('acme');
let db: TestDatabase;
let clock: TestClock;

beforeAll(async () => {
  db = await createTestDatabase();
  await db.createTenant(acme);
});
afterAll(() => db.drop());
beforeEach(() => {
  clock = new TestClock(Date.UTC(2026, 10, 23));
});

const studyRecords = (input: object = {}) =>
  parseDatabaseOptions({ url: db.url, studyRecords: input }).studyRecords;
const upkeep = (input: object, archives?: ArchiveStore) =>
  studyRecordUpkeep(db.database, studyRecords(input), clock, archives);
const record = (studyTime: string) =>
  db.database.withTenant(acme, (tx) =>
    tx.query(
      `INSERT INTO study_records (tenant_id, id, user_id, activity, duration_seconds, study_time)
       VALUES ('acme', $1, 'ada', 'reading', 60, $2)`,
      [randomUUID(), studyTime],
    ),
  );

describe('the upkeep of study records', () => {
  it('makes partitions ahead, moves strays, archives old months, and keeps tenants apart in all of them', async () => {
    await record('2026-11-05');
    await record('2026-08-05');
    await record('2025-01-05');
    const archives = new MemoryArchiveStore();
    const report = await upkeep({ monthsAhead: 1, keepMonths: 6 }, archives).run();
    expect(report).toEqual({
      created: [
        'study_records_2026_11',
        'study_records_2026_12',
        'study_records_2025_01',
        'study_records_2026_08',
      ],
      moved: 3,
      archived: [{ archive: expect.stringMatching(/^study_records_2025_01\./), rows: 1 }],
      busy: [],
    });
    expect((await archives.names()).length).toBe(2);
    const visible = await db.database.withTenant(acme, (tx) =>
      tx.query<{ count: number }>('SELECT count(*)::int FROM study_records'),
    );
    expect(visible).toEqual([{ count: 2 }]);
    const direct = db.database.withTenant(acme, (tx) => tx.query('SELECT 1 FROM study_records_2026_08'));
    await expect(direct).rejects.toThrow(/permission denied/);
    const other = await db.database.withTenant(parseTenantId('globex'), (tx) =>
      tx.query('SELECT 1 FROM study_records'),
    );
    expect(other).toEqual([]);
  });

  it('costs one query when nothing is due, and sweeps again after an hour', async () => {
    const job = upkeep({ monthsAhead: 1 });
    await job.run();
    await record('2026-09-05');
    const [quiet, cost] = await counted(() => job.run());
    expect(quiet).toEqual({ created: [], moved: 0, archived: [], busy: [] });
    expect(cost).toBe(1);
    await clock.advance(3_600_000);
    expect(await job.run()).toMatchObject({ created: ['study_records_2026_09'], moved: 1 });
  });

  it('tries every step although one fails, and sweeps again at once', async () => {
    await db.database.asSystem((tx) => tx.query('CREATE TABLE study_records_2027_02 (precious int)'));
    await record('2026-07-05');
    const job = upkeep({ monthsAhead: 3 });
    await expect(job.run()).rejects.toMatchObject({ code: 'DATABASE_PARTITION_NAME_TAKEN' });
    const placed = await db.database.asSystem((tx) => tx.query('SELECT 1 FROM study_records_2026_07'));
    expect(placed).toHaveLength(1);
    await db.database.asSystem((tx) => tx.query('DROP TABLE study_records_2027_02'));
    await record('2026-06-05');
    expect(await job.run()).toMatchObject({
      created: ['study_records_2027_02', 'study_records_2026_06'],
    });
  });

  it('refuses to retire months when nobody said where to', () => {
    expect(() => upkeep({ keepMonths: 12 })).toThrow(DatabaseOptionsInvalidError);
    expect(() => studyRecords({ keepMonths: 0, monthsAhead: -1, archive: 'x' })).toThrow(
      /studyRecords\.monthsAhead: .*studyRecords\.keepMonths: .*studyRecords/s,
    );
  });
});

describe('the upkeep by an owner who is no superuser', () => {
  const role = `sparkle_keeper_${randomBytes(6).toString('hex')}`;
  let admin: pg.Client;

  beforeAll(async () => {
    admin = new pg.Client(db.url);
    await admin.connect();
    await admin.query(`CREATE ROLE ${role} LOGIN CREATEROLE PASSWORD 'secret'`);
    await admin.query(`CREATE DATABASE ${role} OWNER ${role}`);
  });
  afterAll(async () => {
    await admin.query(`DROP DATABASE IF EXISTS ${role} WITH (FORCE)`);
    await admin.query(`DROP ROLE ${role}`);
    await admin.end();
  });

  it('makes, fills, archives and restores partitions of every tenant', async () => {
    const url = new URL(db.url);
    url.pathname = `/${role}`;
    // pgvector is not a trusted extension: on a managed server the operator installs it.
    const installer = new pg.Client(url.href);
    await installer.connect();
    await installer.query('CREATE EXTENSION vector');
    await installer.end();
    url.username = role;
    url.password = 'secret';
    await migrate(url.href, databaseMigrations(8));
    const database = await openDatabase(parseDatabaseOptions({ url: url.href, requireUnprivileged: true }));
    try {
      for (const tenant of ['acme', 'globex'].map(parseTenantId)) {
        await database.asSystem((tx) => tx.query('INSERT INTO tenants (id, name) VALUES ($1, $1)', [tenant]));
        await database.withTenant(tenant, (tx) =>
          tx.query(
            `INSERT INTO study_records (tenant_id, id, user_id, activity, duration_seconds, study_time)
             SELECT $1, gen_random_uuid(), 'ada', 'reading', 60, at
             FROM unnest(ARRAY['2026-01-05', '2026-11-05']::timestamptz[]) at`,
            [tenant],
          ),
        );
      }
      const keeper = studyRecordUpkeep(
        database,
        studyRecords({ keepMonths: 6 }),
        clock,
        new MemoryArchiveStore(),
      );
      const { moved, archived } = await keeper.run();
      expect(moved).toBe(4);
      expect(archived.map(({ rows }) => rows)).toEqual([2]);
      expect(await keeper.retention!.restore(archived[0]!.archive)).toEqual({ rows: 2, restored: 2 });
      for (const tenant of ['acme', 'globex'].map(parseTenantId)) {
        const rows = await database.withTenant(tenant, (tx) =>
          tx.query(
            'SELECT DISTINCT tenant_id AS tenant, count(*)::int AS rows FROM study_records GROUP BY 1',
          ),
        );
        expect(rows).toEqual([{ tenant, rows: 2 }]);
      }
    } finally {
      await database.close();
    }
  });
});

async function counted<T>(work: () => Promise<T>): Promise<[T, number]> {
  const { result, queries } = await QueryCounter.run(work);
  return [result, queries.count];
}
