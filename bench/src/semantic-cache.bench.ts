import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MemorySemanticStore, PgvectorSemanticStore } from '@sparkle/cache';
import {
  cosineServing,
  type Embeddings,
  halfOf,
  type LabelledPair,
  questionPairs,
  type Serving,
  sentencePairs,
  sparkleServing,
  sumOf,
  type Tally,
  tallyOf,
  upperLimit,
} from '@sparkle/cache/evaluation';
import { parseTenantId } from '@sparkle/contracts';
import { SeededRandom } from '@sparkle/contracts/testing';
import { LocalEmbeddingModel } from '@sparkle/llm';
import { interleaved, percentile } from './interleaved.js';
import { OURS, Report } from './report.js';
import {
  fillDatabase,
  LookupCache,
  linearScan,
  Mixtures,
  recallOf,
  sequentialScan,
} from './semantic-cache/lookup-latency.js';
import { type Language, type Swap, shuffled, swappedPairs } from './semantic-cache/swapped-pairs.js';
import { openBenchDatabase } from './semantic-cache/tenant-database.js';

const COSINES = [0.98, 0.95, 0.88];
const SWAPS: readonly Swap[] = ['polarity', 'number', 'entity', 'role'];
const LANGUAGES: readonly Language[] = ['en', 'zh'];
/** Pairs per kind of swap and language; fewer where the texts give no more. */
const SWAPPED = 500;
const SIZES = { '1k': 1_000, '100k': 100_000 } as const;
const QUERIES = 60;
/** Embeddings that stored vectors are mixed of. */
const BASES = 4_000;
const ROUNDS = 3;
const THREADS = 2;

const root = fileURLToPath(new URL('../../', import.meta.url));
const flag = process.argv.indexOf('--data');
const dataFolder = resolve(
  flag >= 0 ? (process.argv[flag + 1] ?? '') : (process.env.SPARKLE_DATA ?? join(root, '../shared/data')),
);
const log = (text: string) => console.error(`semantic-cache: ${text} …`);
const report = new Report('semantic-cache');
const model = new LocalEmbeddingModel({ threads: THREADS });
try {
  const sets = testSets();
  const swapped = swappedSets(sets);
  const embeddings = await embed([...Object.values(sets), ...Object.values(swapped)].flat());
  await measureServing(sets, swapped, embeddings);
  await measureLookups([...embeddings.values()]);
  process.stdout.write(report.render(process.argv));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  await model.close();
}

/** The halves that no rule of the product was made on. */
function testSets(): Record<'question_pairs' | 'sts_zh', LabelledPair[]> {
  const testHalf = (pairs: readonly LabelledPair[]) => pairs.filter((pair) => halfOf(pair) === 'test');
  return {
    question_pairs: testHalf(questionPairs(join(dataFolder, 'question-pairs/dev.tsv.gz'))),
    sts_zh: testHalf(sentencePairs(join(dataFolder, 'sts-zh/dev.csv'))),
  };
}

/** By kind of swap and language, made of the same texts. None is a duplicate. */
function swappedSets(sets: ReturnType<typeof testSets>): Record<string, LabelledPair[]> {
  const textsOf = { en: sets.question_pairs, zh: sets.sts_zh };
  const random = new SeededRandom(1);
  return Object.fromEntries(
    LANGUAGES.flatMap((language) =>
      SWAPS.map((swap) => {
        const texts = textsOf[language].flatMap(({ first, second }) => [first, second]);
        const pairs = swappedPairs(texts, language, swap, SWAPPED, random);
        return [`${swap}_${language}`, pairs.map((pair) => ({ ...pair, duplicate: false }))];
      }),
    ),
  );
}

async function embed(pairs: readonly LabelledPair[]): Promise<Embeddings> {
  const texts = [...new Set(pairs.flatMap(({ first, second }) => [first, second]))];
  log(`embedding ${texts.length} texts`);
  const tenantId = parseTenantId('bench');
  const started = performance.now();
  // The model works through one call in order; several calls keep all threads busy.
  const lanes = Array.from({ length: THREADS }, (_, lane) => texts.filter((_, at) => at % THREADS === lane));
  const embedded = await Promise.all(
    lanes.map(async (part) => ({ part, vectors: await model.embed({ tenantId, texts: part }) })),
  );
  report.add(
    'semantic_embedding_ms_per_text',
    ((performance.now() - started) * THREADS) / texts.length,
    'ms',
  );
  return new Map(
    embedded.flatMap(({ part, vectors }) => part.map((text, index) => [text, vectors[index]!] as const)),
  );
}

async function measureServing(
  sets: Record<string, LabelledPair[]>,
  swapped: Record<string, LabelledPair[]>,
  embeddings: Embeddings,
): Promise<void> {
  log('asking each pair');
  const ours = sparkleServing(model, embeddings);
  const servings: Serving[] = [ours, ...COSINES.map((threshold) => cosineServing(threshold, embeddings))];
  for (const serving of servings) {
    const tallies: [string, Tally][] = [];
    for (const [name, pairs] of Object.entries(sets)) tallies.push([name, await tallyOf(serving, pairs)]);
    addTally('', sumOf(tallies.map(([, tally]) => tally)), serving.system);
    for (const [name, tally] of tallies) addTally(`_${name}`, tally, serving.system);
    for (const [name, pairs] of Object.entries(swapped)) {
      const { others, servedOthers } = await tallyOf(serving, pairs);
      addShare('semantic_false_hit', `_${name}`, servedOthers, others, serving.system);
    }
  }
  ours.close();
  const sizes = (groups: Record<string, LabelledPair[]>) =>
    Object.entries(groups)
      .map(
        ([name, pairs]) =>
          `${name} ${pairs.length} (${pairs.filter((pair) => pair.duplicate).length} duplicates)`,
      )
      .join(', ');
  report.note(`pairs: ${sizes(sets)}; swaps: ${sizes(swapped)}`);
  report.note(
    'hit_rate: served duplicates of all duplicates. false_hit_rate: served others of all others. false_served_rate: ' +
      'others of all served; precision is the rest. upper95: exact one-sided 95 % limit (Clopper and Pearson). ' +
      'Without a suffix: question pairs and sts-zh together, without swaps.',
  );
  report.note(
    'only the test half of each set is counted (one bit of a hash of the pair); rules were made on the other',
  );
  report.note(
    'labels are people’s and noisy: "What is the purpose of life ?" is no duplicate of itself without the space',
  );
  report.note(
    `cosine-T serves what is at least that similar by the same embeddings (${model.id}), with no other rule`,
  );
}

function addTally(suffix: string, tally: Tally, system: string): void {
  const { duplicates, servedDuplicates, others, servedOthers } = tally;
  const served = servedDuplicates + servedOthers;
  report.add(`semantic_hit_rate${suffix}`, servedDuplicates / duplicates, 'share', { system });
  addShare('semantic_false_hit', suffix, servedOthers, others, system);
  report.add(`semantic_precision${suffix}`, served === 0 ? 1 : servedDuplicates / served, 'share', {
    system,
  });
  if (served > 0) addShare('semantic_false_served', suffix, servedOthers, served, system);
}

function addShare(name: string, suffix: string, count: number, of: number, system: string): void {
  report.add(`${name}_rate${suffix}`, count / of, 'share', { system });
  report.add(`${name}_upper95${suffix}`, upperLimit(count, of), 'share', { system });
}

async function measureLookups(vectors: readonly Float32Array[]): Promise<void> {
  const random = new SeededRandom(2);
  const url = process.env.TEST_DATABASE_URL;
  const bases = shuffled(vectors, random).slice(0, BASES);
  const all = Mixtures.of(bases, SIZES['100k'], random);
  const queries = Mixtures.of(bases, QUERIES, random).vectors;
  if (!url) report.note('TEST_DATABASE_URL is not set: sparkle is the memory adapter, not pgvector');
  for (const [size, count] of Object.entries(SIZES)) {
    const entries = all.first(count);
    log(`filling stores with ${count} entries`);
    const memory = url && count > 20_000 ? undefined : await memoryLookups(entries.vectors);
    const postgres = url ? await postgresLookups(url, entries, queries) : undefined;
    try {
      log(`looking up among ${count} entries`);
      const ours = (postgres ?? memory)!;
      const figures = await interleaved(
        {
          scan: linearScan(entries.vectors, queries),
          ours: ours.cache.looking(queries),
          memory: memory ? memory.cache.looking(queries) : () => [],
          sequential: postgres ? postgres.sequential : () => [],
        },
        { rounds: ROUNDS },
      );
      const metric = `semantic_lookup_${size}_p95_ms`;
      const baseline = `${metric}@linear-scan`;
      report.add(metric, percentile(figures.scan, 0.95), 'ms', { system: 'linear-scan' });
      report.add(metric, percentile(figures.ours, 0.95), 'ms', { baseline, system: OURS });
      report.add(`semantic_lookup_${size}_p50_ms`, percentile(figures.ours, 0.5), 'ms');
      if (postgres) {
        if (memory)
          report.add(metric, percentile(figures.memory, 0.95), 'ms', { baseline, system: 'sparkle-memory' });
        report.add(metric, percentile(figures.sequential, 0.95), 'ms', {
          baseline,
          system: 'postgres-sequential-scan',
        });
        report.add(`semantic_lookup_${size}_nearest_found`, await postgres.recall(), 'share');
      }
    } finally {
      memory?.cache.close();
      await postgres?.close();
    }
  }
  report.note(
    'a look-up misses the exact tier and the stored wordings and then searches by an embedding that is there already; ' +
      `${QUERIES} questions, ${ROUNDS} rounds. linear-scan compares with every vector in this process, without SQL, ` +
      'rows or expiry; postgres-sequential-scan is the search statement with indexes switched off',
  );
  report.note(
    'stored vectors and questions are mixtures of embeddings of the test half; all entries are in one partition. ' +
      'The memory adapter holds 20,000 entries by default and is not measured at 100k beside PostgreSQL',
  );
}

async function memoryLookups(entries: readonly Float32Array[]): Promise<{ cache: LookupCache }> {
  const store = new MemorySemanticStore({ maxEntries: entries.length, random: new SeededRandom(3) });
  const cache = new LookupCache(store, model.dimensions);
  for (const entry of entries) await cache.store(entry);
  return { cache };
}

async function postgresLookups(url: string, entries: Mixtures, queries: readonly Float32Array[]) {
  const database = await openBenchDatabase(url, model.dimensions);
  const store = new PgvectorSemanticStore(database);
  const cache = new LookupCache(store, model.dimensions);
  const close = async () => {
    cache.close();
    await database.close();
  };
  try {
    // The first entry shows which partition the cache uses; it is far from every question.
    await cache.store(queries[0]!.map((value) => -value));
    const digest = await fillDatabase(database, entries);
    return {
      cache,
      sequential: sequentialScan(database, digest, queries),
      recall: () => recallOf(store, digest, entries.vectors, queries),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
