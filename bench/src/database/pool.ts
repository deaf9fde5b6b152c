import type { TenantId } from '@sparkle/contracts';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { interleaved, median, percentile } from '../interleaved.js';
import type { Report } from '../report.js';
import type { BenchTarget } from './own-database.js';

const CONCURRENT = 200;
const REQUESTS = 4_000;
const ROUNDS = 5;
/** `pool.size` and `pool.overflow` of the product. */
const CONNECTIONS = 30;

/** One request: a transaction for a tenant that reads one row. */
type Serve = (userId: string) => Promise<unknown>;

const READ = 'SELECT id, status, created_at FROM users WHERE tenant_id = $1 AND id = $2';
const SETTINGS = "SELECT set_config('role', 'sparkle_app', true), set_config('sparkle.tenant_id', $1, true)";

/** 200 requests at once on 30 connections: the product's pool against pg's and TypeORM's with the same statements. */
export async function measurePool(report: Report, target: BenchTarget): Promise<void> {
  const tenantId = await target.tenant('school');
  await target.prepare((client) =>
    client.query(
      `INSERT INTO users (tenant_id, id) SELECT 'school', 'user-' || n FROM generate_series(0, 999) n`,
    ),
  );
  const { serve, close } = await systems(target, tenantId);
  const waits = new Map<string, number[]>(Object.keys(serve).map((name) => [name, []]));
  try {
    const rates = await interleaved(
      Object.fromEntries(
        Object.entries(serve).map(([name, request]) => [
          name,
          async () => {
            const times: number[] = [];
            let next = 0;
            const started = performance.now();
            const client = async () => {
              while (next < REQUESTS) {
                const begun = performance.now();
                await request(`user-${next++ % 1000}`);
                times.push(performance.now() - begun);
              }
            };
            await Promise.all(Array.from({ length: CONCURRENT }, client));
            waits.get(name)!.push(percentile(times, 0.95));
            return [(REQUESTS * 1000) / (performance.now() - started)];
          },
        ]),
      ),
      { rounds: ROUNDS },
    );
    for (const name of Object.keys(serve)) {
      const baseline = name === 'pg' ? undefined : 'pool_throughput@pg';
      report.add('pool_throughput', median(rates[name]!), 'requests/s', {
        system: name,
        ...(baseline && { baseline }),
      });
    }
    for (const name of Object.keys(serve)) {
      const baseline = name === 'pg' ? undefined : 'pool_p95@pg';
      // The first round does not count.
      report.add('pool_p95', median(waits.get(name)!.slice(1)), 'ms', {
        system: name,
        ...(baseline && { baseline }),
      });
    }
    report.note(
      `${CONCURRENT} requests at once, at most ${CONNECTIONS} connections each; everyone sends BEGIN, role and tenant, one SELECT, COMMIT.`,
    );
  } finally {
    await close();
  }
}

async function systems(
  { database, url }: BenchTarget,
  tenantId: TenantId,
): Promise<{ serve: Record<string, Serve>; close: () => Promise<void> }> {
  const pool = new pg.Pool({ connectionString: url, max: CONNECTIONS });
  const dataSource = await new DataSource({ type: 'postgres', url, poolSize: CONNECTIONS }).initialize();
  return {
    serve: {
      pg: async (userId) => {
        const client = await pool.connect();
        try {
          await client.query('BEGIN');
          await client.query(SETTINGS, [tenantId]);
          const { rows } = await client.query(READ, [tenantId, userId]);
          await client.query('COMMIT');
          return rows;
        } finally {
          client.release();
        }
      },
      typeorm: (userId) =>
        dataSource.transaction(async (manager) => {
          await manager.query(SETTINGS, [tenantId]);
          return manager.query(READ, [tenantId, userId]);
        }),
      sparkle: (userId) => database.withTenant(tenantId, (tx) => tx.query(READ, [tenantId, userId])),
    },
    close: async () => {
      await pool.end();
      await dataSource.destroy();
    },
  };
}
