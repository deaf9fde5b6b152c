import { randomUUID } from 'node:crypto';
import { parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../testing/index.js';
import { StudyRecordPartitions } from './study-record-partitions.js';

const acme = parseTenantId('acme');
let db: TestDatabase;
let partitions: StudyRecordPartitions;

beforeEach(async () => {
  db = await createTestDatabase();
  await db.createTenant(acme);
  partitions = new StudyRecordPartitions(db.database, new TestClock(Date.UTC(2026, 10, 23)));
});
afterEach(() => db.drop());

const record = (studyTime: string) =>
  db.database.withTenant(acme, (tx) =>
    tx.query(
      `INSERT INTO study_records (tenant_id, id, user_id, activity, duration_seconds, study_time)
       VALUES ('acme', $1, 'ada', 'reading', 60, $2)`,
      [randomUUID(), studyTime],
    ),
  );
const placement = () =>
  db.database.asSystem((tx) =>
    tx.query<{ place: string; count: number }>(
      'SELECT tableoid::regclass::text AS place, count(*)::int FROM study_records GROUP BY 1 ORDER BY 1',
    ),
  );

describe('study record partitions', () => {
  it('are made for this month and the months ahead, once', async () => {
    expect(await partitions.ensure(2)).toEqual({
      created: ['study_records_2026_11', 'study_records_2026_12', 'study_records_2027_01'],
      moved: 0,
    });
    expect(await partitions.ensure(2)).toEqual({ created: [], moved: 0 });
  });

  it('receive the records of their month, and leave the others in the default partition', async () => {
    await partitions.ensure(1);
    await record('2026-11-30T23:59:59.999Z');
    await record('2026-12-01T00:00:00Z');
    await record('2031-05-01T00:00:00Z');
    expect(await placement()).toEqual([
      { place: 'study_records_2026_11', count: 1 },
      { place: 'study_records_2026_12', count: 1 },
      { place: 'study_records_default', count: 1 },
    ]);
  });

  it('take over the strays of their month without losing any', async () => {
    for (const day of [1, 15, 30]) await record(`2026-11-${String(day).padStart(2, '0')}T12:00:00Z`);
    await record('2026-10-31T23:59:59Z');
    expect(await partitions.ensure(0)).toEqual({ created: ['study_records_2026_11'], moved: 3 });
    expect(await placement()).toEqual([
      { place: 'study_records_2026_11', count: 3 },
      { place: 'study_records_default', count: 1 },
    ]);
  });

  it('are made once by several workers while records keep coming, and none is lost', async () => {
    const writing = Promise.all(
      Array.from({ length: 60 }, (_, index) => record(`2026-1${1 + (index % 2)}-10T00:00:${index % 60}Z`)),
    );
    const reports = await Promise.all([1, 2, 3].map(() => partitions.ensure(1)));
    await writing;
    expect(reports.flatMap((report) => report.created).sort()).toEqual([
      'study_records_2026_11',
      'study_records_2026_12',
    ]);
    expect(await placement()).toEqual([
      { place: 'study_records_2026_11', count: 30 },
      { place: 'study_records_2026_12', count: 30 },
    ]);
  });

  it('are pruned by the planner and closed to the application role', async () => {
    await partitions.ensure(2);
    const plan = await db.database.withTenant(acme, (tx) =>
      tx.query<{ 'QUERY PLAN': string }>(
        "EXPLAIN SELECT 1 FROM study_records WHERE study_time >= '2026-12-01Z' AND study_time < '2027-01-01Z'",
      ),
    );
    const scanned = plan
      .map((line) => /on (study_records_\w+)/.exec(line['QUERY PLAN'])?.[1])
      .filter(Boolean);
    expect(new Set(scanned)).toEqual(new Set(['study_records_2026_12']));
    const direct = db.database.withTenant(acme, (tx) => tx.query('SELECT 1 FROM study_records_2026_12'));
    await expect(direct).rejects.toThrow(/permission denied/);
  });
});
