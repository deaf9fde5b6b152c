import type { Clock } from '@sparkle/contracts';
import type { VectorIndex } from './vector-index.port.js';

/** What to retrieve for. */
export interface RetrievalQuery {
  readonly question: string;
  /** The question's embedding; without it only keywords and the graph count. */
  readonly vector?: Float32Array;
  /** Part of flat scores that the embedding makes up, in `[0, 1]`, see `denseShare`. Default 0.3. */
  readonly denseShare?: number;
  /** How many chunks to return. Default 10. */
  readonly limit?: number;
  /** Parts of the graph's ranking to leave out, to see what each contributes. Default none. */
  readonly without?: readonly RankingPart[];
}

/** Parts of the graph's ranking that an ablation can leave out. */
export const RANKING_PARTS = [
  /** Entities that the question names. */
  'names',
  /** Names that are not written in full. */
  'similar names',
  /** Stated edges that share words with the question. */
  'facts',
  /** The best flat passages among the seeds. */
  'passage prior',
  /** The walk from the seeds to their neighbours' neighbours; without it only passages that mention a seed. */
  'walk',
  /** Flat scores beside the walk's ranks. */
  'flat scores',
  /** Rare names weigh more. */
  'rarity',
  /** Less of the graph where the seeds lead everywhere. */
  'trust',
  /** Words that the best passage has count little for the others. */
  'coverage',
] as const;
export type RankingPart = (typeof RANKING_PARTS)[number];

export interface RetrievalDependencies {
  readonly vectors: VectorIndex;
  readonly clock: Pick<Clock, 'monotonic'>;
}

export const DEFAULT_CHUNK_LIMIT = 10;
