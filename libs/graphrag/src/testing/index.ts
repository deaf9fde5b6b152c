export { FaultyEmbeddingModel } from './faulty-embedding-model.js';
export { HashEmbeddingModel } from './hash-embedding-model.js';
export { type JobQueueSubject, jobQueueContract } from './job-queue.contract.js';
export { MemoryJobQueue } from './memory-job-queue.js';
export { createGraphragDatabase, createTestGraphragOn, type TestGraphrag } from './test-graphrag.js';
