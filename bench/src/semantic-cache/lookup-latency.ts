import {
  CacheService,
  MemoryCacheStore,
  MemoryInvalidationBus,
  SemanticCache,
  type SemanticStore,
} from '@sparkle/cache';
import { dot } from '@sparkle/cache/evaluation';
import { parseTenantId, type Random } from '@sparkle/contracts';
import type { Case } from '../interleaved.js';
import type { BenchDatabase } from './tenant-database.js';

const tenantId = parseTenantId('bench');
const scope = {
  tenantId,
  model: 'm',
  systemPromptHash: 's',
  toolsHash: 't',
  parametersHash: 'p',
  corpusVersion: 1,
};
/** Nearest entries that a look-up examines, the product's default. */
const CANDIDATES = 8;

/** What a mixture has of its second part, to one of the first. */
const WEAK = 0.35;

/** More vectors like those of real questions than were embedded: mixtures of two. */
export class Mixtures {
  readonly vectors: readonly Float32Array[];

  private constructor(
    readonly bases: readonly Float32Array[],
    /** Indices of the strong and the weak part. */
    readonly parts: readonly (readonly [number, number])[],
  ) {
    this.vectors = parts.map(([strong, weak]) => {
      const mixed = bases[strong]!.map((value, index) => value + WEAK * bases[weak]![index]!);
      const norm = Math.sqrt(dot(mixed, mixed));
      return mixed.map((value) => value / norm);
    });
  }

  static of(bases: readonly Float32Array[], count: number, random: Random): Mixtures {
    const any = () => Math.floor(random.next() * bases.length);
    return new Mixtures(
      bases,
      Array.from({ length: count }, () => [any(), any()] as const),
    );
  }

  first(count: number): Mixtures {
    return new Mixtures(this.bases, this.parts.slice(0, count));
  }
}

/** The product's cache over a store, with embeddings given instead of made. */
export class LookupCache {
  private readonly cache = new CacheService({
    store: new MemoryCacheStore(),
    bus: new MemoryInvalidationBus(),
  });
  private readonly semantic: SemanticCache;
  private asked = 0;

  constructor(store: SemanticStore, dimensions: number) {
    const embed = () => Promise.reject(new Error('the embedding is given'));
    this.semantic = new SemanticCache({
      cache: this.cache,
      store,
      embedder: { id: 'bench', dimensions, embed },
    });
  }

  async store(embedding: Float32Array): Promise<void> {
    await this.semantic.store({ scope, question: this.question(), answer: 1, embedding });
  }

  /** Milliseconds of one look-up each, for questions not asked before. */
  looking(queries: readonly Float32Array[]): Case {
    return async () => {
      const times: number[] = [];
      for (const embedding of queries) {
        const question = this.question();
        const started = performance.now();
        await this.semantic.lookup({ scope, question, embedding });
        times.push(performance.now() - started);
      }
      return times;
    };
  }

  close(): void {
    this.cache.close();
  }

  private question(): string {
    this.asked += 1;
    return `How does number ${this.asked} relate to subject ${this.asked}?`;
  }
}

/**
 * Adds entries to the partition of the one that is in the table already, and builds the vector index. PostgreSQL
 * does the mixing: sending the parts takes a fraction of the time.
 * @returns the partition
 */
export async function fillDatabase(database: BenchDatabase, { bases, parts }: Mixtures): Promise<string> {
  const dimensions = bases[0]!.length;
  await database.run(
    `CREATE TABLE bases (n int PRIMARY KEY, strong vector(${dimensions}), weak vector(${dimensions}))`,
  );
  const text = (vector: Float32Array) => `[${vector.join(',')}]`;
  for (let start = 0; start < bases.length; start += 500) {
    const part = bases.slice(start, start + 500);
    await database.run(
      `INSERT INTO bases SELECT $1 + n - 1, strong::vector, weak::vector
        FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS row (strong, weak, n)`,
      [start, part.map(text), part.map((vector) => text(vector.map((value) => WEAK * value)))],
    );
  }
  await database.run(
    `INSERT INTO semantic_cache_entries
      (tenant_id, partition_digest, canonical_hash, question, embedding, answer, threshold, expires_at)
      SELECT first.tenant_id, first.partition_digest, 'filled ' || row.n, 'filled',
        l2_normalize(one.strong + other.weak), first.answer, first.threshold, first.expires_at
      FROM unnest($1::int[], $2::int[]) WITH ORDINALITY AS row (strong, weak, n)
        JOIN bases one ON one.n = row.strong JOIN bases other ON other.n = row.weak,
        (SELECT * FROM semantic_cache_entries LIMIT 1) AS first`,
    [parts.map(([strong]) => strong), parts.map(([, weak]) => weak)],
  );
  await database.buildVectorIndex();
  const [row] = await database.withTenant(tenantId, (sql) =>
    sql.query<{ partition_digest: string }>('SELECT partition_digest FROM semantic_cache_entries LIMIT 1'),
  );
  if (!row) throw new Error('nothing was stored');
  return row.partition_digest;
}

/** The same search by comparing with every vector, kept side by side in memory. */
export function linearScan(vectors: readonly Float32Array[], queries: readonly Float32Array[]): Case {
  const dimensions = vectors[0]!.length;
  const table = new Float32Array(vectors.length * dimensions);
  for (const [index, vector] of vectors.entries()) table.set(vector, index * dimensions);
  return () =>
    queries.map((query) => {
      const started = performance.now();
      const best: { index: number; similarity: number }[] = [];
      for (let index = 0; index < vectors.length; index += 1) {
        let similarity = 0;
        for (let at = 0, from = index * dimensions; at < dimensions; at += 1)
          similarity += table[from + at]! * query[at]!;
        if (best.length === CANDIDATES && similarity <= best[CANDIDATES - 1]!.similarity) continue;
        best.push({ index, similarity });
        best.sort((left, right) => right.similarity - left.similarity);
        best.length = Math.min(best.length, CANDIDATES);
      }
      return performance.now() - started;
    });
}

/** The product's own search statement with PostgreSQL's indexes switched off. */
export function sequentialScan(
  database: BenchDatabase,
  digest: string,
  queries: readonly Float32Array[],
): Case {
  return async () => {
    const times: number[] = [];
    for (const query of queries) {
      const started = performance.now();
      await database.withTenant(tenantId, async (sql) => {
        await sql.query(
          "SELECT set_config('enable_indexscan', 'off', true), set_config('enable_bitmapscan', 'off', true)",
        );
        await sql.query(
          `SELECT id FROM semantic_cache_entries
            WHERE tenant_id = $1 AND partition_digest = $2 AND answer IS NOT NULL AND expires_at > now()
            ORDER BY embedding <=> $3::vector LIMIT $4`,
          [tenantId, digest, `[${query.join(',')}]`, CANDIDATES],
        );
      });
      times.push(performance.now() - started);
    }
    return times;
  };
}

/** Share of `queries` whose nearest entry, found by comparing with all, the store finds first. */
export async function recallOf(
  store: SemanticStore,
  digest: string,
  vectors: readonly Float32Array[],
  queries: readonly Float32Array[],
): Promise<number> {
  let found = 0;
  for (const query of queries) {
    let best = -1;
    for (const vector of vectors) best = Math.max(best, dot(vector, query));
    const [nearest] = await store.search({ tenantId, digest }, query, CANDIDATES);
    if (nearest && nearest.similarity >= best - 1e-4) found += 1;
  }
  return found / queries.length;
}
