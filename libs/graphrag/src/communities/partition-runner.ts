import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type { WeightedGraph } from './community-graph.js';
import { type Partition, partitionGraph } from './partition.js';

/** Graphs below this are partitioned within some ten milliseconds. */
const EDGES_IN_PLACE = 5_000;

/** {@link partitionGraph}, on a thread of its own when the graph is large: the event loop goes on meanwhile. */
export async function runPartition(
  graph: WeightedGraph,
  options: { signal?: AbortSignal | undefined; edgesInPlace?: number } = {},
): Promise<Partition> {
  const { signal } = options;
  signal?.throwIfAborted();
  if (graph.source.length <= (options.edgesInPlace ?? EDGES_IN_PLACE)) return partitionGraph(graph);
  const fromSource = import.meta.url.endsWith('.ts');
  const { vertexCount, source, target, weight } = graph;
  const worker = new Worker(new URL(`./partition.worker.${fromSource ? 'ts' : 'js'}`, import.meta.url), {
    workerData: { vertexCount, source, target, weight },
    env: {},
    ...(fromSource && { execArgv: typeScriptWorkerArguments() }),
  });
  try {
    return await new Promise<Partition>((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      worker.once('message', (partition: Partition) => resolve(partition));
      worker.once('error', reject);
      worker.once('exit', () => reject(new Error('the thread that finds communities ended early')));
    });
  } finally {
    await worker.terminate();
  }
}

/**
 * Arguments with which a worker runs from TypeScript sources, in tests and development only. The compiler's native
 * addon is loaded here too: an addon that only workers have loaded is unmapped while its threads still run.
 */
function typeScriptWorkerArguments(): string[] {
  createRequire(import.meta.url)('@swc/core');
  return ['--import', import.meta.resolve('@swc-node/register/esm-register')];
}
