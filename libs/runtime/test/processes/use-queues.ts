import { randomUUID } from 'node:crypto';
import { parseTenantId } from '@sparkle/contracts';
import { JobQueues, postgresQueueBackend, redisQueueBackend } from '../../src/index.js';

/** Uses queues in every way, closes them, and ends when nothing is open. */
const [kind, url = ''] = process.argv.slice(2);
const queues = new JobQueues(
  kind === 'redis' ? redisQueueBackend(url, `test-${randomUUID()}`) : postgresQueueBackend(url),
);
const jobId = randomUUID();
await queues.events('ingestion').waitUntilReady();
await queues.add('ingestion', jobId, {
  tenantId: parseTenantId('demo'),
  jobId,
  kind: 'ingestion',
  subjectId: randomUUID(),
});
await new Promise<void>((resolve) => {
  queues.startWorker('ingestion', async () => {}, { concurrency: 1 }).on('completed', () => resolve());
});
await queues.onApplicationShutdown();
process.stdout.write('closed\n');
