import type { Random } from '@sparkle/contracts';
import { inferPrerequisites } from '../course/infer-prerequisites.js';
import type { LearningPath } from '../learn/learning-path.js';
import { percentile } from './metrics.js';
import type { ConceptRecord } from './read-data.js';

export interface PathsEvaluationInput {
  /** Name of the data set in the rows. */
  readonly data: string;
  readonly concepts: readonly ConceptRecord[];
  /** The system's way for a learner who has mastered `mastered`; ids are those of the concepts. */
  readonly plan: (target: string, mastered: readonly string[]) => Promise<PlannedPath>;
  /** How many pairs of a target and a learner to try. Default 500. */
  readonly cases?: number;
  /** Seeds the pairs. */
  readonly random: Random;
  readonly signal?: AbortSignal;
}

/** What the system answered, in terms of the data's ids. */
export interface PlannedPath {
  readonly steps: readonly string[];
  readonly hours: number;
  readonly brokenEdges: LearningPath['brokenEdges'];
  readonly durationMs: number;
}

export interface PathsEvaluationRow {
  readonly eval: 'paths';
  readonly data: string;
  readonly metric: string;
  readonly value: number;
  /** Paths, or pairs, that the value is over. */
  readonly n: number;
}

/** What a request for a learning path may name as mastered. */
const MOST_MASTERED = 200;
/** Confidences from which inferred prerequisites are counted; learning paths follow those of 0.8 and more. */
const INFERENCE_LEVELS = [0.8, 0.6, 0.5] as const;

/**
 * Scores learning paths against an oracle that knows nothing of the planner: the prerequisites of the data, walked
 * back from the target and not beyond what is mastered. Every share is in percent of the paths.
 *
 * - `order_valid`: every step comes after its prerequisites among the steps
 * - `complete`: nothing that is needed is left out
 * - `no_needless_step`: nothing else is in it, nor anything twice or mastered
 * - `hours_right`: the hours are the sum over the steps whose hours are known
 *
 * And how well prerequisites are inferred from the summaries alone: `inferred_precision@L` counts stated pairs,
 * `inferred_implied_precision@L` those that stated pairs imply, too.
 */
export async function runPathsEval(input: PathsEvaluationInput): Promise<PathsEvaluationRow[]> {
  const { data, concepts, random } = input;
  const known = new Set(concepts.map(({ id }) => id));
  const needs = new Map(
    concepts.map(({ id, prerequisites }) => [
      id,
      prerequisites.map(({ tag }) => tag).filter((tag) => known.has(tag)),
    ]),
  );
  const hours = new Map(concepts.map((concept) => [concept.id, concept.hours ?? 0]));
  const cases = input.cases ?? 500;
  const outcomes = { ordered: 0, complete: 0, spare: 0, hours: 0, steps: 0, broken: 0 };
  const durations: number[] = [];
  for (let index = 0; index < cases; index += 1) {
    input.signal?.throwIfAborted();
    const target = concepts[Math.floor(random.next() * concepts.length)]!.id;
    const mastered = sample([...known], random.next() * MOST_MASTERED, random);
    mastered.delete(target);
    const needed = neededFor(target, needs, mastered);
    const { steps, hours: claimed, brokenEdges, durationMs } = await input.plan(target, [...mastered]);
    durations.push(durationMs);
    const taken = new Set(steps);
    const at = new Map(steps.map((id, position) => [id, position]));
    const ordered = steps.every((id, position) =>
      needs.get(id)!.every((other) => (at.get(other) ?? -1) < position),
    );
    const sum = steps.reduce((total, id) => total + hours.get(id)!, 0);
    outcomes.ordered += Number(ordered);
    outcomes.complete += Number([...needed].every((id) => taken.has(id)));
    outcomes.spare += Number(taken.size === steps.length && steps.every((id) => needed.has(id)));
    outcomes.hours += Number(Math.abs(sum - claimed) < 1e-6);
    outcomes.steps += steps.length;
    outcomes.broken += brokenEdges.length;
  }
  const row = (metric: string, value: number, n = cases): PathsEvaluationRow => ({
    eval: 'paths',
    data,
    metric,
    value,
    n,
  });
  return [
    row('order_valid', (100 * outcomes.ordered) / cases),
    row('complete', (100 * outcomes.complete) / cases),
    row('no_needless_step', (100 * outcomes.spare) / cases),
    row('hours_right', (100 * outcomes.hours) / cases),
    row('mean_steps', outcomes.steps / cases),
    row('broken_edges', outcomes.broken),
    row('p50_ms', percentile(durations, 0.5)),
    row('p95_ms', percentile(durations, 0.95)),
    ...inferenceRows(concepts, needs, row),
  ];
}

function inferenceRows(
  concepts: readonly ConceptRecord[],
  needs: ReadonlyMap<string, readonly string[]>,
  row: (metric: string, value: number, n: number) => PathsEvaluationRow,
): PathsEvaluationRow[] {
  const inferred = inferPrerequisites(
    concepts.map(({ id, title, summary }) => ({ id, names: [title], text: summary })),
  );
  const stated = [...needs.values()].reduce((sum, list) => sum + list.length, 0);
  return INFERENCE_LEVELS.flatMap((level) => {
    const pairs = inferred.filter(({ confidence }) => confidence >= level);
    const direct = pairs.filter(({ concept, prerequisite }) => needs.get(concept)!.includes(prerequisite));
    const implied = pairs.filter(({ concept, prerequisite }) =>
      neededFor(concept, needs, new Set()).has(prerequisite),
    );
    return [
      row(`inferred_precision@${level}`, percentOf(direct.length, pairs.length), pairs.length),
      row(`inferred_implied_precision@${level}`, percentOf(implied.length, pairs.length), pairs.length),
      row(`inferred_recall@${level}`, percentOf(direct.length, stated), stated),
    ];
  });
}

/** `target` and all that leads to it, the mastered and what only they need left out. */
function neededFor(
  target: string,
  needs: ReadonlyMap<string, readonly string[]>,
  mastered: ReadonlySet<string>,
): Set<string> {
  const needed = new Set([target]);
  for (const id of needed) for (const other of needs.get(id)!) if (!mastered.has(other)) needed.add(other);
  return needed;
}

/** About `count` of the values, or all of them. */
function sample(values: readonly string[], count: number, random: Random): Set<string> {
  const share = count / values.length;
  return new Set(values.filter(() => random.next() < share).slice(0, MOST_MASTERED));
}

function percentOf(part: number, whole: number): number {
  return whole === 0 ? 0 : (100 * part) / whole;
}
