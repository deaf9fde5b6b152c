import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../core/database.service.js';
import { openDatabase } from '../core/open-database.js';
import { parseDatabaseOptions } from '../database.options.js';
import { PostgresServer } from '../testing/index.js';
import { SlowQueryReport } from './slow-queries.report.js';

describe('the report of slow queries', () => {
  let server: PostgresServer;
  let database: Database;

  beforeAll(async () => {
    server = await PostgresServer.start({
      shared_preload_libraries: 'pg_stat_statements',
      'pg_stat_statements.track_utility': 'on',
    });
    await server.query('CREATE DATABASE plain');
    await server.query('CREATE SCHEMA "Odd schema"');
    await server.query('CREATE EXTENSION pg_stat_statements SCHEMA "Odd schema"');
    database = await openDatabase(parseDatabaseOptions({ url: server.url }));
  });
  afterAll(async () => {
    await database?.close();
    await server?.stop();
  });

  it('lists what cost most, with calls, rows and hits, and no value', async () => {
    await server.query('CREATE TABLE numbers AS SELECT n, n::text AS name FROM generate_series(1, 20000) n');
    await server.query("CREATE ROLE ada PASSWORD 'S3cret'");
    for (const name of ['7', '8', '9'])
      await server.query(
        `SELECT count(*) FROM numbers a JOIN numbers b USING (n) WHERE a.name > '${name}secret'`,
      );
    await server.query('SELECT pg_sleep(0.05) /* S3cret */');
    const report = await new SlowQueryReport(database).top({ limit: 1000 });
    if (!report.installed) throw new Error(report.remedy);
    const join = report.queries.find(({ text }) => text.includes('numbers a JOIN'))!;
    expect(join).toMatchObject({ calls: 3, rowsPerCall: 1, role: 'postgres' });
    expect(join.text).toBe('SELECT count(*) FROM numbers a JOIN numbers b USING (n) WHERE a.name > $1');
    expect(join.totalMs).toBeGreaterThan(0);
    expect(join.meanMs).toBeCloseTo(join.totalMs / 3);
    expect(join.hitRatio).toBeGreaterThan(0);
    expect(join.hitRatio).toBeLessThanOrEqual(1);
    expect(report.since).toBeInstanceOf(Date);
    expect(JSON.stringify(report)).not.toMatch(/secret/i);
    expect(report.queries.some(({ text }) => text === 'CREATE ROLE ada PASSWORD ?')).toBe(true);
    const totals = report.queries.map(({ totalMs }) => totalMs);
    expect(totals).toEqual([...totals].sort((a, b) => b - a));
  });

  it('orders by the time of one call when asked, and leaves out what is rare', async () => {
    const reports = new SlowQueryReport(database);
    const byMean = await reports.top({ by: 'mean', limit: 5 });
    if (!byMean.installed) throw new Error(byMean.remedy);
    expect(byMean.queries).toHaveLength(5);
    const means = byMean.queries.map(({ meanMs }) => meanMs);
    expect(means).toEqual([...means].sort((a, b) => b - a));
    const frequent = await reports.top({ minCalls: 3, limit: 1000 });
    if (!frequent.installed) throw new Error(frequent.remedy);
    expect(frequent.queries.length).toBeGreaterThan(0);
    for (const { calls } of frequent.queries) expect(calls).toBeGreaterThanOrEqual(3);
  });

  it('counts the statements that the login may not see instead of showing them', async () => {
    await server.query('CREATE ROLE modest LOGIN');
    await server.query('GRANT USAGE ON SCHEMA "Odd schema" TO modest');
    const modest = await openDatabase(parseDatabaseOptions({ url: server.urlOf('postgres', 'modest') }));
    try {
      const report = await new SlowQueryReport(modest).top({ limit: 1000 });
      if (!report.installed) throw new Error(report.remedy);
      expect(report.hidden).toBeGreaterThan(0);
      for (const { role } of report.queries) expect(role).toBe('modest');
    } finally {
      await modest.close();
    }
  });

  it('says what is missing, and what to do about it', async () => {
    const other = await openDatabase(parseDatabaseOptions({ url: server.urlOf('plain') }));
    try {
      expect(await new SlowQueryReport(other).top()).toEqual({
        installed: false,
        reason: 'not-created',
        remedy: expect.stringContaining('CREATE EXTENSION pg_stat_statements'),
      });
    } finally {
      await other.close();
    }
    const bare = await PostgresServer.start();
    try {
      await bare.query('CREATE EXTENSION pg_stat_statements');
      const unloaded = await openDatabase(parseDatabaseOptions({ url: bare.url }));
      try {
        expect(await new SlowQueryReport(unloaded).top()).toEqual({
          installed: false,
          reason: 'not-loaded',
          remedy: expect.stringContaining('shared_preload_libraries'),
        });
      } finally {
        await unloaded.close();
      }
    } finally {
      await bare.stop();
    }
  });
});
