/** A chunk near a vector; `similarity` is the cosine, in `[-1, 1]`. */
export interface VectorHit {
  readonly chunkId: string;
  readonly similarity: number;
}

/** Nearest chunks of one tenant, best first, at most `k`. Bound to its tenant by whoever makes it. */
export interface VectorIndex {
  search(vector: Float32Array, k: number): Promise<readonly VectorHit[]>;
}
