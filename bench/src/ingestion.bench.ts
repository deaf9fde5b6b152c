import { channels } from '@sparkle/contracts';
import { SeededRandom } from '@sparkle/contracts/testing';
import { createTestGraphragOn } from '@sparkle/graphrag/testing';
import { LocalEmbeddingModel } from '@sparkle/llm';
import { withBenchDatabase } from './database/own-database.js';
import { inventedPassages, type Passage, realPassages } from './ingestion/corpus.js';
import { Report } from './report.js';

/** Passages between two readings of memory. */
const STRETCH = 1000;
/** Stretches until caches are full and the compiler is done. */
const WARM_UP = 2;
const MEBIBYTE = 1024 * 1024;

const argument = (name: string, fallback: string) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : (process.argv[at + 1] ?? fallback);
};
const total = Number(argument('--passages', '10000'));
const folder = argument('--data', '');
const threads = Number(argument('--threads', '2'));
const serverUrl = process.env.TEST_DATABASE_URL;
if (!serverUrl) throw new Error('TEST_DATABASE_URL is not set; npm run bench -- ingestion sets it');

const report = new Report('ingestion');
await withBenchDatabase(serverUrl, async ({ database, tenant }) => {
  const embeddings = new LocalEmbeddingModel({ threads });
  const { ingestion, reader } = createTestGraphragOn(
    { database },
    { embeddings, options: { maxDocumentsPerTenant: 1_000_000 } },
  );
  const tenantId = await tenant('bench');
  const source = folder === '' ? inventedPassages(new SeededRandom(1)) : realPassages(folder);

  const seconds = new Map<string, number>();
  const steps = new Set<string>();
  // One batch's documents report the same duration of the same step.
  const stop = channels.ingestion.subscribe(({ step, durationMs }) => {
    if (steps.has(`${step} ${durationMs}`)) return;
    steps.add(`${step} ${durationMs}`);
    seconds.set(step, (seconds.get(step) ?? 0) + durationMs / 1000);
  });
  const memory: number[] = [];
  const rates: number[] = [];
  const started = performance.now();
  for (let done = 0; done < total; done += STRETCH) {
    const stretch = Array.from({ length: Math.min(STRETCH, total - done) }, () =>
      toUpload(source.next().value),
    );
    const before = performance.now();
    const { failures } = await ingestion.ingestMany(tenantId, stretch);
    if (failures.length > 0) throw new Error(`${failures.length} passages failed: ${failures[0]!.message}`);
    rates.push((stretch.length / (performance.now() - before)) * 1000);
    globalThis.gc?.();
    memory.push(process.memoryUsage.rss() / MEBIBYTE);
    process.stderr.write(
      `${done + stretch.length}: ${rates.at(-1)!.toFixed(0)} passages/s, ${memory.at(-1)!.toFixed(0)} MiB\n`,
    );
  }
  const elapsed = (performance.now() - started) / 1000;
  stop();
  await embeddings.close();
  reader.onApplicationShutdown();

  report.add('passages', total, 'passages');
  report.add('time', elapsed, 's');
  report.add('passages_per_second', total / elapsed, '1/s');
  report.add('passages_per_second_first_thousand', rates[0]!, '1/s');
  report.add('passages_per_second_last_thousand', rates.at(-1)!, '1/s');
  for (const [step, spent] of seconds) report.add(`time_${step}`, spent, 's');
  const settled = memory.slice(WARM_UP - 1);
  if (settled.length > 1)
    report.add('rss_growth_per_thousand', (settled.at(-1)! - settled[0]!) / (settled.length - 1), 'MiB');
  report.add('rss_peak', Math.max(...memory), 'MiB');
});
report.note(
  `Local extractor and local embeddings in ${threads} threads; documents of one passage, ${STRETCH} a call.`,
);
process.stdout.write(report.render(process.argv));

function toUpload({ title, text }: Passage) {
  return { userId: 'bench', title: title.slice(0, 300), format: 'text', content: text };
}
