import { SystemClock } from '@sparkle/contracts';
import { SeededRandom } from '@sparkle/contracts/testing';
import { buildSnapshot, type GraphSnapshot, retrieveGraph, retrievePlain } from '@sparkle/graphrag';
import { type Case, interleaved, median, percentile } from './interleaved.js';
import { Report } from './report.js';
import { type SyntheticGraph, syntheticGraph } from './synthetic-graph.js';

const SIZES = { '1k': 1_000, '10k': 10_000 } as const;
const QUESTIONS = 50;
const ROUNDS = 5;
const BUILDS = 5;

const report = new Report('retrieval');
for (const [size, passages] of Object.entries(SIZES)) await measure(size, passages);
process.stdout.write(report.render(process.argv));

async function measure(size: string, passages: number): Promise<void> {
  const graph = syntheticGraph(passages, QUESTIONS, new SeededRandom(passages));
  const snapshot = measureBuild(size, graph);
  const figures = await interleaved(
    {
      plain: retrieving(retrievePlain, snapshot, graph, 'plain'),
      graph: retrieving(retrieveGraph, snapshot, graph, 'graph'),
    },
    { rounds: ROUNDS },
  );
  for (const share of [50, 95]) {
    const plain = `plain_p${share}_${size}`;
    report.add(plain, percentile(figures.plain, share / 100), 'ms');
    report.add(`graph_p${share}_${size}`, percentile(figures.graph, share / 100), 'ms', { baseline: plain });
  }
}

/** Builds the snapshot several times over; what the last build left in memory is measured, too. */
function measureBuild(size: string, { rows }: SyntheticGraph): GraphSnapshot {
  const times: number[] = [];
  let snapshot: GraphSnapshot | undefined;
  let growth = 0;
  for (let build = 0; build < BUILDS; build += 1) {
    snapshot = undefined;
    const before = memory();
    const started = performance.now();
    snapshot = buildSnapshot(rows);
    times.push(performance.now() - started);
    growth = memory() - before;
  }
  const edges = snapshot!.edges.ids.length;
  report.add(`edges_${size}`, edges, 'edges');
  report.add(`snapshot_build_${size}`, median(times), 'ms');
  report.add(`snapshot_bytes_per_edge_${size}`, snapshot!.bytes / edges, 'bytes');
  report.add(`heap_growth_per_edge_${size}`, growth / edges, 'bytes');
  return snapshot!;
}

/** Milliseconds of each question. */
function retrieving(
  retrieve: typeof retrieveGraph,
  snapshot: GraphSnapshot,
  { questions, vectors }: SyntheticGraph,
  strategy: 'plain' | 'graph',
): Case {
  const dependencies = { vectors, clock: new SystemClock() };
  return async () => {
    const times: number[] = [];
    for (const { text, vector } of questions) {
      const started = performance.now();
      const result = await retrieve(snapshot, { question: text, vector }, dependencies);
      times.push(performance.now() - started);
      if (result.strategy !== strategy) throw new Error(`"${text}" was answered by ${result.strategy}`);
    }
    return times;
  };
}

/** Bytes in use after a collection. */
function memory(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
