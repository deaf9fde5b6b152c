import { CacheService, MemoryBusHub, MemoryCacheStore, MemoryInvalidationBus } from '@sparkle/cache';
import { TestClock } from '@sparkle/contracts/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CacheSummaryCache,
  ConversationNotFoundError,
  type Summary,
  type SummaryCache,
  summaryTtlMs,
} from '../src/index.js';
import { BagOfWordsEmbeddingModel, ScriptedChatModel } from '../src/testing/index.js';
import { Fixture } from './fixture.js';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.open();
});
afterAll(async () => {
  await fixture?.db.drop();
});

const wide = { tokenBudget: 100_000, question: 'What did we say?' };

async function summarise(conversationId: string, toSeq: number) {
  const summary: Summary = { toSeq, content: `Summary to ${toSeq}.`, notes: [], method: 'model', tokens: 4 };
  expect(await fixture.store((store) => store.storeSummary(conversationId, 0, 1, summary))).toBe(true);
}

describe('the strategy by length', () => {
  it.each([
    [0, 'full', 0],
    [19, 'full', 19],
    [20, 'window', 10],
    [49, 'window', 10],
    [50, 'window', 10],
    [200, 'window', 10],
    [201, 'recall', 10],
  ])('of %i messages without a summary is %s, showing the last %i', async (length, strategy, shown) => {
    const { memory } = fixture.assemble();
    const { id } = await fixture.conversation(length);
    const context = await memory.assemble({ tenantId: fixture.tenantId, conversationId: id, ...wide });
    expect(context).toMatchObject({ strategy, length, summarisedTo: 0, pendingSummary: length >= 20 });
    expect(context.messages.map(({ seq }) => seq)).toEqual(
      Array.from({ length: shown }, (_, index) => length - shown + index + 1),
    );
  });

  it.each([
    [30, 25, 'summary-window', 5, 0],
    [60, 55, 'summary-window', 5, 0],
    [60, 52, 'summary-window', 8, 3],
    [201, 196, 'recall', 5, 0],
  ])(
    'of %i messages, %i of them summarised, is %s, showing the last %i',
    async (length, to, strategy, shown, bridged) => {
      const { memory } = fixture.assemble();
      const { id } = await fixture.conversation(length);
      await summarise(id, to);
      const context = await memory.assemble({ tenantId: fixture.tenantId, conversationId: id, ...wide });
      expect(context).toMatchObject({
        strategy,
        summarisedTo: to,
        bridged,
        pendingSummary: false,
        summary: { text: `Summary to ${to}.`, toSeq: to },
      });
      expect(context.messages[0]?.seq).toBe(length - shown + 1);
    },
  );

  it('of a question asked long ago leaves out whatever came after it', async () => {
    const { memory } = fixture.assemble();
    const { id } = await fixture.conversation(60);
    await summarise(id, 50);
    const context = await memory.assemble({
      tenantId: fixture.tenantId,
      conversationId: id,
      ...wide,
      beforeSeq: 25,
    });
    expect(context).toMatchObject({ strategy: 'window', length: 24, summarisedTo: 0 });
    expect(context.messages.at(-1)?.seq).toBe(24);
  });
});

describe('recall', () => {
  const say = (seq: number) =>
    seq === 7
      ? 'My dog is called Barnaby.'
      : seq === 31
        ? 'How do volcanoes erupt?'
        : seq === 32
          ? 'Magma rises through a vent.'
          : seq === 51
            ? '我的猫喜欢吃三文鱼。'
            : undefined;

  it('finds an old statement by its words when no embedding exists', async () => {
    const { memory } = fixture.assemble();
    const { id } = await fixture.conversation(210, say);
    const ask = (question: string) =>
      memory.assemble({ tenantId: fixture.tenantId, conversationId: id, tokenBudget: 2_000, question });
    expect((await ask('What is the name of my dog?')).recalled[0]).toMatchObject({
      seq: 7,
      text: 'My dog is called Barnaby.',
    });
    expect((await ask('猫喜欢吃什么？')).recalled[0]).toMatchObject({ seq: 51 });
    expect((await ask('What is the name of my dog?')).degraded).toBe(true);
    expect((await ask("100% of 'quotes' \\ and _")).recalled.length).toBeLessThanOrEqual(4);
  });

  it('finds it by meaning too, and brings the answer of a recalled question along', async () => {
    const embeddings = new BagOfWordsEmbeddingModel();
    const { memory, summaries } = fixture.assemble({ embeddings });
    const { id } = await fixture.conversation(210, say);
    const { embedded, summarisedTo } = await summaries.process({
      tenantId: fixture.tenantId,
      conversationId: id,
    });
    expect(embedded).toBe(summarisedTo);
    const context = await memory.assemble({
      tenantId: fixture.tenantId,
      conversationId: id,
      question: 'Tell me again how volcanoes erupt.',
      tokenBudget: 2_000,
    });
    expect(context).toMatchObject({ strategy: 'recall', degraded: false });
    expect(context.recalled.slice(0, 2)).toMatchObject([
      { seq: 31 },
      { seq: 32, question: 'How do volcanoes erupt?', text: 'Magma rises through a vent.' },
    ]);
    expect(context.recalled.every(({ seq }) => seq < context.messages[0]!.seq)).toBe(true);
  });

  it('falls back to words when the embedding model fails', async () => {
    const embeddings = new BagOfWordsEmbeddingModel();
    embeddings.failure = new Error('down');
    const { memory } = fixture.assemble({ embeddings });
    const { id } = await fixture.conversation(210, say);
    const context = await memory.assemble({
      tenantId: fixture.tenantId,
      conversationId: id,
      question: 'My dog?',
      tokenBudget: 2_000,
    });
    expect(context).toMatchObject({ degraded: true });
    expect(context.recalled.slice(0, 2)).toMatchObject([{ seq: 7 }, { seq: 8 }]);
  });

  it('never reaches into another conversation or tenant', async () => {
    const { memory } = fixture.assemble();
    await fixture.conversation(210, say);
    const { id } = await fixture.conversation(210);
    const context = await memory.assemble({
      tenantId: fixture.tenantId,
      conversationId: id,
      question: 'Barnaby',
      tokenBudget: 2_000,
    });
    expect(context.recalled).toEqual([]);
    await expect(
      memory.assemble({
        tenantId: fixture.otherTenantId,
        conversationId: id,
        question: 'x',
        tokenBudget: 100,
      }),
    ).rejects.toThrow(ConversationNotFoundError);
  });
});

describe('the budget', () => {
  it('is never exceeded, and the newest message survives it, cut if need be', async () => {
    const model = new ScriptedChatModel();
    const { memory } = fixture.assemble({ model });
    const { id } = await fixture.conversation(12, () => 'many words '.repeat(500));
    const context = await memory.assemble({
      tenantId: fixture.tenantId,
      conversationId: id,
      question: '?',
      tokenBudget: 300,
    });
    expect(context.tokens).toBeLessThanOrEqual(300);
    expect(context.truncated).toBe(true);
    expect(context.messages.map(({ seq }) => seq)).toEqual([12]);
    expect(context.messages[0]!.text).toMatch(/^many words .*…$/);
  });
});

describe('the summary cache', () => {
  it('is read instead of the table, filled on a miss with the rule for its time to live, and may fail', async () => {
    const entries = new Map<string, Summary>();
    const ttls: number[] = [];
    let broken = false;
    const cache: SummaryCache = {
      get: async ({ conversationId, toSeq }) => {
        if (broken) throw new Error('cache down');
        return entries.get(`${conversationId} ${toSeq}`);
      },
      set: async ({ conversationId, toSeq }, summary, ttlMs) => {
        if (broken) throw new Error('cache down');
        entries.set(`${conversationId} ${toSeq}`, summary);
        ttls.push(ttlMs);
      },
      forget: async () => undefined,
    };
    const { memory } = fixture.assemble({ cache });
    const { id } = await fixture.conversation(60);
    await summarise(id, 55);
    const assemble = () => memory.assemble({ tenantId: fixture.tenantId, conversationId: id, ...wide });
    expect((await assemble()).summary?.text).toBe('Summary to 55.');
    expect(ttls).toEqual([140_000]);
    entries.set(`${id} 55`, { toSeq: 55, content: 'From the cache.', notes: [], method: 'model', tokens: 4 });
    expect((await assemble()).summary?.text).toBe('From the cache.');
    broken = true;
    expect((await assemble()).summary?.text).toBe('Summary to 55.');
  });

  it('lives in @sparkle/cache under its tenant, for as long as the rule says', async () => {
    const clock = new TestClock();
    const service = new CacheService({
      store: new MemoryCacheStore(clock),
      bus: new MemoryInvalidationBus(new MemoryBusHub()),
      clock,
    });
    const cache = new CacheSummaryCache(service);
    const { memory } = fixture.assemble({ cache });
    const { id } = await fixture.conversation(60);
    await summarise(id, 55);
    await memory.assemble({ tenantId: fixture.tenantId, conversationId: id, ...wide });
    const key = { tenantId: fixture.tenantId, conversationId: id, toSeq: 55 };
    await expect.poll(() => cache.get(key)).toMatchObject({ content: 'Summary to 55.' });
    expect(await cache.get({ ...key, tenantId: fixture.otherTenantId })).toBeUndefined();
    expect(await cache.get({ ...key, toSeq: 54 })).toBeUndefined();
    await clock.advance(139_999);
    expect(await cache.get(key)).toBeDefined();
    await clock.advance(2);
    expect(await cache.get(key)).toBeUndefined();
    service.close();
  });

  it('keeps a summary ten seconds per character, an hour at most', () => {
    expect(summaryTtlMs('')).toBe(0);
    expect(summaryTtlMs('abc')).toBe(30_000);
    expect(summaryTtlMs('x'.repeat(359))).toBe(3_590_000);
    expect(summaryTtlMs('x'.repeat(5_000))).toBe(3_600_000);
  });
});
