import { parseTenantId } from '@sparkle/contracts';
import { MemoryCacheStore } from '../adapters/memory/memory-cache.store.js';
import { MemoryInvalidationBus } from '../adapters/memory/memory-invalidation.bus.js';
import { MemorySemanticStore } from '../adapters/memory/memory-semantic.store.js';
import { CacheService } from '../core/cache.service.js';
import type { QuestionEmbedder } from '../ports/question-embedder.port.js';
import { SemanticCache } from '../semantic/semantic.cache.js';
import type { LabelledPair } from './labelled-pairs.js';

/** Unit vectors by text. */
export type Embeddings = ReadonlyMap<string, Float32Array>;

/** Whether the answer to the first question of a pair is served for the second. */
export interface Serving {
  readonly system: string;
  serves(pair: Pick<LabelledPair, 'first' | 'second'>): Promise<boolean>;
}

export interface Tally {
  readonly duplicates: number;
  readonly servedDuplicates: number;
  readonly others: number;
  readonly servedOthers: number;
}

export async function tallyOf(serving: Serving, pairs: readonly LabelledPair[]): Promise<Tally> {
  let [duplicates, servedDuplicates, servedOthers] = [0, 0, 0];
  for (const pair of pairs) {
    const served = await serving.serves(pair);
    if (pair.duplicate) {
      duplicates += 1;
      if (served) servedDuplicates += 1;
    } else if (served) servedOthers += 1;
  }
  return { duplicates, servedDuplicates, others: pairs.length - duplicates, servedOthers };
}

export function sumOf(tallies: readonly Tally[]): Tally {
  return tallies.reduce((left, right) => ({
    duplicates: left.duplicates + right.duplicates,
    servedDuplicates: left.servedDuplicates + right.servedDuplicates,
    others: left.others + right.others,
    servedOthers: left.servedOthers + right.servedOthers,
  }));
}

/** The product's cache with its defaults: each pair in a scope of its own, stored and looked up. */
export function sparkleServing(
  model: { readonly id: string; readonly dimensions: number; readonly semanticThreshold?: number },
  embeddings: Embeddings,
): Serving & { close(): void } {
  const tenantId = parseTenantId('evaluation');
  const embedder: QuestionEmbedder = { ...model, embed: async (_, text) => vectorOf(embeddings, text) };
  const cache = new CacheService({ store: new MemoryCacheStore(), bus: new MemoryInvalidationBus() });
  const semantic = new SemanticCache({
    cache,
    store: new MemorySemanticStore({ maxEntries: 1_000 }),
    embedder,
  });
  let pairs = 0;
  return {
    system: 'sparkle',
    async serves({ first, second }) {
      const scope = {
        tenantId,
        model: 'm',
        systemPromptHash: 's',
        toolsHash: 't',
        parametersHash: 'p',
        corpusVersion: ++pairs,
      };
      await semantic.store({ scope, question: first, answer: pairs });
      return (await semantic.lookup({ scope, question: second })) !== undefined;
    },
    close: () => cache.close(),
  };
}

/** What caches do that go by similarity alone. */
export function cosineServing(threshold: number, embeddings: Embeddings): Serving {
  return {
    system: `cosine-${threshold}`,
    serves: async ({ first, second }) =>
      dot(vectorOf(embeddings, first), vectorOf(embeddings, second)) >= threshold,
  };
}

function vectorOf(embeddings: Embeddings, text: string): Float32Array {
  const vector = embeddings.get(text);
  if (!vector) throw new Error(`"${text}" was not embedded`);
  return vector;
}

export function dot(left: Float32Array, right: Float32Array): number {
  let sum = 0;
  for (let index = 0; index < left.length; index += 1) sum += left[index]! * right[index]!;
  return sum;
}
