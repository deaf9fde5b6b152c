import type { TenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { QueryCounter } from '@sparkle/database';
import type { TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseGraphragOptions } from '../src/graphrag.options.js';
import { LearningPathService } from '../src/learn/learning-path.service.js';
import { StudyService } from '../src/learn/study.service.js';
import { GraphService } from '../src/nest/graph.service.js';
import {
  createGraphragDatabase,
  createTestGraphragOn,
  type TestGraphrag,
} from '../src/testing/test-graphrag.js';

/** Two tenants that differ in nothing but how much they have. */
const SIZES = { small: 4, large: 40 } as const;
type Size = keyof typeof SIZES;

let test: TestDatabase;
let clock: TestClock;
let rag: TestGraphrag;
let graph: GraphService;
let study: StudyService;
let paths: LearningPathService;
const tenants = new Map<Size, TenantId>();

const name = (index: number) => `Topic${String.fromCharCode(65 + (index % 26))}${index}`;

/** Each section defines a topic, which the one before it leads to. */
function chapter(first: number, sections: number): string {
  return Array.from({ length: sections }, (_, offset) => {
    const index = first + offset;
    return `## ${name(index + 1)}\n\n${name(index + 1)} is a kind of ${name(0)}. ${name(index)} is a prerequisite of ${name(index + 1)}. ${name(index + 1)} uses ${name(index)} every day.`;
  }).join('\n\n');
}

beforeAll(async () => {
  test = await createGraphragDatabase();
  clock = new TestClock();
  rag = createTestGraphragOn(test, { clock });
  const options = parseGraphragOptions({});
  graph = new GraphService(test.database, rag.snapshots);
  study = new StudyService(test.database, clock, options);
  paths = new LearningPathService(test.database, options);
  for (const [size, count] of Object.entries(SIZES) as [Size, number][]) {
    const tenantId = await test.createTenant(size);
    tenants.set(size, tenantId);
    for (let document = 0; document < count / 4; document++)
      await rag.ingest(tenantId, `# Chapter ${document}\n\n${chapter(document * 4, 4)}`);
    for (let index = 0; index < count; index++)
      await study.record({
        tenantId,
        userId: 'ada',
        node: name(index + 1),
        activity: 'read',
        durationSeconds: 60,
        score: 1,
        studyTime: clock.now() - index * 3_600_000,
      });
  }
});
afterAll(() => test.drop());

/** Statements that `work` sends for the small and for the large tenant. */
async function countsOf(
  work: (tenantId: TenantId, size: Size) => Promise<unknown>,
): Promise<[number, number]> {
  const count = async (size: Size) => {
    const { queries } = await QueryCounter.run(() => work(tenants.get(size)!, size));
    return queries.count;
  };
  return [await count('small'), await count('large')];
}

describe('the number of statements does not grow with the number of rows', () => {
  it.each<[string, number, (tenantId: TenantId, size: Size) => Promise<unknown>]>([
    ['listing documents', 1, (tenantId) => rag.documents.list(tenantId, { limit: 100 })],
    ['searching entities', 1, (tenantId) => graph.searchEntities(tenantId, 'Topic', 100)],
    ['a learner’s nodes', 1, (tenantId) => study.nodes(tenantId, 'ada')],
    ['a learner’s progress', 2, (tenantId) => study.progress(tenantId, 'ada', 30)],
  ])('for %s: %i', async (_, expected, work) => {
    expect(await countsOf(work)).toEqual([expected, expected]);
  });

  it.each<[string, (tenantId: TenantId, size: Size) => Promise<unknown>]>([
    ['reading the whole graph', (tenantId) => rag.snapshots.current(tenantId, 'latest')],
    ['a neighbourhood', (tenantId) => graph.neighbourhood(tenantId, name(0), { depth: 3, limit: 500 })],
    ['paths between two nodes', (tenantId) => graph.paths(tenantId, name(1), name(3))],
    [
      'a learning path',
      (tenantId, size) => paths.plan({ tenantId, userId: 'bob', target: name(SIZES[size]) }),
    ],
    [
      'finding the names nearest to an unknown one',
      (tenantId) => graph.neighbourhood(tenantId, 'Nothing like it').catch(() => undefined),
    ],
  ])('for %s', async (_, work) => {
    // The first look loads what stays in memory.
    await countsOf(work);
    const [small, large] = await countsOf(work);
    expect(small).toBeGreaterThan(0);
    expect(large).toBe(small);
  });

  it('for a learner’s nodes, of which those studied last come first', async () => {
    const tenantId = tenants.get('large')!;
    const nodes = await study.nodes(tenantId, 'ada', { limit: 3 });
    expect(nodes.map((node) => node.name)).toEqual([1, 2, 3].map(name));
    expect(nodes[0]).toMatchObject({ mastered: true, masteryLevel: 1 });
    expect(await study.nodes(tenantId, 'ada', { mastered: false })).toEqual([]);
    expect(await study.nodes(tenantId, 'nobody')).toEqual([]);
    await expect(study.nodes(tenantId, 'ada', { limit: 0 })).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
    });
  });

  it('for ingesting, replacing and deleting a document of four sections or of forty', async () => {
    const ids = new Map<Size, string>();
    const steps: [string, (tenantId: TenantId, size: Size) => Promise<unknown>][] = [
      [
        'ingest',
        async (tenantId, size) => {
          ids.set(size, await rag.ingest(tenantId, `# More\n\n${chapter(500, SIZES[size])}`));
        },
      ],
      [
        'replace',
        async (tenantId, size) => {
          const text = `# More\n\nChanged.\n\n${chapter(501, SIZES[size])}`;
          const { document } = await rag.documents.replace(ids.get(size)!, {
            tenantId,
            userId: 'teacher',
            format: 'markdown',
            content: text,
          });
          await rag.work();
          ids.set(size, document.id);
        },
      ],
      ['delete', (tenantId, size) => rag.documents.delete(tenantId, ids.get(size)!)],
    ];
    for (const [step, work] of steps) {
      const [small, large] = await countsOf(work);
      expect(large, step).toBe(small);
    }
  });
});
