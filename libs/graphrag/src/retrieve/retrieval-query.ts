import type { Clock } from '@sparkle/contracts';
import type { VectorIndex } from './vector-index.port.js';

/** What to retrieve for. */
export interface RetrievalQuery {
  readonly question: string;
  /** The question's embedding; without it only keywords and the graph count. */
  readonly vector?: Float32Array;
  /** How many chunks to return. Default 10. */
  readonly limit?: number;
}

export interface RetrievalDependencies {
  readonly vectors: VectorIndex;
  readonly clock: Pick<Clock, 'monotonic'>;
}

export const DEFAULT_CHUNK_LIMIT = 10;
