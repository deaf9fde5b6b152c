import { SystemClock, type TenantId } from '@sparkle/contracts';
import type { TestDatabase } from '@sparkle/database/testing';
import {
  type ChatModel,
  type ChatRequest,
  LlmBudgetExceededError,
  LocalExtractiveChatModel,
} from '@sparkle/llm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ArgumentInvalidError, QueryInvalidError } from '../errors.js';
import { parseGraphragOptions } from '../graphrag.options.js';
import { AnswerService } from '../nest/answer.service.js';
import { RetrievalService } from '../nest/retrieval.service.js';
import { HashEmbeddingModel } from '../testing/hash-embedding-model.js';
import { createGraphragDatabase, createTestGraphragOn, type TestGraphrag } from '../testing/test-graphrag.js';

let test: TestDatabase;
let rag: TestGraphrag;
let sequence = 0;
const newTenant = () => test.createTenant(`community${++sequence}`);

beforeAll(async () => {
  test = await createGraphragDatabase();
  rag = createTestGraphragOn(test);
});
afterAll(() => test?.drop());

/** Two subjects that share no name. */
const SAILING = [
  'Marta Lund built the Sea Otter at Port Elsa. The Sea Otter won the Elsa Cup.',
  'The Elsa Cup is sailed at Port Elsa. Marta Lund won the Elsa Cup twice with the Sea Otter.',
  'Jon Lund repaired the Sea Otter after the Elsa Cup at Port Elsa.',
];
const BAKING = [
  'Rosa Keller opened the Corner Bakery in Mill Lane. The Corner Bakery sells Rye Bread.',
  'Rye Bread is baked at the Corner Bakery every day. Rosa Keller learnt it in Mill Lane.',
  'The Corner Bakery in Mill Lane won a prize for its Rye Bread, said Rosa Keller.',
];

/** Counts calls, and fails when it is told to. */
class CountingModel implements ChatModel {
  readonly id = 'counting';
  readonly local = true;
  readonly titles: string[] = [];
  fault: (() => Error | undefined) | undefined;
  private readonly model = new LocalExtractiveChatModel();

  async generate(request: ChatRequest) {
    const error = this.fault?.();
    if (error) throw error;
    this.titles.push(request.messages.at(-1)!.content.split('\n')[0]!);
    return this.model.generate(request);
  }

  stream(request: ChatRequest) {
    return this.model.stream(request);
  }

  countTokens(text: string) {
    return this.model.countTokens(text);
  }
}

async function ingestAll(tenantId: TenantId, texts: readonly string[], name: string): Promise<string[]> {
  const ids: string[] = [];
  for (const [index, text] of texts.entries())
    ids.push(await rag.ingest(tenantId, text, `${name} ${index + 1}`));
  return ids;
}
const rowsOf = (tenantId: TenantId, query: string) =>
  test.database.withTenant(tenantId, (sql) => sql.query<Record<string, unknown>>(query));
const textOf = (search: Awaited<ReturnType<TestGraphrag['communities']['search']>>) =>
  search.context.passages.map((passage) => passage.text).join('\n');
const THEMES = 'What are the main themes of these documents?';

describe('communities', () => {
  it('gather what belongs together, and a question about everything hears of each', async () => {
    const tenantId = await newTenant();
    await ingestAll(tenantId, SAILING, 'Harbour news');
    await ingestAll(tenantId, BAKING, 'Lane paper');
    expect(await rag.communities.refresh({ tenantId })).toMatchObject({
      found: true,
      failed: 0,
      unfinished: false,
    });
    const search = await rag.communities.search({ tenantId, question: THEMES, tokenBudget: 400 });
    expect(search.communitiesVersion).toBe(search.corpusVersion);
    expect(textOf(search)).toMatch(/Sea Otter/);
    expect(textOf(search)).toMatch(/Rye Bread/);
    for (const passage of search.context.passages) {
      expect(passage.kind).toBe('community');
      const documents = search.context.points
        .get(passage.id)!
        .flatMap(({ chunkIds }) => chunkIds.map((id) => search.chunks.get(id)!.documentTitle.slice(0, 4)));
      expect(new Set(documents).size).toBe(1);
    }
    expect(search.context.tokens).toBeLessThanOrEqual(400);
  });

  it('say nothing that the cited passages do not say', async () => {
    const tenantId = await newTenant();
    await ingestAll(tenantId, SAILING, 'Harbour news');
    await rag.communities.refresh({ tenantId });
    const search = await rag.communities.search({ tenantId, question: THEMES, tokenBudget: 400 });
    const points = [...search.context.points.values()].flat();
    expect(points.length).toBeGreaterThan(1);
    for (const { text, chunkIds } of points) {
      expect(chunkIds.length).toBeGreaterThan(0);
      expect(chunkIds.some((id) => search.chunks.get(id)!.text.replace(/\s+/g, ' ').includes(text))).toBe(
        true,
      );
    }
  });

  it('put what a question names first', async () => {
    const tenantId = await newTenant();
    await ingestAll(tenantId, SAILING, 'Harbour news');
    await ingestAll(tenantId, BAKING, 'Lane paper');
    await rag.communities.refresh({ tenantId });
    const search = await rag.communities.search({
      tenantId,
      question: 'What do the documents say about Rye Bread in general?',
      tokenBudget: 100,
    });
    expect(search.context.passages[0]!.text).toMatch(/Rye Bread/);
  });

  it('work in Chinese', async () => {
    const tenantId = await newTenant();
    await rag.ingest(tenantId, '《梯度下降》是一种优化算法。《反向传播》用到《梯度下降》。', '优化');
    await rag.ingest(tenantId, '《反向传播》训练神经网络。《梯度下降》更新参数。', '训练');
    await rag.communities.refresh({ tenantId });
    const search = await rag.communities.search({
      tenantId,
      question: '这些文档的主题是什么？',
      tokenBudget: 300,
    });
    expect(textOf(search)).toMatch(/梯度下降/);
  });

  it('are summarised again only where they changed', async () => {
    const model = new CountingModel();
    const counting = createTestGraphragOn(test, { model });
    const tenantId = await newTenant();
    await ingestAll(tenantId, SAILING, 'Harbour news');
    await ingestAll(tenantId, BAKING, 'Lane paper');
    await counting.communities.refresh({ tenantId });
    const before = await rowsOf(tenantId, 'SELECT id FROM communities ORDER BY id');
    const calls = model.titles.length;
    await rag.ingest(tenantId, 'Rosa Keller sold Rye Bread to the Corner Bakery.', 'Lane paper 4');
    expect(await counting.communities.refresh({ tenantId })).toMatchObject({ found: true });
    const again = model.titles.slice(calls);
    expect(again.length).toBeGreaterThan(0);
    expect(again.every((title) => /Rye Bread|Corner Bakery|Rosa Keller|Lane/.test(title))).toBe(true);
    expect(await rowsOf(tenantId, 'SELECT id FROM communities ORDER BY id')).toEqual(before);
    expect(await counting.communities.refresh({ tenantId })).toEqual({
      found: false,
      summarised: 0,
      failed: 0,
      unfinished: false,
    });
  });

  it('go on after a crash with the summaries that are missing', async () => {
    const model = new CountingModel();
    const counting = createTestGraphragOn(test, { model });
    const tenantId = await newTenant();
    await ingestAll(tenantId, SAILING, 'Harbour news');
    await ingestAll(tenantId, BAKING, 'Lane paper');
    model.fault = () => (model.titles.length === 1 ? new Error('crash') : undefined);
    await expect(counting.communities.refresh({ tenantId })).rejects.toThrow('crash');
    model.fault = undefined;
    const { found } = await counting.communities.refresh({ tenantId });
    expect(found).toBe(false);
    expect(new Set(model.titles).size).toBe(model.titles.length);
    expect(
      await rowsOf(tenantId, 'SELECT 1 FROM communities WHERE summary_hash IS DISTINCT FROM content_hash'),
    ).toEqual([]);
  });

  it('wait for the budget of their tenant, and record what each summary cost', async () => {
    const model = new CountingModel();
    const counting = createTestGraphragOn(test, { model, options: { communitySummariesPerRefresh: 1 } });
    const tenantId = await newTenant();
    await ingestAll(tenantId, SAILING, 'Harbour news');
    await ingestAll(tenantId, BAKING, 'Lane paper');
    expect(await counting.communities.refresh({ tenantId })).toMatchObject({
      summarised: 1,
      unfinished: true,
    });
    model.fault = () => new LlmBudgetExceededError(1000);
    expect(await counting.communities.refresh({ tenantId })).toMatchObject({
      summarised: 0,
      unfinished: true,
    });
    model.fault = undefined;
    await counting.communities.refresh({ tenantId });
    const [costs] = await rowsOf(
      tenantId,
      "SELECT sum((cost->>'inputTokens')::int)::int AS input, count(*)::int AS made FROM communities WHERE source_count > 0",
    );
    expect(costs!.made).toBeGreaterThanOrEqual(2);
    expect(costs!.input).toBeGreaterThan(0);
  });

  it('are due when documents have changed and been quiet, once a tenant, and not when nothing changed', async () => {
    const tenantId = await newTenant();
    const mine = async (quietMs: number) =>
      (await rag.communities.due(1000, { quietMs, patienceMs: 3_600_000 })).filter(
        (due) => due.tenantId === tenantId,
      );
    expect(await mine(0)).toEqual([]);
    await ingestAll(tenantId, SAILING, 'Harbour news');
    expect(await mine(0)).toEqual([{ tenantId, version: 3 }]);
    expect(await mine(3_600_000)).toEqual([]);
    await rag.communities.refresh({ tenantId });
    expect(await mine(0)).toEqual([]);
  });

  it('find nothing before the first refresh, and refuse a bad question', async () => {
    const tenantId = await newTenant();
    await ingestAll(tenantId, SAILING, 'Harbour news');
    const search = await rag.communities.search({ tenantId, question: THEMES });
    expect(search).toMatchObject({ communitiesVersion: undefined, context: { passages: [], tokens: 0 } });
    await expect(rag.communities.search({ tenantId, question: '  ' })).rejects.toBeInstanceOf(
      QueryInvalidError,
    );
    await expect(rag.communities.search({ tenantId, question: THEMES, k: 0 })).rejects.toBeInstanceOf(
      ArgumentInvalidError,
    );
  });
});

describe('what communities may not show', () => {
  it('is withheld from the deletion of a document on, before and after the next refresh', async () => {
    const tenantId = await newTenant();
    const sailing = await ingestAll(tenantId, SAILING, 'Harbour news');
    await ingestAll(tenantId, BAKING, 'Lane paper');
    await rag.communities.refresh({ tenantId });
    const ask = () => rag.communities.search({ tenantId, question: THEMES, tokenBudget: 2000 });
    expect(textOf(await ask())).toMatch(/Sea Otter/);
    await rag.documents.delete(tenantId, sailing[2]!);
    const stale = await ask();
    expect(textOf(stale)).not.toMatch(/Jon Lund|repaired/);
    expect(stale.context.passages.every(({ title }) => !title?.includes('Jon Lund'))).toBe(true);
    await rag.communities.refresh({ tenantId });
    const fresh = await ask();
    expect(textOf(fresh)).toMatch(/Sea Otter/);
    expect(textOf(fresh)).not.toMatch(/Jon Lund|repaired/);
    const kept = await rowsOf(tenantId, 'SELECT title, points FROM communities');
    expect(JSON.stringify(kept)).not.toMatch(/Jon Lund|repaired/);
  });

  it('is left out when the asker may not read a passage it rests on', async () => {
    const tenantId = await newTenant();
    await ingestAll(tenantId, SAILING, 'Harbour news');
    await ingestAll(tenantId, BAKING, 'Lane paper');
    await rag.communities.refresh({ tenantId });
    const hidden = new Set(
      (
        await rowsOf(
          tenantId,
          "SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document_id WHERE d.title LIKE 'Harbour%'",
        )
      ).map((row) => row.id),
    );
    const search = await rag.communities.search({
      tenantId,
      question: THEMES,
      tokenBudget: 2000,
      mayRead: (chunkId) => !hidden.has(chunkId),
    });
    expect(textOf(search)).not.toMatch(/Sea Otter/);
    expect(search.context.chunkIds.some((id) => hidden.has(id))).toBe(false);
  });

  it("is another tenant's, whatever the two have in common", async () => {
    const [mine, other] = [await newTenant(), await newTenant()];
    await ingestAll(mine, SAILING, 'Harbour news');
    await ingestAll(other, BAKING, 'Lane paper');
    await rag.communities.refresh({ tenantId: mine });
    await rag.communities.refresh({ tenantId: other });
    const search = await rag.communities.search({ tenantId: mine, question: THEMES, tokenBudget: 2000 });
    expect(textOf(search)).toMatch(/Sea Otter/);
    expect(textOf(search)).not.toMatch(/Rye Bread/);
    for (const table of ['communities', 'community_members', 'community_sources', 'community_states'])
      expect(await rowsOf(mine, `SELECT DISTINCT tenant_id AS tenant FROM ${table}`), table).toEqual([
        { tenant: mine },
      ]);
  });
});

describe('a question about the whole corpus', () => {
  const retrievalWith = (model: ChatModel) =>
    new RetrievalService(
      rag.snapshots,
      new HashEmbeddingModel(),
      model,
      new SystemClock(),
      parseGraphragOptions({}),
      rag.strengths,
      rag.communities,
    );

  it('is answered from the communities, with citations of the documents behind them', async () => {
    const tenantId = await newTenant();
    await ingestAll(tenantId, SAILING, 'Sailing');
    await ingestAll(tenantId, BAKING, 'Baking');
    const model = new LocalExtractiveChatModel();
    const answers = new AnswerService(retrievalWith(model), model);
    const question = 'What are the main topics of the documents?';
    const before = await answers.answer({ tenantId, question });
    expect(before.retrieval.strategy).not.toBe('communities');

    await rag.communities.refresh({ tenantId });
    const after = await answers.answer({ tenantId, question });
    expect(after.retrieval.strategy).toBe('communities');
    expect(after.supported).toBe(true);
    const titles = after.citations.map(({ documentTitle }) => documentTitle.split(' ')[0]);
    expect(new Set(titles)).toEqual(new Set(['Sailing', 'Baking']));
    for (const { marker, quote } of after.citations) {
      expect(marker).toMatch(/^G\d+$/);
      expect([...SAILING, ...BAKING].some((text) => text.includes(quote))).toBe(true);
    }
    expect(after.retrieval.contextTokens).toBeLessThanOrEqual(600);
  });

  it('that names something is answered from the graph', async () => {
    const tenantId = await newTenant();
    await ingestAll(tenantId, SAILING, 'Sailing');
    await rag.communities.refresh({ tenantId });
    const found = await retrievalWith(new LocalExtractiveChatModel()).retrieve({
      tenantId,
      question: 'Who built the Sea Otter?',
    });
    expect(found.strategy).toBe('graph');
  });
});
