import type pg from 'pg';
import { interleaved, median } from '../interleaved.js';
import type { Report } from '../report.js';
import { type BenchTarget, timed } from './own-database.js';

const RECORDS = 1_000_000;
const MONTHS = 24;
const ROUNDS = 7;
const WINDOWS = { hour: '1 hour', day: '1 day', month: '30 days' } as const;

/** BRIN against a B-tree on rows in the order of their time, and one month of a partitioned table against all. */
export async function measureTimeIndexes(report: Report, target: BenchTarget): Promise<void> {
  await target.prepare(async (client) => {
    await client.query("SET jit = 'off'");
    await load(client);
    await measureSizes(report, client);
    await measureRanges(report, client);
    await measurePruning(report, client);
  });
  report.note(
    `BRIN (pages_per_range = 128) and B-tree on ${RECORDS} records of ${MONTHS} months; of a partition of 5 MB, BRIN takes its fixed 24 kB.`,
  );
}

async function load(client: pg.Client): Promise<void> {
  const columns = `id bigint, user_id text, activity text, duration_seconds integer, score real, study_time timestamptz, created_at timestamptz`;
  await client.query(`CREATE UNLOGGED TABLE by_brin (${columns})`);
  await client.query(`INSERT INTO by_brin SELECT n, 'user-' || n % 5000, 'read', n % 1200, 0.5, at, at FROM (
    SELECT n, '2024-01-01'::timestamptz + n * interval '730 days' / ${RECORDS} AS at FROM generate_series(0, ${RECORDS - 1}) n) rows`);
  await client.query('CREATE UNLOGGED TABLE by_btree AS SELECT * FROM by_brin');
  await client.query(`CREATE TABLE by_month (${columns}) PARTITION BY RANGE (study_time)`);
  await client.query(`DO $$ BEGIN FOR m IN 0..${MONTHS} LOOP
    EXECUTE format('CREATE UNLOGGED TABLE by_month_%s PARTITION OF by_month FOR VALUES FROM (%L) TO (%L)', m,
      '2024-01-01'::timestamptz + m * interval '1 month', '2024-01-01'::timestamptz + (m + 1) * interval '1 month');
    END LOOP; END $$`);
  await client.query('INSERT INTO by_month SELECT * FROM by_brin');
}

async function measureSizes(report: Report, client: pg.Client): Promise<void> {
  const btreeMs = await timed(() => client.query('CREATE INDEX by_btree_time ON by_btree (created_at)'));
  const brinMs = await timed(() =>
    client.query('CREATE INDEX by_brin_time ON by_brin USING brin (created_at) WITH (pages_per_range = 128)'),
  );
  await client.query('CREATE INDEX by_month_user ON by_month (user_id, study_time)');
  await client.query('VACUUM ANALYZE by_brin, by_btree, by_month');
  const bytes = async (relation: string) =>
    (await client.query<{ bytes: number }>('SELECT pg_relation_size($1)::float8 AS bytes', [relation]))
      .rows[0]!.bytes;
  const table = await bytes('by_brin');
  report.add('time_index_build', btreeMs, 'ms', { system: 'btree' });
  report.add('time_index_build', brinMs, 'ms', { system: 'brin', baseline: 'time_index_build@btree' });
  report.add('time_index_size', (await bytes('by_btree_time')) / 1024, 'KiB', { system: 'btree' });
  report.add('time_index_size', (await bytes('by_brin_time')) / 1024, 'KiB', {
    system: 'brin',
    baseline: 'time_index_size@btree',
  });
  report.add('brin_share_of_table', (100 * (await bytes('by_brin_time'))) / table, '%', { system: 'brin' });
  report.add('btree_share_of_table', (100 * (await bytes('by_btree_time'))) / table, '%', {
    system: 'btree',
  });
}

async function measureRanges(report: Report, client: pg.Client): Promise<void> {
  for (const [window, interval] of Object.entries(WINDOWS)) {
    const search = (table: string) => async () => {
      const times: number[] = [];
      for (let day = 100; day < 600; day += 100)
        times.push(
          await timed(() =>
            client.query(
              `SELECT count(*), sum(duration_seconds) FROM ${table}
               WHERE created_at >= '2024-01-01'::timestamptz + $1 * interval '1 day'
                 AND created_at < '2024-01-01'::timestamptz + $1 * interval '1 day' + interval '${interval}'`,
              [day],
            ),
          ),
        );
      return [median(times)];
    };
    const without = async () => {
      await client.query('SET enable_bitmapscan = off');
      const [time] = await search('by_brin')();
      await client.query('SET enable_bitmapscan = on');
      return [time!];
    };
    const times = await interleaved(
      { btree: search('by_btree'), brin: search('by_brin'), none: without },
      { rounds: ROUNDS },
    );
    report.add(`range_${window}`, median(times.btree), 'ms', { system: 'btree' });
    const baseline = `range_${window}@btree`;
    report.add(`range_${window}`, median(times.brin), 'ms', { system: 'brin', baseline });
    report.add(`range_${window}`, median(times.none), 'ms', { system: 'no index', baseline });
  }
}

async function measurePruning(report: Report, client: pg.Client): Promise<void> {
  const month = (setting: 'on' | 'off') => async () => {
    await client.query(`SET enable_partition_pruning = ${setting}`);
    return [
      await timed(() =>
        client.query(
          `SELECT count(*), sum(duration_seconds) FROM by_month WHERE study_time >= $1 AND study_time < $2`,
          ['2025-03-01T00:00:00Z', '2025-04-01T00:00:00Z'],
        ),
      ),
    ];
  };
  const user = (setting: 'on' | 'off') => async () => {
    await client.query(`SET enable_partition_pruning = ${setting}`);
    const ms = await timed(async () => {
      for (let at = 0; at < 50; at += 1)
        await client.query(
          `SELECT count(*) FROM by_month WHERE user_id = $1 AND study_time >= $2 AND study_time < $3`,
          [`user-${at}`, '2025-03-01T00:00:00Z', '2025-03-08T00:00:00Z'],
        );
    });
    return [ms / 50];
  };
  const times = await interleaved(
    { monthAll: month('off'), monthPruned: month('on'), userAll: user('off'), userPruned: user('on') },
    { rounds: ROUNDS },
  );
  report.add('month_report', median(times.monthAll), 'ms', { system: 'all partitions' });
  report.add('month_report', median(times.monthPruned), 'ms', {
    system: 'pruned',
    baseline: 'month_report@all partitions',
  });
  report.add('user_week', median(times.userAll), 'ms', { system: 'all partitions' });
  report.add('user_week', median(times.userPruned), 'ms', {
    system: 'pruned',
    baseline: 'user_week@all partitions',
  });
}
