import { setTimeout as pause } from 'node:timers/promises';
import { PostgresConnection } from 'bullmq';
import { JobQueues, payloadOf } from '../../src/queue/job-queues.js';
import { openBackend, type StoreAddress } from '../queue/store-address.js';

/**
 * Works on jobs, eight at once, until it kills itself as it enters the `dieAt`-th moment of them all: a job has
 * three, before and after its effect and at its end. The effect is a row and a count that grows with it, in one
 * transaction.
 */
const { store, effects, dieAt } = JSON.parse(process.argv[2]!) as {
  store: StoreAddress;
  effects: string;
  dieAt: number | null;
};
let moments = 0;
const moment = async () => {
  moments += 1;
  if (moments === dieAt) process.kill(process.pid, 'SIGKILL');
  await pause(Math.random() * 40);
};
const queues = new JobQueues(openBackend(store), {
  lockMs: 1_500,
  stalledCheckMs: 300,
  maxStalled: 50,
});
const { pool } = new PostgresConnection({ connectionString: effects, max: 4, skipMigrations: true });

queues
  .startWorker(
    'ingestion',
    async (job) => {
      const { jobId, tenantId } = payloadOf('ingestion', job);
      await pool.query('INSERT INTO public.begun (job_id) VALUES ($1)', [jobId]);
      await moment();
      await pool.query(
        `WITH effect AS (INSERT INTO public.effects (job_id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING job_id)
         UPDATE public.counts SET effects = effects + 1 WHERE tenant_id = $2 AND EXISTS (SELECT FROM effect)`,
        [jobId, tenantId],
      );
      await moment();
      await moment();
    },
    { concurrency: 8 },
  )
  .on('error', () => {});
