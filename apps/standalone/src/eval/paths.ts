import { basename, join, resolve } from 'node:path';
import type { INestApplicationContext } from '@nestjs/common';
import { SeededRandom } from '@sparkle/contracts';
import {
  type ConceptRecord,
  type CourseInput,
  CourseLoader,
  LearningPathService,
  type PathsEvaluationRow,
  readConcepts,
  runPathsEval,
} from '@sparkle/graphrag';
import { readOptions, UsageError } from '../cli/command.js';
import { EVALUATOR, withEmbeddedProduct } from './embedded-product.js';
import type { Evaluation } from './evaluation.js';

const USAGE = 'npm run --silent eval -- paths --data DIR [--cases N] [--json]';
const SEED = 20_261_123;

/** Learning paths over the concepts of `concepts.jsonl`, and prerequisites inferred from their summaries. */
export const pathsEvaluation: Evaluation = { usage: USAGE, run };

async function run(): Promise<void> {
  const { values } = readOptions(USAGE, {
    data: { type: 'string' },
    cases: { type: 'string', default: '500' },
    json: { type: 'boolean', default: false },
  });
  const cases = Number(values.cases);
  if (!values.data || !Number.isInteger(cases) || cases < 1) throw new UsageError(`usage: ${USAGE}`);
  const folder = resolve(values.data);
  const concepts = await readConcepts(join(folder, 'concepts.jsonl'));
  await withEmbeddedProduct(undefined, async (app) => {
    const plan = await planner(app, basename(folder), concepts);
    const random = new SeededRandom(SEED);
    const rows = await runPathsEval({ data: basename(folder), concepts, plan, cases, random });
    if (values.json) for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`);
    else process.stdout.write(table(rows));
  });
}

/** Loads the concepts as the product loads a course, and plans as it plans for a learner. */
async function planner(app: INestApplicationContext, name: string, concepts: readonly ConceptRecord[]) {
  const { tenantId, userId } = EVALUATOR;
  const course = toCourse(name, concepts);
  await app.get(CourseLoader).load(tenantId, { course, pages: {}, userId, mode: 'now' });
  const paths = app.get(LearningPathService);
  const names = new Map(course.concepts.map((concept, index) => [concepts[index]!.id, concept.name]));
  const ids = new Map([...names].map(([id, title]) => [title, id]));
  return async (target: string, mastered: readonly string[]) => {
    const started = performance.now();
    const path = await paths.plan({
      tenantId,
      userId,
      target: names.get(target)!,
      mastered: mastered.map((id) => names.get(id)!),
    });
    return {
      steps: path.steps.map((step) => ids.get(step.name)!),
      hours: path.totals.hours,
      brokenEdges: path.brokenEdges,
      durationMs: performance.now() - started,
    };
  };
}

/** Titles that repeat are told apart by the concept's id. */
function toCourse(name: string, concepts: readonly ConceptRecord[]): CourseInput {
  const titles = new Set<string>();
  const slugs = new Map(concepts.map(({ id }, index) => [id, `c${index}`]));
  return {
    id: 'evaluation',
    title: name,
    version: '1',
    groups: [{ id: 'all', title: 'All concepts' }],
    concepts: concepts.map(({ id, title, summary, hours, prerequisites }) => {
      const unique = titles.has(title.toLowerCase()) ? `${title} (${id})` : title;
      titles.add(title.toLowerCase());
      return {
        id: slugs.get(id)!,
        name: unique,
        group: 'all',
        summary: summary || title,
        ...(typeof hours === 'number' && { hours }),
        prerequisites: prerequisites.flatMap(({ tag, reason }) =>
          slugs.has(tag) ? [{ concept: slugs.get(tag)!, reason: reason || 'Stated without a reason.' }] : [],
        ),
      };
    }),
  };
}

function table(rows: readonly PathsEvaluationRow[]): string {
  const lines = rows.map(
    ({ metric, value, n }) => `${metric.padEnd(36)}${value.toFixed(1).padStart(10)}${String(n).padStart(8)}`,
  );
  return `${rows[0]?.data}\n${'metric'.padEnd(36)}${'value'.padStart(10)}${'n'.padStart(8)}\n${lines.join('\n')}\n`;
}
