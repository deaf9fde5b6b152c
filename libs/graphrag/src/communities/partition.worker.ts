import { parentPort, workerData } from 'node:worker_threads';
import type { WeightedGraph } from './community-graph.js';
import { partitionGraph } from './partition.js';

const { fine, coarse } = partitionGraph(workerData as WeightedGraph);
parentPort!.postMessage({ fine, coarse });
