import { send } from '../processes/running-application.js';
import type { CheckedProduct } from './set-ups.js';
import { coursePages } from './workload.js';

const ASK_EVERY_MS = 200;
const ATTEMPTS = 1500;

/**
 * Uploads the sample course as a user would, and waits until it can be searched.
 * @throws Error when an upload is refused or does not complete.
 */
export async function uploadCourse({ address, token }: CheckedProduct): Promise<void> {
  const jobs: string[] = [];
  for (const { title, text } of await coursePages()) {
    const reply = await send(address, '/v1/documents', { token, json: { title, text, format: 'markdown' } });
    if (reply.status >= 300) throw new Error(`the course was refused: ${reply.status} ${reply.body.code}`);
    jobs.push(reply.body.jobId);
  }
  for (const id of jobs) await completed(address, token, id);
}

async function completed(address: string, token: string, jobId: string): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { body } = await send(address, `/v1/jobs/${jobId}`, { token });
    if (body.state === 'completed') return;
    if (body.state === 'failed') throw new Error('a page of the course could not be read');
    await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
  }
  throw new Error('the course was not read in time');
}
