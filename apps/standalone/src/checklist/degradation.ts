import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { send } from '../processes/running-application.js';
import { uploadCourse } from './course.js';
import type { CheckedProduct, Outages, SetUp } from './set-ups.js';

/** What came of one outage. */
export interface Outage {
  readonly what: string;
  /** Questions that were answered while it lasted, of those that were asked. */
  readonly answered: number;
  readonly asked: number;
  /** The product is as before after it. */
  readonly recovered: boolean;
}

const QUESTIONS_PER_OUTAGE = 10;
const REDIS_PAUSE_MS = 5_000;
const RECOVERY_ATTEMPTS = 100;
const ATTEMPT_EVERY_MS = 200;

/**
 * Breaks what the product depends on, one thing after the other, and asks questions meanwhile: a model endpoint that
 * refuses every call; where the product has them, a Redis that does not answer and a worker that is killed.
 */
export async function degrade(
  setUp: SetUp,
  questions: readonly string[],
  log: (text: string) => void,
): Promise<readonly Outage[]> {
  const asked = questions.slice(0, QUESTIONS_PER_OUTAGE);
  const results = [await modelOutage(setUp, asked, log)];
  if (setUp.services.length === 0) return results;
  return setUp.run({}, async (product, outages) => {
    await uploadCourse(product);
    log('Redis does not answer');
    results.push(await redisOutage(product, outages, asked));
    log('the worker is killed');
    results.push(await workerOutage(product, outages));
    return results;
  });
}

async function modelOutage(
  setUp: SetUp,
  questions: readonly string[],
  log: (text: string) => void,
): Promise<Outage> {
  const endpoint = await refusingEndpoint();
  try {
    const variables = { SPARKLE_CHAT_BASE_URL: endpoint.url, SPARKLE_CHAT_MODEL: 'unavailable' };
    return await setUp.run(variables, async (product) => {
      await uploadCourse(product);
      log('the model endpoint refuses every call');
      const answered = await askAll(product, questions);
      return { what: 'model endpoint refuses', ...answered, recovered: endpoint.calls() > 0 };
    });
  } finally {
    await endpoint.close();
  }
}

async function redisOutage(
  product: CheckedProduct,
  outages: Outages,
  questions: readonly string[],
): Promise<Outage> {
  // Answered before: what is new needs a permit and a budget for the model, which are refused without their store.
  await askAll(product, questions);
  await outages.pauseRedis(REDIS_PAUSE_MS);
  const asked = await askAll(product, questions);
  return { what: 'Redis silent', ...asked, recovered: await eventuallyReady(product) };
}

async function workerOutage(product: CheckedProduct, outages: Outages): Promise<Outage> {
  await outages.killWorker();
  const upload = await send(product.address, '/v1/documents', {
    token: product.token,
    json: { title: 'Meanwhile', text: '# Meanwhile\n\nWritten while no worker ran.', format: 'markdown' },
  });
  await outages.startWorker();
  const path = `/v1/jobs/${upload.body.jobId}`;
  const done = await eventually(async () => {
    const job = await send(product.address, path, { token: product.token });
    return job.body.state === 'completed';
  });
  return { what: 'worker killed', asked: 1, answered: upload.status < 300 ? 1 : 0, recovered: done };
}

async function askAll(product: CheckedProduct, questions: readonly string[]) {
  let answered = 0;
  for (const question of questions) {
    const reply = await send(product.address, '/v1/answers', { token: product.token, json: { question } });
    if (reply.status === 200 && typeof reply.body.answer === 'string') answered += 1;
  }
  return { answered, asked: questions.length };
}

async function eventuallyReady({ address }: CheckedProduct): Promise<boolean> {
  return eventually(async () => (await send(address, '/health/ready')).status === 200);
}

async function eventually(isSo: () => Promise<boolean>): Promise<boolean> {
  for (let attempt = 0; attempt < RECOVERY_ATTEMPTS; attempt++) {
    if (await isSo()) return true;
    await new Promise((resolve) => setTimeout(resolve, ATTEMPT_EVERY_MS));
  }
  return false;
}

/** A model endpoint that answers every call with 503. */
async function refusingEndpoint() {
  let calls = 0;
  const server = createServer((request, response) => {
    calls += 1;
    request.resume();
    response.writeHead(503, { 'content-type': 'application/json' });
    response.end('{"error":{"message":"unavailable"}}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    calls: () => calls,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
