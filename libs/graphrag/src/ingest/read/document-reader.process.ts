import { Worker } from 'node:worker_threads';
import { readHtml } from './read-html.js';
import { readPdf } from './read-pdf.js';
import type { ReadRequest, ReadResult } from './read-result.js';

/**
 * The process that reads HTML and PDF files, one after another. A file decides what its reader computes and
 * allocates, so a second thread watches from outside of the event loop and kills the process when it has grown
 * beyond the bound given as its argument, in bytes.
 */
const limitBytes = Number(process.argv[2]);
const WATCH = `
  const { workerData } = require('node:worker_threads');
  setInterval(() => {
    if (process.memoryUsage.rss() > workerData) process.kill(process.pid, 'SIGUSR2');
  }, 20);
`;
new Worker(WATCH, { eval: true, workerData: limitBytes, execArgv: [], env: {} }).unref();

process.on('disconnect', () => process.exit(0));
process.on('message', (request: ReadRequest) => {
  void read(request).then((result) => process.send?.(result));
});

async function read(request: ReadRequest): Promise<ReadResult> {
  try {
    return request.format === 'pdf' ? await readPdf(request) : readHtml(request);
  } catch {
    return { kind: 'refused', reason: 'corrupt' };
  }
}
