import { randomUUID } from 'node:crypto';
import { parseTenantId, SeededRandom } from '@sparkle/contracts';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { JobQueues } from '../../src/index.js';
import { SpawnedProcess } from '../processes/spawn-process.js';
import { STORES } from './queue-store.js';

const JOBS = 1_000;
const WORKERS = 3;
const KILLS = 10;
const TENANTS = ['a', 'b', 'c', 'd'].map(parseTenantId);

describe.each(Object.keys(STORES) as (keyof typeof STORES)[])(
  'workers killed at random moments, on %s',
  (kind) => {
    let effects: TestDatabase;

    beforeAll(async () => {
      effects = await createTestDatabase();
      await effects.database.asSystem(async (sql) => {
        await sql.query('CREATE TABLE effects (job_id uuid PRIMARY KEY)');
        await sql.query('CREATE TABLE begun (job_id uuid NOT NULL)');
        await sql.query('CREATE TABLE counts (tenant_id text PRIMARY KEY, effects integer NOT NULL)');
        await sql.query('INSERT INTO counts SELECT unnest($1::text[]), 0', [TENANTS]);
      });
    });
    afterAll(() => effects?.drop());

    const count = async (query: string): Promise<number> => {
      const [row] = await effects.database.asSystem((sql) => sql.query<{ n: number }>(query));
      return Number(row!.n);
    };

    it(`lose none of ${JOBS} jobs and do none of them twice`, { timeout: 120_000 }, async () => {
      const random = new SeededRandom(20);
      const store = await STORES[kind]();
      const queues = new JobQueues(store.open());
      const running = new Set<SpawnedProcess>();
      let kills = 0;
      let over = false;
      /** One worker after the other in one place; those of the first kills die at a moment of their own. */
      const place = async () => {
        while (!over) {
          const dieAt = kills + running.size < KILLS ? 20 + Math.floor(random.next() * 200) : null;
          const options = { store: store.address, effects: effects.url, dieAt };
          const worker = SpawnedProcess.start('killed-worker.ts', JSON.stringify(options));
          running.add(worker);
          if ((await worker.status()) === 'SIGKILL' && !over) kills += 1;
          running.delete(worker);
        }
      };
      const places = Array.from({ length: WORKERS }, place);
      try {
        for (let from = 0; from < JOBS; from += 50)
          await Promise.all(
            Array.from({ length: 50 }, async (_, n) => {
              const jobId = randomUUID();
              const tenantId = TENANTS[n % TENANTS.length]!;
              await queues.add('ingestion', jobId, {
                tenantId,
                jobId,
                kind: 'ingestion',
                subjectId: randomUUID(),
              });
            }),
          );
        await vi.waitFor(
          async () => {
            const { waiting, active, delayed, failed } = (await queues.depths()).ingestion;
            expect({ left: waiting + active + delayed, failed }).toEqual({ left: 0, failed: 0 });
          },
          { timeout: 100_000, interval: 250 },
        );
      } finally {
        over = true;
        for (const worker of running) worker.signal('SIGKILL');
        await Promise.all(places);
        await queues.onApplicationShutdown();
        await store.drop();
      }
      expect(await count('SELECT count(*) AS n FROM effects')).toBe(JOBS);
      expect(await count('SELECT sum(effects) AS n FROM counts')).toBe(JOBS);
      expect(kills).toBe(KILLS);
      // The kills hit running jobs, which began again elsewhere.
      expect(await count('SELECT count(*) AS n FROM begun')).toBeGreaterThan(JOBS);
    });
  },
);
