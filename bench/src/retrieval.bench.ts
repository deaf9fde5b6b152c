import { Report } from './report.js';
import { measureSize } from './retrieval/measure-size.js';

/** Edges of the graphs; the others are read over SQL, too. */
const SIZES = { '1k': 1_000, '10k': 10_000, '100k': 100_000, '500k': 500_000, '1m': 1_000_000 } as const;

if (!process.env.TEST_DATABASE_URL)
  throw new Error('TEST_DATABASE_URL is not set: run this as "npm run bench -- retrieval".');
const report = new Report('retrieval');
const chosen = process.argv.slice(2).filter((argument) => argument in SIZES);
for (const [size, edges] of Object.entries(SIZES))
  if (chosen.length === 0 || chosen.includes(size)) await measureSize(report, size, edges);
report.note(
  'a graph of N edges has N/5 nodes and N/10 passages (100k edges: 10,000 passages). memory_*, sql_* and plain_* cover ' +
    'the check of the corpus version and the vector search in PostgreSQL, not the embedding of the question. plain_* is ' +
    'retrieval without a graph, in memory.',
);
report.note(
  'synthetic: words and entities are drawn from Zipf-like distributions, embeddings are random and have 64 dimensions. ' +
    'Say nothing about the quality of retrieval, which npm run eval -- retrieval measures.',
);
report.note(
  'build covers reading everything from PostgreSQL. build_loop_delay is the longest time in which the event loop served ' +
    'nobody during a build. heap_per_edge is what the process grew by, snapshot_per_edge what the snapshot counts.',
);
process.stdout.write(report.render(process.argv));
