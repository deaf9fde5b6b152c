import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { TenantId } from '@sparkle/contracts';
import { SeededRandom } from '@sparkle/contracts/testing';
import type { TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { dumpGraph } from '../src/testing/graph-dump.js';
import { createGraphragDatabase, createTestGraphragOn } from '../src/testing/test-graphrag.js';

const EMBED_BATCH = 4;
const DEATHS = 4;
const long = (subject: string) =>
  `# ${subject}\n\n${Array.from(
    { length: 16 },
    (_, i) =>
      `## ${subject} Part ${i}\n\n${subject} flows from Lake Beta${i} to the Gamma Sea, said Alice Archer. ${'It crosses the old town and passes many villages. '.repeat(12)}\n`,
  ).join('\n')}`;
const FIRST = long('River Alpha');
const SECOND = long('River Omega');

let test: TestDatabase;
beforeAll(async () => {
  test = await createGraphragDatabase();
});
afterAll(() => test?.drop());

it('workers that are killed at any statement leave a job that ends in the graph of an undisturbed run', async () => {
  const rag = createTestGraphragOn(test, { options: { embedBatchSize: EMBED_BATCH } });
  const tenantId = await test.createTenant('river');
  const upload = { tenantId, userId: 'teacher', format: 'markdown' };
  for (const content of [FIRST, SECOND]) await rag.ingest(tenantId, content);
  const expected = await dumpGraph(test.database, tenantId);
  for (const { id } of await rag.documents.list(tenantId)) await rag.documents.delete(tenantId, id);

  // The second document knows the names of the first: they come one after the other, as before.
  const random = new SeededRandom(5);
  let died = 0;
  for (const content of [FIRST, SECOND]) {
    const { job } = await rag.documents.submit({ ...upload, content });
    rag.queue.drain();
    for (let death = 0; death < DEATHS; death += 1) {
      const dieAfter = 1 + Math.floor(random.next() * 25);
      if (await work(tenantId, [job.id], dieAfter)) break;
      died += 1;
    }
    expect(await rag.ingestion.process({ tenantId, jobId: job.id })).toMatchObject({ state: 'completed' });
  }
  expect(died).toBeGreaterThanOrEqual(DEATHS);
  expect(await dumpGraph(test.database, tenantId)).toEqual(expected);
}, 240_000);

/** Lets a process work until it dies. True when it got to the end before. */
async function work(tenantId: TenantId, jobIds: readonly string[], dieAfter: number): Promise<boolean> {
  const script = fileURLToPath(new URL('dying-ingestion.ts', import.meta.url));
  const child = spawn(
    process.execPath,
    [
      '--conditions=@sparkle/source',
      '--import=@swc-node/register/esm-register',
      script,
      JSON.stringify([test.url, tenantId, jobIds, dieAfter, EMBED_BATCH]),
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  if (code !== 0 && signal !== 'SIGKILL') throw new Error(`The worker ended with ${code ?? signal}.`);
  return code === 0;
}
