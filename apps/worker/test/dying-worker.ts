import { JobQueues, payloadOf } from '@sparkle/runtime';
import { openBackend, type QueueStore } from './queue-store.js';

/** Begins a job, says so, and never ends it: whoever started this process kills it. */
const store = JSON.parse(process.argv[2]!) as QueueStore;
const queues = new JobQueues(openBackend(store), { lockMs: 1_000, stalledCheckMs: 200, maxStalled: 1 });
queues
  .startWorker(
    'ingestion',
    (job) => {
      process.stdout.write(`running ${payloadOf('ingestion', job).jobId}\n`);
      return new Promise(() => {});
    },
    { concurrency: 1 },
  )
  .on('error', (error) => process.stderr.write(`${error.message}\n`));
