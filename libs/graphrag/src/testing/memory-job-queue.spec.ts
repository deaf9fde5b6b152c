import { jobQueueContract } from './job-queue.contract.js';
import { MemoryJobQueue } from './memory-job-queue.js';

jobQueueContract('the memory queue', async () => {
  const queue = new MemoryJobQueue();
  return { queue, take: async () => queue.drain(), close: async () => undefined };
});
