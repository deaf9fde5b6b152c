import type { TenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { QueryCounter } from '@sparkle/database';
import type { TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseGraphragOptions } from '../graphrag.options.js';
import { LearningPathService } from '../learn/learning-path.service.js';
import { StudyService } from '../learn/study.service.js';
import { GraphService } from '../nest/graph.service.js';
import { dumpGraph } from '../testing/graph-dump.js';
import { createGraphragDatabase, createTestGraphragOn, type TestGraphrag } from '../testing/test-graphrag.js';
import { type CourseInput, parseCourse } from './course.schema.js';
import { CourseLoader } from './course-loader.js';
import { outlineChunks, outlineExtractions, outlineText } from './course-outline.js';

const concept = (
  id: string,
  name: string,
  nameZh: string,
  more: Partial<CourseInput['concepts'][number]> = {},
): CourseInput['concepts'][number] => ({
  id,
  name,
  nameZh,
  group: 'maths',
  difficulty: 2,
  hours: 2,
  summary: `${name} explained.`,
  ...more,
});

const COURSE: CourseInput = {
  id: 'ml-basics',
  title: 'Machine Learning Basics',
  version: '1',
  groups: [
    { id: 'maths', title: 'Mathematics', titleZh: '数学', page: 'maths.md' },
    { id: 'training', title: 'Training', titleZh: '训练', page: 'training.md' },
  ],
  concepts: [
    concept('derivative', 'Derivative', '导数', { difficulty: 1, hours: 3 }),
    concept('chain-rule', 'Chain Rule', '链式法则', {
      prerequisites: [{ concept: 'derivative', reason: 'It composes derivatives.' }],
    }),
    concept('vectors', 'Vector', '向量', { difficulty: 1 }),
    concept('gradient', 'Gradient', '梯度', {
      prerequisites: [
        { concept: 'derivative', reason: 'A gradient is made of derivatives.' },
        { concept: 'vectors', reason: 'A gradient is a vector.' },
      ],
    }),
    concept('gradient-descent', 'Gradient Descent', '梯度下降', {
      group: 'training',
      difficulty: 3,
      aliases: ['GD', 'steepest descent'],
      prerequisites: [{ concept: 'gradient', reason: 'It walks against the gradient.' }],
      resources: [{ title: 'Convex Optimization', kind: 'book', url: 'https://example.org/book' }],
    }),
    concept('backpropagation', 'Backpropagation', '反向传播', {
      group: 'training',
      difficulty: 4,
      hours: 5,
      prerequisites: [
        { concept: 'chain-rule', reason: 'It applies the chain rule to a network.' },
        { concept: 'gradient-descent', reason: 'Its gradients are used to descend.', confidence: 0.9 },
        { concept: 'vectors', reason: 'Notation.', confidence: 0.5 },
      ],
      relations: [{ type: 'used_by', concept: 'gradient-descent', reason: 'Networks are trained so.' }],
    }),
  ],
};
const PAGES = {
  'maths.md': '# Mathematics\n\nThe derivative measures change. The chain rule composes derivatives.\n',
  'training.md':
    '# Training\n\nBackpropagation computes gradients for gradient descent. 反向传播计算梯度。\n',
};

let test: TestDatabase;
let rag: TestGraphrag;
let loader: CourseLoader;
let graph: GraphService;
let paths: LearningPathService;
const clock = new TestClock();
let study: StudyService;
let sequence = 0;
const newTenant = () => test.createTenant(`c${++sequence}`);
const load = (tenantId: TenantId, course: unknown = COURSE, pages: Record<string, string> = PAGES) =>
  loader.load(tenantId, { course, pages, userId: 'admin', mode: 'now' });

beforeAll(async () => {
  test = await createGraphragDatabase();
  rag = createTestGraphragOn(test);
  loader = new CourseLoader(test.database, rag.documents, rag.ingestion);
  graph = new GraphService(test.database, rag.snapshots);
  const options = parseGraphragOptions({});
  paths = new LearningPathService(test.database, options);
  study = new StudyService(test.database, clock, options);
});
afterAll(() => test?.drop());

describe('a course file', () => {
  it('is refused with every wrong path at once', () => {
    const wrong = { ...COURSE, version: '', groups: [{ ...COURSE.groups[0], page: '../x.md' }], extra: 1 };
    expect(() => parseCourse(wrong)).toThrow(
      /version[\s\S]*groups\[0\]\.page[\s\S]*extra|extra[\s\S]*version/,
    );
  });

  it('is refused for references to nothing, double ids and names, and cycles', () => {
    const broken = {
      ...COURSE,
      concepts: [
        concept('a', 'Same Name', '甲', {
          group: 'nowhere',
          prerequisites: [{ concept: 'ghost', reason: 'x' }],
        }),
        concept('a', 'same name', '乙', { prerequisites: [{ concept: 'a', reason: 'x' }] }),
      ],
    };
    expect(() => parseCourse(broken)).toThrow(
      /concepts\[1\]\.id[\s\S]*concepts\[1\]\.name[\s\S]*concepts\[0\]\.group[\s\S]*ghost|no concept has this id/,
    );
    const cyclic = {
      ...COURSE,
      concepts: [
        concept('a', 'A', '甲', { prerequisites: [{ concept: 'b', reason: 'x' }] }),
        concept('b', 'B', '乙', { prerequisites: [{ concept: 'c', reason: 'x' }] }),
        concept('c', 'C', '丙', { prerequisites: [{ concept: 'a', reason: 'x' }] }),
      ],
    };
    expect(() => parseCourse(cyclic)).toThrow(/cycle: a → b → c → a/);
  });

  it('becomes an outline whose passages are stretches of it and hold every statement they are evidence of', () => {
    const course = parseCourse(COURSE);
    const text = outlineText(course);
    const chunks = outlineChunks(course);
    const extractions = outlineExtractions(course);
    expect(chunks).toHaveLength(course.concepts.length);
    chunks.forEach((chunk, index) => {
      expect(text.slice(chunk.start, chunk.end)).toBe(chunk.text);
      for (const relation of extractions[index]!.relations) expect(chunk.text).toContain(relation.statement);
    });
  });
});

describe('loading a course', () => {
  it('makes concepts with their Chinese names, and prerequisites with reasons and evidence', async () => {
    const tenantId = await newTenant();
    const loaded = await load(tenantId);
    expect(loaded).toMatchObject({ concepts: 6, prerequisites: 7, removed: 0 });
    const [found] = await graph.searchEntities(tenantId, '反向传播');
    expect(found).toMatchObject({ name: 'Backpropagation', type: 'concept', match: 'alias' });
    const dump = await dumpGraph(test.database, tenantId);
    const edges = dump.edges as { type: string; attributes: { reason?: string }; confidence: number }[];
    const prerequisites = edges.filter((edge) => edge.type === 'prerequisite_of' && edge.attributes.reason);
    expect(prerequisites).toHaveLength(7);
    expect(prerequisites.map((edge) => edge.attributes.reason)).toContain('It walks against the gradient.');
    const documents = await rag.documents.list(tenantId);
    expect(documents.every((document) => document.state === 'ready')).toBe(true);
    expect(documents).toHaveLength(3);
  });

  it('twice changes nothing', async () => {
    const tenantId = await newTenant();
    await load(tenantId);
    const before = await dumpGraph(test.database, tenantId);
    const version = await rag.snapshots.version(tenantId);
    await load(tenantId);
    expect(await dumpGraph(test.database, tenantId)).toEqual(before);
    expect(await rag.snapshots.version(tenantId)).toBe(version);
  });

  it('in a new version replaces the old one and keeps what learners mastered', async () => {
    const tenantId = await newTenant();
    await load(tenantId);
    await study.record({
      tenantId,
      userId: 'ann',
      node: 'Gradient',
      activity: 'quiz',
      durationSeconds: 60,
      mastered: true,
    });
    const concepts = COURSE.concepts
      .filter((item) => item.id !== 'chain-rule')
      .map((item) => ({
        ...item,
        prerequisites: item.prerequisites?.filter((edge) => edge.concept !== 'chain-rule'),
        hours: item.id === 'gradient' ? 9 : item.hours,
      }));
    const result = await load(
      tenantId,
      { ...COURSE, version: '2', concepts },
      { ...PAGES, 'maths.md': '# Mathematics\n\nThe derivative measures change.\n' },
    );
    expect(result.removed).toBe(2);
    await expect(graph.neighbourhood(tenantId, 'Chain Rule')).rejects.toMatchObject({
      code: 'NODE_NOT_FOUND',
    });
    const path = await paths.plan({ tenantId, userId: 'ann', target: 'Backpropagation' });
    expect(path.steps.map((step) => step.name)).toEqual(['Gradient Descent', 'Backpropagation']);
    expect(path.alreadyMastered).toMatchObject([{ name: 'Gradient' }]);
    const fresh = await paths.plan({ tenantId, userId: 'bob', target: 'Gradient' });
    expect(fresh.steps.at(-1)).toMatchObject({ name: 'Gradient', hours: 9 });
  });

  it('is undone by deleting its outline: its concepts go, what the pages mention stays', async () => {
    const tenantId = await newTenant();
    const loaded = await load(tenantId);
    await rag.documents.delete(tenantId, loaded.outlineDocumentId);
    await expect(graph.neighbourhood(tenantId, 'Vector')).rejects.toMatchObject({ code: 'NODE_NOT_FOUND' });
    const dump = await dumpGraph(test.database, tenantId);
    const nodes = dump.nodes as { attributes: object }[];
    expect(nodes.length).toBeGreaterThan(0);
    expect(nodes.every((node) => Object.keys(node.attributes).length === 0)).toBe(true);
  });

  it('refuses a course whose page is missing, before writing anything', async () => {
    const tenantId = await newTenant();
    await expect(load(tenantId, COURSE, { 'maths.md': 'x' })).rejects.toMatchObject({
      code: 'COURSE_INVALID',
      problems: ['groups[1].page: no such file'],
    });
    expect(await rag.documents.list(tenantId)).toEqual([]);
  });
});

describe('learning paths', () => {
  it('lead to a target given by name, alias or Chinese name, with hours, resources and reasons', async () => {
    const tenantId = await newTenant();
    await load(tenantId);
    const path = await paths.plan({ tenantId, userId: 'ann', target: 'Backpropagation' });
    const names = path.steps.map((step) => step.name);
    expect(names).toEqual([
      'Vector',
      'Derivative',
      'Chain Rule',
      'Gradient',
      'Gradient Descent',
      'Backpropagation',
    ]);
    expect(path.totals).toEqual({ steps: 6, hours: 16, unknownHours: 0, difficulty: 4 });
    expect(path.steps[4]).toMatchObject({
      resources: [{ title: 'Convex Optimization', kind: 'book', url: 'https://example.org/book' }],
      neededFor: [
        { forName: 'Backpropagation', confidence: 0.9, reason: 'Its gradients are used to descend.' },
      ],
    });
    expect(await paths.plan({ tenantId, userId: 'ann', target: '反向传播' })).toEqual(path);
    const short = await paths.plan({ tenantId, userId: 'ann', target: 'GD', mastered: ['导数', 'Vector'] });
    expect(short.steps.map((step) => step.name)).toEqual(['Gradient', 'Gradient Descent']);
  });

  it('cost four statements however long they are', async () => {
    const tenantId = await newTenant();
    await load(tenantId);
    const { queries } = await QueryCounter.run(() =>
      paths.plan({ tenantId, userId: 'ann', target: 'Backpropagation' }),
    );
    expect(queries.count).toBe(4);
  });

  it('to an unknown target are refused with the nearest names', async () => {
    const tenantId = await newTenant();
    await load(tenantId);
    await expect(paths.plan({ tenantId, userId: 'ann', target: 'Backpropagatoin' })).rejects.toMatchObject({
      code: 'NODE_NOT_FOUND',
      nearest: expect.arrayContaining(['Backpropagation']),
    });
    await expect(
      paths.plan({ tenantId, userId: 'ann', target: 'Gradient', mastered: ['Quantum Gravity'] }),
    ).rejects.toMatchObject({ code: 'NODE_NOT_FOUND', asked: 'Quantum Gravity' });
  });

  it("of one tenant are not another's", async () => {
    const tenantId = await newTenant();
    await load(tenantId);
    await expect(
      paths.plan({ tenantId: await newTenant(), userId: 'ann', target: 'Gradient' }),
    ).rejects.toMatchObject({
      code: 'NODE_NOT_FOUND',
      nearest: [],
    });
  });
});

describe('study records', () => {
  it('move mastery by their score, and count once per client id', async () => {
    const tenantId = await newTenant();
    await load(tenantId);
    const record = (more: object) =>
      study.record({
        tenantId,
        userId: 'ann',
        node: 'Vector',
        activity: 'quiz',
        durationSeconds: 300,
        ...more,
      });
    expect(await record({ clientId: 'x1', score: 0.6 })).toMatchObject({
      recorded: true,
      status: { mastered: false, masteryLevel: expect.closeTo(0.6) },
    });
    await clock.advance(1000);
    const again = await Promise.all([1, 2, 3].map(() => record({ clientId: 'x1', score: 0.6 })));
    for (const receipt of again)
      expect(receipt).toMatchObject({ recorded: false, status: { masteryLevel: expect.closeTo(0.6) } });
    expect(await record({ score: 1 })).toMatchObject({
      status: { masteryLevel: expect.closeTo(0.76), mastered: false },
    });
    expect(await record({ score: 1 })).toMatchObject({
      status: { masteryLevel: expect.closeTo(0.856), mastered: true },
    });
    expect(await record({ mastered: false })).toMatchObject({
      status: { masteryLevel: expect.closeTo(0.4), mastered: false },
    });
    expect(await record({})).toMatchObject({
      status: { masteryLevel: expect.closeTo(0.4), mastered: false },
    });
    expect((await study.progress(tenantId, 'ann')).totals).toEqual({
      records: 5,
      seconds: 1500,
      activeDays: 1,
      nodes: 1,
    });
  });

  it('add up to days, mastery and a streak', async () => {
    const tenantId = await newTenant();
    await load(tenantId);
    const day = 86_400_000;
    for (const [ago, seconds] of [
      [0, 60],
      [1, 120],
      [1, 30],
      [2, 10],
      [4, 600],
    ] as const)
      await study.record({
        tenantId,
        userId: 'bob',
        activity: 'read',
        node: 'Derivative',
        durationSeconds: seconds,
        studyTime: clock.now() - ago * day,
        mastered: ago === 0 ? true : undefined,
      });
    const progress = await study.progress(tenantId, 'bob', 4);
    expect(progress.days.map((entry) => entry.seconds)).toEqual([0, 10, 150, 60]);
    expect(progress).toMatchObject({
      mastered: 1,
      inProgress: 0,
      streakDays: 3,
      totals: { records: 4, activeDays: 3 },
    });
    expect(await study.progress(tenantId, 'carol', 1)).toMatchObject({ mastered: 0, streakDays: 0 });
  });

  it('are refused with everything that is wrong with them', async () => {
    const tenantId = await newTenant();
    await expect(
      study.record({
        tenantId,
        userId: '',
        activity: 'Read!',
        durationSeconds: -1,
        score: 2,
        studyTime: clock.now() + 86_400_000,
      }),
    ).rejects.toMatchObject({
      code: 'STUDY_RECORD_INVALID',
      problems: expect.objectContaining({ length: 6 }),
    });
    await expect(
      study.record({ tenantId, userId: 'u', activity: 'read', durationSeconds: 1, node: 'Nothing' }),
    ).rejects.toMatchObject({ code: 'NODE_NOT_FOUND' });
    await expect(study.progress(tenantId, 'u', 0)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
  });
});
