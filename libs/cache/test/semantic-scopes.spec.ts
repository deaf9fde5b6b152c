import { parseTenantId, type TenantId } from '@sparkle/contracts';
import { SeededRandom } from '@sparkle/contracts/testing';
import { describe, expect, it } from 'vitest';
import { MemoryCacheStore } from '../src/adapters/memory/memory-cache.store.js';
import { MemoryInvalidationBus } from '../src/adapters/memory/memory-invalidation.bus.js';
import { MemorySemanticStore } from '../src/adapters/memory/memory-semantic.store.js';
import { CacheService } from '../src/core/cache.service.js';
import { SemanticCache, type SemanticScope } from '../src/semantic/semantic.cache.js';

const LOOKUPS = 100_000;
/** Values of each part of a scope; some of them look like several parts written one after another. */
const VALUES = ['a', 'b', 'a","b', 'a:b'];
const WORDINGS = [
  ['What is gradient descent?', 'please explain gradient descent', 'Tell me about the gradient descent'],
  ['How do I train a neural network?', 'how to train neural networks', 'How can we train a neural network'],
  ['什么是梯度下降？', '请问，什么叫梯度下降', '解释一下梯度下降'],
] as const;

/** Thinks all questions the same, so that nothing but the scope keeps them apart. */
const embedder = {
  id: 'constant',
  dimensions: 2,
  embed: async (_tenantId: TenantId, _text: string) => new Float32Array([1, 0]),
};

describe('the scope of an answer', () => {
  it(`is crossed by none of ${LOOKUPS} look-ups of scopes that differ in any of their parts`, async () => {
    const random = new SeededRandom(41);
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random.next() * items.length)]!;
    const tenants = ['acme', 'globex', 'acme-b'].map(parseTenantId);
    const anyScope = (): SemanticScope => ({
      tenantId: pick(tenants),
      ...(random.next() < 0.7 && { userScope: pick(VALUES) }),
      model: pick(VALUES),
      systemPromptHash: pick(VALUES),
      toolsHash: pick(VALUES),
      parametersHash: pick(VALUES),
      corpusVersion: pick([1, 2, '1', 'a']),
    });
    /** `1` and `'1'` are one version of a corpus; everything else tells scopes apart. */
    const nameOf = (scope: SemanticScope, topic: number) =>
      JSON.stringify([
        scope.tenantId,
        scope.userScope ?? null,
        scope.model,
        scope.systemPromptHash,
        scope.toolsHash,
        scope.parametersHash,
        String(scope.corpusVersion),
        topic,
      ]);
    const cache = new CacheService({ store: new MemoryCacheStore(), bus: new MemoryInvalidationBus() });
    const semantic = new SemanticCache({ cache, store: new MemorySemanticStore({ random }), embedder });

    const stored: { scope: SemanticScope; topic: number }[] = [];
    const known = new Set<string>();
    for (let index = 0; index < 1_500; index++) {
      const scope = anyScope();
      const topic = index % WORDINGS.length;
      stored.push({ scope, topic });
      known.add(nameOf(scope, topic));
      await semantic.store({ scope, question: WORDINGS[topic]![0], answer: nameOf(scope, topic) });
    }
    const parts = Object.keys(anyScope()) as (keyof SemanticScope)[];
    let hits = 0;
    for (let index = 0; index < LOOKUPS; index++) {
      const near = pick(stored);
      const other = anyScope();
      // Mostly a scope that differs from a stored one in one part, or not at all.
      const part = pick([...parts, 'userScope', undefined] as const);
      const scope = part === undefined ? near.scope : { ...near.scope, [part]: other[part] };
      const name = nameOf(scope, near.topic);
      const hit = await semantic.lookup({ scope, question: pick(WORDINGS[near.topic]!) });
      if (hit?.answer !== (known.has(name) ? name : undefined))
        throw new Error(`${name} was served ${String(hit?.answer)}`);
      if (hit) hits += 1;
    }
    expect(hits).toBeGreaterThan(LOOKUPS / 10);
    cache.close();
  }, 120_000);
});
