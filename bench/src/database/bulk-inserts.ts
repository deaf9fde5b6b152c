import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { TenantId } from '@sparkle/contracts';
import { from as copyFrom } from 'pg-copy-streams';
import { interleaved, median } from '../interleaved.js';
import type { Report } from '../report.js';
import type { BenchTarget } from './own-database.js';

const ROUNDS = 3;
const ROWS = 10_000;
/** One statement per row takes its time. */
const SINGLE_ROWS = 2_000;
const ROWS_PER_STATEMENT = 1_000;

interface UserRow {
  readonly id: string;
  readonly name: string;
}

/** New users, written in the ways there are. */
export async function measureBulkInserts(report: Report, target: BenchTarget): Promise<void> {
  const tenantId = await target.tenant('school');
  const ways: Record<string, { rows: number; insert: (rows: readonly UserRow[]) => Promise<unknown> }> = {
    'single inserts': { rows: SINGLE_ROWS, insert: (rows) => insertOneByOne(target, tenantId, rows) },
    'values lists': { rows: ROWS, insert: (rows) => insertValues(target, tenantId, rows) },
    'json recordset': { rows: ROWS, insert: (rows) => insertRecordset(target, tenantId, rows) },
    copy: { rows: ROWS, insert: (rows) => copy(target, rows) },
  };
  const rates = await interleaved(
    Object.fromEntries(
      Object.entries(ways).map(([name, { rows: count, insert }]) => [
        name,
        async () => {
          await target.prepare((client) => client.query('DELETE FROM users'));
          const rows = Array.from({ length: count }, (_, n) => ({
            id: randomUUID(),
            name: `User number ${n}`,
          }));
          const started = performance.now();
          await insert(rows);
          return [(count * 1000) / (performance.now() - started)];
        },
      ]),
    ),
    { rounds: ROUNDS },
  );
  for (const name of Object.keys(ways)) {
    const baseline = name === 'single inserts' ? undefined : 'bulk_insert@single inserts';
    report.add('bulk_insert', median(rates[name]!), 'rows/s', {
      system: name,
      ...(baseline && { baseline }),
    });
  }
  report.note(
    'bulk_insert: rows of users with its two indexes and a foreign key, one transaction. PostgreSQL refuses COPY FROM ' +
      'to a role that row-level security binds, so the product writes "json recordset", and COPY runs as superuser here.',
  );
}

function insertOneByOne({ database }: BenchTarget, tenantId: TenantId, rows: readonly UserRow[]) {
  return database.withTenant(tenantId, async (tx) => {
    for (const { id, name } of rows)
      await tx.query('INSERT INTO users (tenant_id, id, display_name) VALUES ($1, $2, $3)', [
        tenantId,
        id,
        name,
      ]);
  });
}

function insertValues({ database }: BenchTarget, tenantId: TenantId, rows: readonly UserRow[]) {
  return database.withTenant(tenantId, async (tx) => {
    for (let from = 0; from < rows.length; from += ROWS_PER_STATEMENT) {
      const part = rows.slice(from, from + ROWS_PER_STATEMENT);
      const values = part.map((_, at) => `($1, $${2 * at + 2}, $${2 * at + 3})`);
      await tx.query(`INSERT INTO users (tenant_id, id, display_name) VALUES ${values.join(', ')}`, [
        tenantId,
        ...part.flatMap(({ id, name }) => [id, name]),
      ]);
    }
  });
}

function insertRecordset({ database }: BenchTarget, tenantId: TenantId, rows: readonly UserRow[]) {
  return database.withTenant(tenantId, async (tx) => {
    for (let from = 0; from < rows.length; from += ROWS_PER_STATEMENT)
      await tx.query(
        `INSERT INTO users (tenant_id, id, display_name)
         SELECT $1, u.id, u.name FROM jsonb_to_recordset($2::jsonb) AS u(id text, name text)`,
        [tenantId, JSON.stringify(rows.slice(from, from + ROWS_PER_STATEMENT))],
      );
  });
}

function copy({ prepare }: BenchTarget, rows: readonly UserRow[]) {
  return prepare((client) =>
    pipeline(
      Readable.from(rows.map(({ id, name }) => `school\t${id}\t${name}\n`)),
      client.query(copyFrom('COPY users (tenant_id, id, display_name) FROM STDIN')),
    ),
  );
}
