import type { TenantId } from '@sparkle/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enableTenantIsolation } from '../core/tenant-isolation.js';
import { createTestDatabase, type TestDatabase } from '../testing/index.js';
import { explainStatements } from './explain-statements.js';
import { indexReport, indexUsage } from './index-report.js';
import { StatementCapture } from './statement-capture.js';

/** Rows that make a table large here; the planner agrees at some thousand rows. */
const LARGE = 5_000;

let db: TestDatabase;
let acme: TenantId;

beforeAll(async () => {
  db = await createTestDatabase({
    migrations: [
      {
        name: '9000-books',
        statements: [
          `CREATE TABLE books (
            tenant_id text NOT NULL REFERENCES tenants(id),
            id integer NOT NULL,
            author text NOT NULL,
            shelf integer NOT NULL,
            PRIMARY KEY (tenant_id, id))`,
          'CREATE INDEX books_author ON books (tenant_id, author)',
          'CREATE INDEX books_shelf_unread ON books (shelf)',
          ...enableTenantIsolation('books'),
          `CREATE TABLE loans (
            tenant_id text NOT NULL,
            id integer NOT NULL,
            book_id integer NOT NULL,
            taken date NOT NULL,
            PRIMARY KEY (tenant_id, id, taken),
            FOREIGN KEY (tenant_id, book_id) REFERENCES books (tenant_id, id)) PARTITION BY RANGE (taken)`,
          ...[1, 2, 3].map(
            (month) =>
              `CREATE TABLE loans_${month} PARTITION OF loans
               FOR VALUES FROM ('2026-0${month}-01') TO ('2026-0${month + 1}-01')`,
          ),
          'CREATE INDEX loans_taken ON loans (taken)',
          ...enableTenantIsolation('loans'),
        ],
      },
    ],
  });
  acme = await db.createTenant('acme');
  await db.createTenant('globex');
  await db.database.asSystem(async (tx) => {
    await tx.query(`INSERT INTO books
      SELECT CASE WHEN n % 2 = 0 THEN 'acme' ELSE 'globex' END, n, 'author ' || n / 10, n % 500
      FROM generate_series(1, 20000) n`);
    await tx.query(`INSERT INTO loans
      SELECT 'acme', n, 2 * (n % 10000) + 2, '2026-01-01'::date + n % 90 FROM generate_series(1, 9000) n
      ON CONFLICT DO NOTHING`);
    await tx.query('ANALYZE');
  });
});
afterAll(() => db.drop());

const report = async (
  text: string,
  parameters: unknown[],
  tenantId?: TenantId,
  settings: Record<string, string> = {},
) => {
  const since = await indexUsage(db.database);
  const statements = await explainStatements(db.database, [
    { name: 'the query', text, parameters, settings, ...(tenantId && { tenantId }) },
  ]);
  return indexReport(db.database, statements, { largeTableRows: LARGE, since });
};

describe('indexReport', () => {
  it('names the index a query uses and counts it as covered', async () => {
    const { queries, coverage } = await report(
      'SELECT * FROM books WHERE tenant_id = $1 AND author = $2',
      [acme, 'author 8'],
      acme,
    );
    expect(queries).toMatchObject([
      { name: 'the query', covered: true, indexes: ['books_author'], tables: ['books'], worst: { rows: 5 } },
    ]);
    expect(coverage).toMatchObject({ readingLargeTables: 1, covered: 1, percent: 100 });
    expect(coverage.largeTables).toEqual(['books', 'loans']);
  });

  it('finds a missing index, with the columns it would have to start with', async () => {
    const { coverage, missing } = await report(
      'SELECT * FROM loans WHERE tenant_id = $1 AND book_id = $2',
      [acme, 10],
      acme,
    );
    expect(coverage.percent).toBe(0);
    expect(missing).toContainEqual(
      expect.objectContaining({
        reason: 'sequential-scan',
        table: 'loans',
        columns: ['tenant_id', 'book_id'],
        query: 'the query',
      }),
    );
  });

  it('finds an index that throws most of its rows away', async () => {
    const { coverage, missing } = await report(
      'SELECT * FROM books WHERE tenant_id = $1 AND shelf + 0 = $2',
      [acme, 8],
      acme,
      { enable_seqscan: 'off' },
    );
    expect(coverage.percent).toBe(100);
    expect(missing).toContainEqual(
      expect.objectContaining({ reason: 'rows-discarded', table: 'books', rows: 40, discarded: 9_960 }),
    );
  });

  it('finds a foreign key whose deletions search a large table without an index', async () => {
    const { missing } = await report('SELECT 1 FROM books WHERE tenant_id = $1 AND id = 2', [acme], acme);
    expect(missing).toEqual([
      {
        reason: 'foreign-key',
        table: 'loans',
        columns: ['tenant_id', 'book_id'],
        constraint: 'loans_tenant_id_book_id_fkey',
      },
    ]);
  });

  it('lists the indexes that the statements did not use, and marks those that guard a constraint', async () => {
    const { unused } = await report(
      'SELECT * FROM books WHERE tenant_id = $1 AND author = $2',
      [acme, 'author 8'],
      acme,
    );
    const names = unused.map(({ index }) => index);
    expect(names).toContain('books_shelf_unread');
    expect(names).not.toContain('books_author');
    expect(unused.find(({ index }) => index === 'books_pkey')).toMatchObject({ constraint: true });
  });

  it('counts a partition for its table, in plans, sizes and use', async () => {
    const { queries, sizes, unused, coverage } = await report(
      `SELECT count(*) FROM loans WHERE taken = '2026-02-10'`,
      [],
    );
    expect(queries).toMatchObject([{ tables: ['loans'], indexes: ['loans_taken'], covered: true }]);
    expect(coverage.readingLargeTables).toBe(1);
    expect(unused.map(({ index }) => index)).not.toContain('loans_taken');
    const size = sizes.find(({ index }) => index === 'loans_taken')!;
    expect(size.table).toBe('loans');
    expect(size.bytes).toBeGreaterThan(0);
    expect(size.share).toBeCloseTo(size.bytes / size.tableBytes);
  });

  it('does not call a sequential scan of a small table a miss', async () => {
    const { coverage, queries } = await report('SELECT id FROM tenants', []);
    expect(queries).toMatchObject([{ readsLargeTable: false, covered: true }]);
    expect(coverage).toMatchObject({ readingLargeTables: 0, percent: 100 });
  });
});

describe('explainStatements', () => {
  it('sees what row-level security shows to the tenant, and nothing else', async () => {
    const [mine] = await explainStatements(db.database, [
      { name: 'all', text: 'SELECT * FROM books', tenantId: acme },
    ]);
    expect(mine?.plan?.rows).toBe(10_000);
  });

  it('leaves nothing of a writing statement behind', async () => {
    const [deleted] = await explainStatements(db.database, [
      { name: 'delete', text: 'DELETE FROM loans WHERE tenant_id = $1', parameters: [acme], tenantId: acme },
    ]);
    expect(deleted?.plan?.rows).toBeGreaterThan(8_000);
    const left = await db.database.withTenant(acme, (tx) => tx.query('SELECT 1 FROM loans'));
    expect(left.length).toBe(deleted?.plan?.rows);
  });

  it('tells why a statement could not be explained and goes on with the next', async () => {
    const explained = await explainStatements(db.database, [
      { name: 'wrong', text: 'SELECT * FROM no_such_table', tenantId: acme },
      { name: 'right', text: 'SELECT 1', tenantId: acme },
    ]);
    expect(explained[0]).toMatchObject({ name: 'wrong', failure: expect.stringContaining('no_such_table') });
    expect(explained[1]?.plan).toBeDefined();
  });

  it('runs with the settings it is given', async () => {
    const [explained] = await explainStatements(db.database, [
      {
        name: 'forced',
        text: 'SELECT * FROM books WHERE tenant_id = $1 AND author = $2',
        parameters: [acme, 'author 8'],
        tenantId: acme,
        settings: { enable_indexscan: 'off', enable_bitmapscan: 'off' },
      },
    ]);
    expect(explained?.plan?.accesses).toMatchObject([{ method: 'seq' }]);
  });
});

describe('StatementCapture', () => {
  it('records every statement in order, with plans, and lets each run once as far as anyone can see', async () => {
    const { result, statements } = await StatementCapture.run(() =>
      db.database.withTenant(acme, async (tx) => {
        await tx.query('INSERT INTO books VALUES ($1, 99999, $2, 1)', [acme, 'new author']);
        await tx.query('UPDATE books SET shelf = shelf + 1 WHERE tenant_id = $1 AND id = 99999', [acme]);
        return tx.query<{ shelf: number }>('SELECT shelf FROM books WHERE tenant_id = $1 AND id = 99999', [
          acme,
        ]);
      }),
    );
    expect(result).toEqual([{ shelf: 2 }]);
    expect(statements.map(({ text }) => text.split(' ')[0])).toEqual(['INSERT', 'UPDATE', 'SELECT']);
    expect(statements.every(({ plan }) => plan !== undefined)).toBe(true);
    expect(statements[0]).toMatchObject({ tenantId: acme });
    await db.database.withTenant(acme, (tx) => tx.query('DELETE FROM books WHERE id = 99999'));
  });

  it('keeps statements that one transaction sends at once out of each other’s savepoint', async () => {
    await StatementCapture.run(() =>
      db.database.withTenant(acme, async (tx) => {
        const ids = Array.from({ length: 20 }, (_, index) => 90_000 + index);
        await Promise.all(
          ids.map((id) => tx.query('INSERT INTO books VALUES ($1, $2, $3, 1)', [acme, id, 'at once'])),
        );
      }),
    );
    const stored = await db.database.withTenant(acme, (tx) =>
      tx.query("DELETE FROM books WHERE author = 'at once' RETURNING id"),
    );
    expect(stored).toHaveLength(20);
  });

  it('explains as many executions of a text as asked for each tenant, and records them all', async () => {
    const { statements } = await StatementCapture.run(
      () =>
        db.database.withTenant(acme, async (tx) => {
          for (let at = 0; at < 5; at += 1) await tx.query('SELECT 1 FROM books WHERE id = $1', [at]);
        }),
      { plansPerTenant: 2 },
    );
    expect(statements).toHaveLength(5);
    expect(statements.filter(({ plan }) => plan)).toHaveLength(2);
  });

  it('lets a failing statement fail as it would', async () => {
    const failing = StatementCapture.run(() =>
      db.database.withTenant(acme, (tx) =>
        tx.query('INSERT INTO books VALUES ($1, 2, $2, 1)', [acme, 'twice']),
      ),
    );
    await expect(failing).rejects.toThrow(/books_pkey/);
  });
});
