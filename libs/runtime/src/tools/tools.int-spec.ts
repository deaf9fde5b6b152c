import type { TenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import {
  ChatOrchestrator,
  ConversationService,
  MemoryService,
  parseConversationOptions,
} from '@sparkle/conversation';
import { ScriptedChatModel } from '@sparkle/conversation/testing';
import type { TestDatabase } from '@sparkle/database/testing';
import {
  type CourseInput,
  CourseLoader,
  GraphService,
  LearningPathService,
  parseGraphragOptions,
  StudyService,
} from '@sparkle/graphrag';
import { createGraphragDatabase, createTestGraphragOn } from '@sparkle/graphrag/testing';
import { LocalExtractiveChatModel } from '@sparkle/llm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GraphSearchTool } from './graph-search.tool.js';
import { LearningPathTool } from './learning-path.tool.js';
import { ProgressTool } from './progress.tool.js';

const concept = (id: string, name: string, nameZh: string, ...prerequisites: string[]) => ({
  id,
  name,
  nameZh,
  group: 'maths',
  difficulty: 2,
  hours: 2,
  summary: `${name} explained.`,
  prerequisites: prerequisites.map((each) => ({ concept: each, reason: `It uses the ${each}.` })),
});

const COURSE: CourseInput = {
  id: 'maths',
  title: 'Mathematics',
  version: '1',
  groups: [{ id: 'maths', title: 'Mathematics', titleZh: '数学', page: 'maths.md' }],
  concepts: [
    concept('derivative', 'Derivative', '导数'),
    concept('gradient', 'Gradient', '梯度', 'derivative'),
    concept('gradient-descent', 'Gradient Descent', '梯度下降', 'gradient'),
  ],
};

let test: TestDatabase;
let tenantId: TenantId;
let otherTenantId: TenantId;
let tools: readonly [GraphSearchTool, LearningPathTool, ProgressTool];

beforeAll(async () => {
  test = await createGraphragDatabase();
  tenantId = await test.createTenant('school');
  otherTenantId = await test.createTenant('college');
  const { database } = test;
  const rag = createTestGraphragOn(test);
  const options = parseGraphragOptions({});
  await new CourseLoader(database, rag.documents, rag.ingestion).load(tenantId, {
    course: COURSE,
    pages: { 'maths.md': '# Mathematics\n\nThe derivative measures change.\n' },
    userId: 'teacher',
    mode: 'now',
  });
  const study = new StudyService(database, new TestClock(), options);
  await study.record({
    tenantId,
    userId: 'ada',
    node: 'derivative',
    activity: 'quiz',
    durationSeconds: 600,
    mastered: true,
  });
  tools = [
    new GraphSearchTool(new GraphService(database, rag.snapshots)),
    new LearningPathTool(new LearningPathService(database, options)),
    new ProgressTool(study),
  ];
});
afterAll(() => test?.drop());

const context = (userId = 'ada', language: 'en' | 'zh' = 'en', tenant = tenantId) => ({
  tenantId: tenant,
  userId,
  language,
  signal: new AbortController().signal,
});
const texts = (output: { passages: readonly { text: string }[] }) => output.passages.map(({ text }) => text);

describe('graph_search', () => {
  it('says what a concept is and what it is related to, and how two are connected', async () => {
    const [search] = tools;
    const around = await search.run({ concept: 'gradient' }, context());
    expect(texts(around).join('\n')).toMatch(/Gradient —\[prerequisite_of\]→ Gradient Descent/);
    const between = await search.run({ concept: 'derivative', other: 'gradient descent' }, context());
    expect(between.passages[0]).toMatchObject({
      kind: 'path',
      source: { nodes: ['Derivative', 'Gradient', 'Gradient Descent'] },
    });
    expect(between.paths).toHaveLength(between.passages.length);
    expect(texts(await search.run({ concept: '梯度' }, context('ada', 'zh'))).join('')).toContain('梯度下降');
  });

  it('names what comes near when a concept is not there, and finds nothing of another tenant', async () => {
    const [search] = tools;
    const near = await search.run({ concept: 'gradients of descent' }, context());
    expect(near).toMatchObject({
      passages: [],
      note: expect.stringMatching(/has no "gradients of descent"/),
    });
    const foreign = await search.run({ concept: 'gradient' }, context('ada', 'en', otherTenantId));
    expect(foreign).toEqual({ passages: [], note: 'The graph has no "gradient".' });
  });
});

describe('learning_path', () => {
  it('plans from what this learner has mastered', async () => {
    const [, plan] = tools;
    const target = 'gradient descent';
    expect(texts(await plan.run({ target }, context()))[0]).toBe(
      'Before Gradient Descent, learn in this order: Gradient. You have mastered Derivative already. Together this takes about 4 hours.',
    );
    expect(texts(await plan.run({ target }, context('bob')))[0]).toContain(
      'in this order: Derivative, Gradient.',
    );
    expect(texts(await plan.run({ target, mastered: ['gradient'] }, context('bob')))[0]).toContain(
      'You can begin with Gradient Descent',
    );
    expect(texts(await plan.run({ target: '梯度下降' }, context('ada', 'zh')))[0]).toMatch(
      /^学习.*之前，请依次学习：/,
    );
    expect(texts(await plan.run({ target: 'derivative' }, context()))).toEqual([
      'You have mastered Derivative already.',
    ]);
    expect((await plan.run({ target: 'nothing' }, context())).passages).toEqual([]);
  });
});

describe('progress', () => {
  it('tells each learner of their own days only', async () => {
    const [, , progress] = tools;
    expect(texts(await progress.run({ days: 7 }, context()))).toEqual([
      'You studied 10 minutes in the last 7 days, on 1 day, in 1 session about 1 concept.',
      'You have mastered 1 concept, most recently: Derivative.',
    ]);
    expect(texts(await progress.run({ days: 1 }, context('bob', 'zh')))).toEqual(['今天没有学习记录。']);
  });
});

describe('a conversation', () => {
  async function setUp(model: ScriptedChatModel | LocalExtractiveChatModel) {
    const options = parseConversationOptions();
    const memory = new MemoryService(test.database, model, options);
    const chat = new ChatOrchestrator(
      test.database,
      model,
      memory,
      options,
      undefined,
      undefined,
      undefined,
      undefined,
      tools,
    );
    const owner = { tenantId, userId: 'ada' };
    const { id } = await new ConversationService(test.database, model, options).create(owner);
    return (content: string) => chat.reply({ ...owner, conversationId: id, content });
  }

  it('offers every tool to a model that can call them, with a schema of its arguments', async () => {
    const model = new ScriptedChatModel().script(
      { kind: 'tools', calls: [{ name: 'learning_path', arguments: { target: 'gradient descent' } }] },
      { kind: 'text', text: 'Learn the gradient first [T1].' },
    );
    const turn = await (await setUp(model))('What next?');
    expect(model.requests[0]!.tools?.map(({ name, parameters }) => [name, parameters.type])).toEqual([
      ['graph_search', 'object'],
      ['learning_path', 'object'],
      ['progress', 'object'],
    ]);
    expect(turn.citations).toMatchObject([{ id: 'T1', tool: 'learning_path', quote: expect.any(String) }]);
  });

  it('with the local model answers what a learner asks about themselves, in their language', async () => {
    const ask = await setUp(new LocalExtractiveChatModel());
    expect(await ask('What should I learn before gradient descent?')).toMatchObject({
      answer: expect.stringMatching(/^Before Gradient Descent, learn in this order: Gradient\..*\[T1\]\n/),
      model: 'tool:learning_path',
      supported: true,
    });
    expect(await ask('我学到哪了？')).toMatchObject({
      answer: expect.stringContaining('最近7天你在1天里学习了10分钟'),
      model: 'tool:progress',
    });
    expect((await ask('What should I learn before alchemy?')).model).toBe('local-extractive');
  });
});
