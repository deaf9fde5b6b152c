import { Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  Clock,
  channels,
  type RetrievalEvent,
  SystemClock,
  SystemDatabase,
  TenantDatabase,
  type TenantId,
} from '@sparkle/contracts';
import type { TestDatabase } from '@sparkle/database/testing';
import { ChatModel, EmbeddingModel, LlmUnavailableError, LocalExtractiveChatModel } from '@sparkle/llm';
import { ScriptedChatModel, type ScriptedReply } from '@sparkle/llm/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PgVectorIndex } from '../adapters/postgres/pg-vector-index.js';
import { CourseLoader } from '../course/course-loader.js';
import { GraphragModule } from '../graphrag.module.js';
import { DocumentService } from '../ingest/document.service.js';
import { IngestionService } from '../ingest/ingestion.service.js';
import { JobService } from '../ingest/job.service.js';
import { LearningPathService } from '../learn/learning-path.service.js';
import { StudyService } from '../learn/study.service.js';
import { JobQueue } from '../ports/job-queue.port.js';
import { FaultyEmbeddingModel } from '../testing/faulty-embedding-model.js';
import { HashEmbeddingModel } from '../testing/hash-embedding-model.js';
import { MemoryJobQueue } from '../testing/memory-job-queue.js';
import { createGraphragDatabase } from '../testing/test-graphrag.js';
import { type AnswerChunk, AnswerService } from './answer.service.js';
import { GraphService } from './graph.service.js';
import { RetrievalService } from './retrieval.service.js';

const CAUCHY = `# Augustin-Louis Cauchy

Augustin-Louis Cauchy was born in Paris. Augustin-Louis Cauchy described Gradient Descent in 1847.
`;
const DESCENT = `# Gradient Descent

Gradient Descent is an optimisation algorithm. Gradient Descent trains the Perceptron Network.
`;
const VAPNIK = `# Vladimir Vapnik

Vladimir Vapnik was born in Tashkent. He invented the Support Vector Machine (SVM) at Bell Labs.
`;
const CHINESE = `# 反向传播

反向传播是一种训练神经网络的算法。反向传播由辛顿在1986年推广。
`;

let test: TestDatabase;
let moduleRef: Awaited<ReturnType<ReturnType<typeof Test.createTestingModule>['compile']>>;
const queue = new MemoryJobQueue();
const embeddings = new FaultyEmbeddingModel(new HashEmbeddingModel());
let documents: DocumentService;
let ingestion: IngestionService;
let retrieval: RetrievalService;
let graph: GraphService;
let sequence = 0;
const newTenant = () => test.createTenant(`r${++sequence}`);

async function ingest(tenantId: TenantId, ...texts: string[]): Promise<string[]> {
  const ids: string[] = [];
  for (const content of texts) {
    const { document } = await documents.submit({ tenantId, userId: 'u', format: 'markdown', content });
    ids.push(document.id);
    for (const ticket of queue.drain()) await ingestion.process(ticket);
  }
  return ids;
}

@Module({
  providers: [
    { provide: TenantDatabase, useFactory: () => test.database },
    { provide: Clock, useClass: SystemClock },
    { provide: ChatModel, useFactory: () => new LocalExtractiveChatModel() },
    { provide: EmbeddingModel, useValue: embeddings },
    { provide: JobQueue, useValue: queue },
  ],
  exports: [TenantDatabase, Clock, ChatModel, EmbeddingModel, JobQueue],
})
class PlatformModule {}
const systemDatabase = () => [{ provide: SystemDatabase, useValue: test.database }];

beforeAll(async () => {
  test = await createGraphragDatabase();
  moduleRef = await Test.createTestingModule({
    imports: [
      GraphragModule.forRootAsync({
        imports: [PlatformModule],
        useFactory: async () => ({ embedBatchSize: 16 }),
        adapters: systemDatabase(),
      }),
    ],
  }).compile();
  documents = moduleRef.get(DocumentService);
  ingestion = moduleRef.get(IngestionService);
  retrieval = moduleRef.get(RetrievalService);
  graph = moduleRef.get(GraphService);
});
afterAll(async () => {
  await moduleRef?.close();
  await test?.drop();
});

describe('the module', () => {
  it('wires every service from the ports an application provides', async () => {
    expect(await moduleRef.get(JobService).unfinishedJobs()).toEqual([]);
    for (const service of [AnswerService, CourseLoader, LearningPathService, StudyService])
      expect(moduleRef.get(service)).toBeInstanceOf(service);
  });

  it('refuses wrong options at the start', async () => {
    await expect(
      Test.createTestingModule({
        imports: [
          GraphragModule.forRoot({ efSearch: 0, imports: [PlatformModule], adapters: systemDatabase() }),
        ],
      }).compile(),
    ).rejects.toMatchObject({ code: 'GRAPHRAG_OPTIONS_INVALID' });
  });
});

describe('retrieval', () => {
  it('finds passages with the graph and without it, and says what it cost', async () => {
    const tenantId = await newTenant();
    await ingest(tenantId, CAUCHY, DESCENT, VAPNIK);
    const events: RetrievalEvent[] = [];
    const stop = channels.retrieval.subscribe((event) => events.push(event));
    const question = 'Where was Augustin-Louis Cauchy born?';
    const found = await retrieval.retrieve({ tenantId, question, k: 2 });
    const plain = await retrieval.retrieve({ tenantId, question, strategy: 'plain', k: 2 });
    stop();
    expect(found).toMatchObject({ strategy: 'graph', corpusVersion: 3, degraded: false });
    expect(found.chunks[0]!.documentTitle).toBe('Augustin-Louis Cauchy');
    expect(found.linked.map((entity) => entity.name)).toContain('Augustin-Louis Cauchy');
    expect(found.context.tokens).toBeLessThanOrEqual(600);
    expect(found.chunkOf(found.chunks[0]!.chunkId)).toMatchObject({ text: found.chunks[0]!.text });
    expect(plain).toMatchObject({ strategy: 'plain', paths: [], linked: [] });
    expect(plain.chunks).toHaveLength(2);
    expect(events).toMatchObject([
      { tenantId, strategy: 'graph', contextTokens: found.context.tokens },
      { tenantId, strategy: 'plain' },
    ]);
  });

  it("never shows a deleted document, nor another tenant's", async () => {
    const tenantId = await newTenant();
    const other = await newTenant();
    const [cauchy] = await ingest(tenantId, CAUCHY, DESCENT);
    await ingest(other, VAPNIK);
    const ask = (asker: TenantId) =>
      retrieval.retrieve({ tenantId: asker, question: 'Augustin-Louis Cauchy and Gradient Descent' });
    expect((await ask(tenantId)).chunks.map((chunk) => chunk.documentId)).toContain(cauchy);
    await documents.delete(tenantId, cauchy!);
    const after = await ask(tenantId);
    expect(after.chunks.map((chunk) => chunk.documentTitle)).toEqual(['Gradient Descent']);
    expect(JSON.stringify(after.paths)).not.toContain('1847');
    expect((await ask(other)).chunks.every((chunk) => chunk.documentTitle === 'Vladimir Vapnik')).toBe(true);
  });

  it('goes on with keywords and graph when the embedding model is down', async () => {
    const tenantId = await newTenant();
    await ingest(tenantId, CAUCHY);
    embeddings.fault = () => new LlmUnavailableError('test', 'the model is down');
    try {
      const found = await retrieval.retrieve({ tenantId, question: 'Cauchy' });
      expect(found.degraded).toBe(true);
      expect(found.chunks).toHaveLength(1);
    } finally {
      embeddings.fault = () => undefined;
    }
  });

  it('refuses questions and numbers out of bounds', async () => {
    const tenantId = await newTenant();
    const ask = (more: object) => retrieval.retrieve({ tenantId, question: 'What?', ...more });
    await expect(ask({ question: '  ' })).rejects.toMatchObject({ code: 'QUERY_INVALID' });
    await expect(ask({ question: 'x'.repeat(4001) })).rejects.toMatchObject({ code: 'QUERY_INVALID' });
    await expect(ask({ k: 0 })).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
    await expect(ask({ tokenBudget: 1 })).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
  });
});

describe('the vector index', () => {
  it("returns k rows of its tenant whenever there are k, also among a large tenant's many nearer ones", async () => {
    const small = await newTenant();
    const large = await newTenant();
    await ingest(small, CAUCHY, DESCENT, VAPNIK);
    const copies = Array.from({ length: 300 }, (_, i) => ({
      userId: 'u',
      format: 'text',
      title: 'Cauchy',
      content: `Augustin-Louis Cauchy was born in Paris ${'again '.repeat(i % 7)}${i}.`,
    }));
    await ingestion.ingestMany(large, copies);
    const [vector] = await embeddings.embed({
      tenantId: small,
      texts: ['Augustin-Louis Cauchy born in Paris'],
    });
    const index = new PgVectorIndex(test.database, small, 40);
    const hits = await index.search(vector!, 3);
    expect(hits).toHaveLength(3);
    expect(hits.map((hit) => hit.similarity)).toEqual(
      hits.map((hit) => hit.similarity).toSorted((a, b) => b - a),
    );
    expect(hits[0]!.similarity).toBeGreaterThan(0.2);
    expect(await index.search(vector!, 10)).toHaveLength(3);
    expect(await new PgVectorIndex(test.database, large, 40).search(vector!, 200)).toHaveLength(200);
    expect(await index.search(vector!, 0)).toEqual([]);
  });
});

describe('answers', () => {
  const answering = (...replies: ScriptedReply[]) =>
    new AnswerService(retrieval, new ScriptedChatModel('scripted', ...replies));

  it('cite the passages they rest on and no others, in English and in Chinese', async () => {
    const tenantId = await newTenant();
    const [cauchy, , , chinese] = await ingest(tenantId, CAUCHY, DESCENT, VAPNIK, CHINESE);
    const answer = await answering('He was born in Paris [C1] [C99].').answer({
      tenantId,
      question: 'Where was Augustin-Louis Cauchy born?',
    });
    expect(answer).toMatchObject({
      answer: 'He was born in Paris [C1].',
      citations: [{ marker: 'C1', documentId: cauchy }],
      supported: true,
      model: 'scripted',
      corpusVersion: 4,
      retrieval: { strategy: 'graph', degraded: false, chunks: expect.any(Number) },
      usage: { inputTokens: 10, costUsd: 0.001 },
    });
    const inChinese = await answering('反向传播是一种算法 [C1]。').answer({
      tenantId,
      question: '反向传播是什么？',
    });
    expect(inChinese.citations.map((citation) => citation.documentId)).toEqual([chinese]);
  });

  it('say that they do not know when the model cites nothing', async () => {
    const tenantId = await newTenant();
    await ingest(tenantId, CAUCHY);
    const answer = await answering('Surely in Rome.').answer({
      tenantId,
      question: 'Where was Cauchy born?',
    });
    expect(answer).toMatchObject({ supported: false, citations: [] });
    expect(answer.answer).not.toContain('Rome');
  });

  it('stream as text and end with the checked answer', async () => {
    const tenantId = await newTenant();
    await ingest(tenantId, CAUCHY);
    const request = { tenantId, question: 'Where was Augustin-Louis Cauchy born?' };
    const chunks: AnswerChunk[] = [];
    for await (const chunk of answering({ parts: ['In ', 'Paris [C1]', ' [C7].'] }).stream(request))
      chunks.push(chunk);
    expect(chunks.slice(0, -1)).toEqual([
      { type: 'delta', text: 'In ' },
      { type: 'delta', text: 'Paris [C1]' },
      { type: 'delta', text: ' [C7].' },
    ]);
    expect(chunks.at(-1)).toMatchObject({
      type: 'done',
      answer: { answer: 'In Paris [C1].', supported: true },
    });
  });

  it('pass a failure of the model on, and end with the reason of an abort', async () => {
    const tenantId = await newTenant();
    await ingest(tenantId, CAUCHY);
    const request = { tenantId, question: 'Where was Cauchy born?' };
    await expect(answering(new Error('no model')).answer(request)).rejects.toThrow('no model');
    const controller = new AbortController();
    controller.abort(new Error('left'));
    await expect(answering('x').answer({ ...request, signal: controller.signal })).rejects.toThrow('left');
  });

  it('of an empty corpus say so without asking the model', async () => {
    const tenantId = await newTenant();
    const model = new ScriptedChatModel('scripted', 'Anything [C1]');
    const service = new AnswerService(retrieval, model);
    expect(await service.answer({ tenantId, question: 'Who was Cauchy?' })).toMatchObject({
      supported: false,
      citations: [],
    });
    const chunks: AnswerChunk[] = [];
    for await (const chunk of service.stream({ tenantId, question: 'Who was Cauchy?' })) chunks.push(chunk);
    expect(chunks.map((chunk) => chunk.type)).toEqual(['delta', 'done']);
    expect(model.requests).toEqual([]);
  });
});

describe('the graph', () => {
  it('finds entities by name, alias, misspelling and part, Chinese ones too', async () => {
    const tenantId = await newTenant();
    await ingest(tenantId, CAUCHY, VAPNIK, CHINESE);
    const first = async (query: string) => (await graph.searchEntities(tenantId, query))[0];
    expect(await first('the vladimir VAPNIK')).toMatchObject({
      name: 'Vladimir Vapnik',
      match: 'exact',
      score: 1,
    });
    expect(await first('SVM')).toMatchObject({
      name: 'Support Vector Machine',
      match: 'alias',
      aliases: ['SVM'],
    });
    expect(await first('Vladimr Vapnick')).toMatchObject({ name: 'Vladimir Vapnik', match: 'similar' });
    expect(await first('反向')).toMatchObject({ name: '反向传播', match: 'similar' });
    expect(await graph.searchEntities(tenantId, '100%_\\')).toEqual([]);
    await expect(graph.searchEntities(tenantId, ' ')).rejects.toMatchObject({ code: 'QUERY_INVALID' });
    expect(await graph.searchEntities(await newTenant(), 'SVM')).toEqual([]);
  });

  it("shows a node's surroundings within depth and limit", async () => {
    const tenantId = await newTenant();
    await ingest(tenantId, CAUCHY, DESCENT);
    const near = await graph.neighbourhood(tenantId, 'Augustin-Louis Cauchy');
    expect(near.nodes[0]).toMatchObject({ name: 'Augustin-Louis Cauchy', depth: 0 });
    expect(near.nodes.map((node) => node.name)).toContain('Gradient Descent');
    expect(near.nodes.every((node) => node.depth <= 1)).toBe(true);
    const inside = new Set(near.nodes.map((node) => node.id));
    expect(near.edges.every((edge) => inside.has(edge.sourceId) && inside.has(edge.targetId))).toBe(true);
    const far = await graph.neighbourhood(tenantId, near.nodes[0]!.id, { depth: 2 });
    expect(far.nodes.map((node) => node.name)).toContain('Perceptron Network');
    const cut = await graph.neighbourhood(tenantId, 'Augustin-Louis Cauchy', { limit: 2 });
    expect(cut).toMatchObject({ truncated: true, nodes: { length: 2 } });
    await expect(graph.neighbourhood(tenantId, 'Cauchy', { depth: 4 })).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
    });
    await expect(graph.neighbourhood(tenantId, 'Augustin Cauchi')).rejects.toMatchObject({
      code: 'NODE_NOT_FOUND',
      nearest: expect.arrayContaining(['Augustin-Louis Cauchy']),
    });
  });

  it('finds the chains between two nodes, with the passages that state them', async () => {
    const tenantId = await newTenant();
    await ingest(tenantId, CAUCHY, DESCENT);
    const [path] = await graph.paths(tenantId, 'Augustin-Louis Cauchy', 'Perceptron Network', { k: 1 });
    expect(path!.nodes[0]!.name).toBe('Augustin-Louis Cauchy');
    expect(path!.nodes.at(-1)!.name).toBe('Perceptron Network');
    for (const step of path!.steps) expect(step.chunkId).toBeDefined();
    await expect(graph.paths(tenantId, 'Augustin-Louis Cauchy', 'Nobody')).rejects.toMatchObject({
      code: 'NODE_NOT_FOUND',
    });
  });
});
