import { monitorEventLoopDelay } from 'node:perf_hooks';
import { SystemClock, type TenantId } from '@sparkle/contracts';
import { SeededRandom } from '@sparkle/contracts/testing';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import {
  graphragMigrations,
  parseGraphragOptions,
  type RetrievalResult,
  retrieveGraph,
  retrievePlain,
  SnapshotProvider,
} from '@sparkle/graphrag';
import { type Case, interleaved, median, percentile } from '../interleaved.js';
import type { Report } from '../report.js';
import { type SyntheticGraph, syntheticGraph } from '../synthetic-graph.js';
import { loadGraph } from './load-graph.js';

const DIMENSIONS = 64;
const QUESTIONS = 40;
/** Of these, how many are asked over SQL: they take seconds on large graphs. */
const sqlQuestions = (edges: number) => Math.max(3, Math.min(10, Math.round(1_000_000 / edges)));
const ROUNDS = 3;
const BUILDS = 2;
const EVERYTHING = 64 * 1024 ** 3;

/** Loads a graph of so many edges into a database of its own and measures retrieval over it. */
export async function measureSize(report: Report, size: string, edges: number): Promise<void> {
  const test = await createTestDatabase({ migrations: graphragMigrations, dimensions: DIMENSIONS });
  try {
    const tenantId = await test.createTenant('bench');
    const loaded = await load(test, tenantId, edges);
    report.add(`edges_${size}`, loaded.edges, 'edges');
    report.add(`nodes_${size}`, loaded.nodes, 'nodes');
    await measureReaders(report, size, test, tenantId, loaded.questions, loaded.edges);
  } finally {
    await test.drop();
  }
}

/** Gives of the graph only what is needed later: its rows would weigh on the heap while memory is measured. */
async function load(
  test: TestDatabase,
  tenantId: TenantId,
  edges: number,
): Promise<{ questions: SyntheticGraph['questions']; edges: number; nodes: number }> {
  const random = new SeededRandom(edges);
  const graph = syntheticGraph(edges, { questions: QUESTIONS, dimensions: DIMENSIONS, random });
  await loadGraph(test.url, tenantId, graph);
  const { questions, rows } = graph;
  return { questions: [...questions], edges: rows.edges.length, nodes: rows.nodes.length };
}

async function measureReaders(
  report: Report,
  size: string,
  test: TestDatabase,
  tenantId: TenantId,
  questions: SyntheticGraph['questions'],
  edges: number,
): Promise<void> {
  const memory = provider(test, EVERYTHING);
  await measureBuilds(report, size, test, tenantId, edges, memory);
  const sql = provider(test, 1);
  const few = questions.slice(0, sqlQuestions(edges));
  await expectEqual(memory, sql, tenantId, few.slice(0, 3));
  const figures = await interleaved(
    {
      plain: asking(memory, tenantId, questions, retrievePlain),
      memory: asking(memory, tenantId, questions, retrieveGraph),
      sql: asking(sql, tenantId, few, retrieveGraph),
    },
    { rounds: ROUNDS },
  );
  for (const share of [50, 95]) {
    const name = (system: string) => `${system}_p${share}_${size}`;
    report.add(name('memory'), percentile(figures.memory, share / 100), 'ms');
    report.add(name('plain'), percentile(figures.plain, share / 100), 'ms', { baseline: name('memory') });
    report.add(name('sql'), percentile(figures.sql, share / 100), 'ms', { baseline: name('memory') });
  }
}

function provider(test: TestDatabase, bound: number): SnapshotProvider {
  const options = parseGraphragOptions({ snapshotMaxBytes: EVERYTHING, snapshotMaxTenantBytes: bound });
  return new SnapshotProvider(test.database, new SystemClock(), options);
}

/** Builds the snapshot several times over; `memory` keeps the last. */
async function measureBuilds(
  report: Report,
  size: string,
  test: TestDatabase,
  tenantId: TenantId,
  edges: number,
  memory: SnapshotProvider,
): Promise<void> {
  const times: number[] = [];
  const processor: number[] = [];
  const delays: number[] = [];
  let growth = 0;
  for (let build = 1; build <= BUILDS; build += 1) {
    const snapshots = build === BUILDS ? memory : provider(test, EVERYTHING);
    const before = used();
    const loop = monitorEventLoopDelay({ resolution: 1 });
    loop.enable();
    const started = performance.now();
    const cpu = process.cpuUsage();
    await snapshots.current(tenantId);
    times.push(performance.now() - started);
    const { user, system } = process.cpuUsage(cpu);
    processor.push((user + system) / 1000);
    loop.disable();
    delays.push(loop.max / 1e6);
    growth = used() - before;
  }
  report.add(`build_${size}`, median(times), 'ms');
  report.add(`build_cpu_${size}`, median(processor), 'ms');
  report.add(`build_loop_delay_${size}`, median(delays), 'ms');
  report.add(`snapshot_per_edge_${size}`, memory.size.bytes / edges, 'bytes');
  report.add(`heap_per_edge_${size}`, growth / edges, 'bytes');
}

/** Milliseconds of each question. */
function asking(
  snapshots: SnapshotProvider,
  tenantId: TenantId,
  questions: SyntheticGraph['questions'],
  retrieve: typeof retrieveGraph,
): Case {
  return async () => {
    const times: number[] = [];
    for (const question of questions) {
      const started = performance.now();
      await ask(snapshots, tenantId, question, retrieve);
      times.push(performance.now() - started);
    }
    return times;
  };
}

function ask(
  snapshots: SnapshotProvider,
  tenantId: TenantId,
  { text, vector }: SyntheticGraph['questions'][number],
  retrieve: typeof retrieveGraph,
): Promise<RetrievalResult> {
  return snapshots.read(tenantId, (reader, vectors) =>
    retrieve(reader, { question: text, vector }, { vectors, clock: new SystemClock() }),
  );
}

async function expectEqual(
  memory: SnapshotProvider,
  sql: SnapshotProvider,
  tenantId: TenantId,
  questions: SyntheticGraph['questions'],
): Promise<void> {
  for (const question of questions) {
    const [mine, theirs] = [
      await ask(memory, tenantId, question, retrieveGraph),
      await ask(sql, tenantId, question, retrieveGraph),
    ].map(({ durationMs: _, ...result }) => JSON.stringify(result));
    if (mine !== theirs) throw new Error(`"${question.text}" was answered differently over SQL`);
  }
}

/** Bytes in use after a collection. */
function used(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
