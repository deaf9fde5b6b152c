import { parseTenantId, type TenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { describe, expect, it, vi } from 'vitest';
import { MemoryCacheStore } from '../src/adapters/memory/memory-cache.store.js';
import { MemoryBusHub, MemoryInvalidationBus } from '../src/adapters/memory/memory-invalidation.bus.js';
import { MemorySemanticStore } from '../src/adapters/memory/memory-semantic.store.js';
import { CacheService } from '../src/core/cache.service.js';
import { SemanticEntryNotFoundError, SemanticInputInvalidError } from '../src/errors.js';
import { SemanticCache, type SemanticScope } from '../src/semantic/semantic.cache.js';
import { CONTRACT_DIMENSIONS, semanticStoreContract } from '../src/testing/semantic-store.contract.js';
import { deferred, settle } from './cluster.js';

semanticStoreContract('memory', async () => {
  const clock = new TestClock();
  return {
    store: new MemorySemanticStore({ clock }),
    tenants: [parseTenantId('acme'), parseTenantId('globex')],
    advance: (ms) => clock.advance(ms),
  };
});

const scope: SemanticScope = {
  tenantId: parseTenantId('acme'),
  model: 'm',
  systemPromptHash: 's',
  toolsHash: 't',
  parametersHash: 'p',
  corpusVersion: 1,
};

/** Finds all questions alike, so that only the gates can tell them apart. */
class ForgivingEmbedder {
  readonly id = 'forgiving';
  readonly dimensions = CONTRACT_DIMENSIONS;
  calls = 0;
  similarity = 0.97;

  async embed(_tenantId: TenantId, text: string): Promise<Float32Array> {
    this.calls++;
    const vector = new Float32Array(CONTRACT_DIMENSIONS);
    const angle = text.includes('completely') ? Math.acos(this.similarity) : 0;
    vector[0] = Math.cos(angle);
    vector[1] = Math.sin(angle);
    return vector;
  }
}

function setUp(options = {}) {
  const clock = new TestClock();
  const embedder = new ForgivingEmbedder();
  const store = new MemorySemanticStore({ clock });
  const hub = new MemoryBusHub();
  const entries = new MemoryCacheStore(clock);
  /** The first tier of a process of its own, over the same second tier. */
  const another = () => new CacheService({ store: entries, bus: new MemoryInvalidationBus(hub), clock });
  const semantic = new SemanticCache({ cache: another(), store, embedder, clock }, options);
  return { clock, embedder, store, semantic, processes: { another } };
}

// Same subjects and kind, not the same words; "completely" is what the embedder sees.
const QUESTION = 'What are the methods that optimise training?';
const PARAPHRASE = 'What are related methods that optimise training completely?';

describe('SemanticCache', () => {
  it('serves the exact question and other wordings of it without embedding them', async () => {
    const { semantic, embedder } = setUp();
    const entryId = await semantic.store({ scope, question: 'What is SGD?', answer: { text: 'A method.' } });
    const calls = embedder.calls;
    const wordings = {
      'what is sgd': 'exact',
      'Please explain SGD!': 'semantic',
      'SGD is what?': 'semantic',
    };
    for (const [question, tier] of Object.entries(wordings))
      expect(await semantic.lookup({ scope, question })).toEqual({
        answer: { text: 'A method.' },
        tier,
        entryId,
        question: 'What is SGD?',
        similarity: 1,
      });
    expect(embedder.calls).toBe(calls);
  });

  it('serves a paraphrase found by similarity, and knows it at once the next time', async () => {
    const { semantic, embedder } = setUp();
    await semantic.store({ scope, question: QUESTION, answer: 1 });
    const loader = vi.fn(async () => ({ answer: 2 }));
    expect(await semantic.getOrAnswer(PARAPHRASE, scope, loader)).toMatchObject({
      answer: 1,
      cache: 'semantic',
    });
    await semantic.drain();
    const calls = embedder.calls;
    expect(await semantic.getOrAnswer(PARAPHRASE, scope, loader)).toMatchObject({
      answer: 1,
      cache: 'semantic',
    });
    expect(embedder.calls).toBe(calls);
    expect(loader).not.toHaveBeenCalled();
  });

  it('does not serve what the gates tell apart, however similar', async () => {
    const { semantic } = setUp();
    await semantic.store({ scope, question: 'What is supervised learning?', answer: 1 });
    expect(await semantic.lookup({ scope, question: 'What is unsupervised learning?' })).toBeUndefined();
    expect(await semantic.lookup({ scope, question: 'What is supervised training?' })).toBeUndefined();
  });

  it('never serves across any part of the scope', async () => {
    const { semantic } = setUp();
    await semantic.store({ scope, question: QUESTION, answer: 1 });
    const changes: Partial<SemanticScope>[] = [
      { tenantId: parseTenantId('globex') },
      { userScope: 'u1' },
      { model: 'n' },
      { systemPromptHash: 'x' },
      { toolsHash: 'x' },
      { parametersHash: 'x' },
      { corpusVersion: 2 },
      { model: 'm","s', systemPromptHash: '' },
    ];
    for (const change of changes) {
      expect(await semantic.lookup({ scope: { ...scope, ...change }, question: QUESTION })).toBeUndefined();
      expect(await semantic.lookup({ scope: { ...scope, ...change }, question: PARAPHRASE })).toBeUndefined();
    }
  });

  it('lets an entry die after 24 hours, however often it was hit', async () => {
    const { clock, semantic } = setUp();
    await semantic.store({ scope, question: QUESTION, answer: 1 });
    const hour = 3_600_000;
    for (let passed = 0; passed < 23; passed++) {
      await clock.advance(hour);
      expect(await semantic.lookup({ scope, question: QUESTION })).toBeDefined();
      expect(await semantic.lookup({ scope, question: PARAPHRASE })).toBeDefined();
    }
    await clock.advance(hour);
    expect(await semantic.lookup({ scope, question: QUESTION })).toBeUndefined();
    expect(await semantic.lookup({ scope, question: PARAPHRASE })).toBeUndefined();
  });

  it('shares one load among concurrent paraphrases', async () => {
    const { clock, semantic } = setUp();
    const gate = deferred<{ answer: string }>();
    const loader = vi.fn(() => gate.promise);
    const questions = ['What is SGD?', 'Explain SGD', 'what does SGD mean', QUESTION, PARAPHRASE, QUESTION];
    const calls = questions.map((question) => semantic.getOrAnswer(question, scope, loader));
    await settle(clock);
    await settle(clock);
    expect(loader).toHaveBeenCalledTimes(2);
    gate.resolve({ answer: 'shared' });
    const results = await Promise.all(calls);
    expect(results.every(({ answer }) => answer === 'shared')).toBe(true);
    expect(results.filter(({ cache }) => cache === 'miss')).toHaveLength(2);
    expect(results[4]?.cache).toBe('semantic');
  });

  it('gives a failing loader’s error to all who share the load, and stores nothing', async () => {
    const { semantic } = setUp();
    const loader = vi.fn(() => Promise.reject(new Error('model down')));
    const outcomes = await Promise.allSettled(
      [QUESTION, PARAPHRASE, QUESTION].map((question) => semantic.getOrAnswer(question, scope, loader)),
    );
    for (const outcome of outcomes)
      expect(String((outcome as PromiseRejectedResult).reason)).toContain('model down');
    expect(loader).toHaveBeenCalledTimes(1);
    expect(await semantic.getOrAnswer(QUESTION, scope, async () => ({ answer: 'ok' }))).toEqual({
      cache: 'miss',
      answer: 'ok',
    });
  });

  it('answers before the answer is stored', async () => {
    const { clock, semantic, store } = setUp();
    const gate = deferred<void>();
    const original = store.store.bind(store);
    store.store = async (...args) => {
      await gate.promise;
      return original(...args);
    };
    expect((await semantic.getOrAnswer(QUESTION, scope, async () => ({ answer: 1 }))).cache).toBe('miss');
    expect(await semantic.getOrAnswer(QUESTION, scope, async () => ({ answer: 2 }))).toMatchObject({
      answer: 1,
    });
    gate.resolve();
    await settle(clock);
    await semantic.drain();
    expect(await semantic.lookup({ scope, question: QUESTION })).toMatchObject({ answer: 1, tier: 'exact' });
  });

  it('does not keep an answer its loader calls not cacheable', async () => {
    const { semantic } = setUp();
    await semantic.getOrAnswer(QUESTION, scope, async () => ({ answer: 'degraded', cacheable: false }));
    await semantic.drain();
    expect(await semantic.lookup({ scope, question: QUESTION })).toBeUndefined();
  });

  it('after a bad hit serves the entry no more, and its successor only to closer questions', async () => {
    const { semantic } = setUp();
    await semantic.store({ scope, question: QUESTION, answer: 'first' });
    const asked = PARAPHRASE.replace('methods', 'fast numerical methods');
    const own = QUESTION.replace('methods', 'fast numerical methods');
    await semantic.store({ scope, question: own, answer: 'own' });
    const hit = await semantic.lookup({ scope, question: PARAPHRASE });
    expect(hit?.answer).toBe('first');
    await semantic.reportBadHit({ tenantId: scope.tenantId, entryId: hit!.entryId, similarity: 0.97 });
    expect(await semantic.lookup({ scope, question: QUESTION })).toBeUndefined();
    expect(await semantic.lookup({ scope, question: PARAPHRASE })).toBeUndefined();
    expect((await semantic.lookup({ scope, question: asked }))?.answer).toBe('own');
    await semantic.store({ scope, question: QUESTION, answer: 'second' });
    expect((await semantic.lookup({ scope, question: QUESTION }))?.answer).toBe('second');
    expect(await semantic.lookup({ scope, question: PARAPHRASE })).toBeUndefined();
    await expect(
      semantic.reportBadHit({ tenantId: parseTenantId('globex'), entryId: hit!.entryId }),
    ).rejects.toThrow(SemanticEntryNotFoundError);
  });

  it('purges answers made from a document, also those still being made', async () => {
    const { clock, semantic } = setUp();
    await semantic.store({ scope, question: 'What is SGD?', answer: 1, documentIds: ['d1'] });
    const gate = deferred<{ answer: number; documentIds: string[] }>();
    const making = semantic.getOrAnswer(QUESTION, scope, () => gate.promise);
    await settle(clock);
    expect(await semantic.purgeByDocument(scope.tenantId, 'd1')).toBe(1);
    gate.resolve({ answer: 2, documentIds: ['d1'] });
    expect((await making).answer).toBe(2);
    await semantic.drain();
    expect(await semantic.lookup({ scope, question: 'What is SGD?' })).toBeUndefined();
    expect(await semantic.lookup({ scope, question: QUESTION })).toBeUndefined();
  });

  it('does not store what is being made from a document that another process purges meanwhile', async () => {
    const { clock, semantic, store, embedder, processes } = setUp();
    const elsewhere = new SemanticCache({ cache: processes.another(), store, embedder, clock });
    const gate = deferred<{ answer: number; documentIds: string[] }>();
    const making = semantic.getOrAnswer(QUESTION, scope, () => gate.promise);
    await settle(clock);
    await elsewhere.purgeByDocument(scope.tenantId, 'd1');
    gate.resolve({ answer: 1, documentIds: ['d1'] });
    expect((await making).answer).toBe(1);
    await semantic.drain();
    for (const cache of [semantic, elsewhere])
      expect(await cache.lookup({ scope, question: QUESTION })).toBeUndefined();
    await elsewhere.getOrAnswer(QUESTION, scope, async () => ({ answer: 2, documentIds: ['d1'] }));
    await elsewhere.drain();
    for (const cache of [semantic, elsewhere])
      expect(await cache.lookup({ scope, question: QUESTION })).toMatchObject({ answer: 2 });
  });

  it('after enough bad hits serves an answer to its own wording only', async () => {
    const { semantic } = setUp({ threshold: 0.9, tightenBy: 0.03 });
    const wording = 'Please explain SGD!';
    let reports = 0;
    for (;;) {
      const entryId = await semantic.store({ scope, question: 'What is SGD?', answer: reports });
      const hit = await semantic.lookup({ scope, question: wording });
      if (!hit) break;
      expect(hit.entryId).toBe(entryId);
      await semantic.reportBadHit({ tenantId: scope.tenantId, entryId });
      reports++;
    }
    expect(reports).toBe(4);
    expect(await semantic.lookup({ scope, question: 'what is SGD' })).toMatchObject({ tier: 'exact' });
    const fresh = await semantic.getOrAnswer(wording, scope, async () => ({ answer: 'own' }));
    expect(fresh).toEqual({ cache: 'miss', answer: 'own' });
    await semantic.drain();
    expect(await semantic.lookup({ scope, question: wording })).toMatchObject({ answer: 'own' });
  });

  it('is delayed by its search budget at most, however many parts of the search hang', async () => {
    const never = new Promise<never>(() => undefined);
    const hanging: ((parts: ReturnType<typeof setUp>) => void)[] = [
      ({ embedder }) => {
        embedder.embed = () => never;
      },
      ({ store }) => {
        store.findExact = () => never;
      },
      ({ store }) => {
        store.search = () => never;
      },
      ({ store }) => {
        store.purgeMark = () => never;
        store.search = () => never;
      },
    ];
    for (const hang of hanging) {
      const parts = setUp({ searchBudgetMs: 200 });
      hang(parts);
      const loader = vi.fn(async () => ({ answer: 1 }));
      const answering = parts.semantic.getOrAnswer(QUESTION, scope, loader);
      await parts.clock.advance(199);
      expect(loader).not.toHaveBeenCalled();
      await parts.clock.advance(1);
      expect(await answering).toEqual({ cache: 'miss', answer: 1 });
      await parts.semantic.drain();
    }
  });

  it('gives storing up after its budget, so that a shutdown ends', async () => {
    const { clock, semantic, store } = setUp({ storeBudgetMs: 300 });
    store.store = () => new Promise(() => undefined);
    expect((await semantic.getOrAnswer(QUESTION, scope, async () => ({ answer: 1 }))).answer).toBe(1);
    const drained = semantic.drain();
    await clock.advance(300);
    await drained;
  });

  it('takes one word more on a side for an aside only at a very high similarity', async () => {
    const { semantic, embedder } = setUp({ threshold: 0.9 });
    await semantic.store({ scope, question: QUESTION, answer: 1 });
    const asked = 'What are the popular methods that optimise training completely?';
    embedder.similarity = 0.975;
    expect(await semantic.lookup({ scope, question: asked })).toBeUndefined();
    embedder.similarity = 0.985;
    expect(await semantic.lookup({ scope, question: asked })).toMatchObject({ answer: 1 });
  });

  it('goes on without embedder or store', async () => {
    const { semantic, embedder, store } = setUp();
    embedder.embed = () => Promise.reject(new Error('no model'));
    expect(await semantic.getOrAnswer(QUESTION, scope, async () => ({ answer: 1 }))).toMatchObject({
      answer: 1,
    });
    expect(await semantic.lookup({ scope, question: QUESTION })).toBeUndefined();
    store.search = () => Promise.reject(new Error('no database'));
    expect(await semantic.lookup({ scope, question: 'What is Adam?' })).toBeUndefined();
  });

  it('refuses a question, scope or embedding it cannot use', async () => {
    const { semantic } = setUp();
    await expect(semantic.lookup({ scope, question: '  ' })).rejects.toThrow(SemanticInputInvalidError);
    await expect(
      semantic.lookup({
        scope: { ...scope, model: undefined, toolsHash: undefined } as never,
        question: 'x',
      }),
    ).rejects.toThrow('model, toolsHash');
    await expect(
      semantic.lookup({ scope, question: 'What is SGD?', embedding: new Float32Array(3) }),
    ).rejects.toThrow('8 dimensions');
    await expect(
      semantic.store({ scope, question: 'What is SGD?', answer: 1, embedding: new Float32Array(8) }),
    ).rejects.toThrow('norm 1');
  });
});
