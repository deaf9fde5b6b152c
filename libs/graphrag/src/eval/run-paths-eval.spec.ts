import { SeededRandom } from '@sparkle/contracts';
import { describe, expect, it } from 'vitest';
import type { ConceptRecord } from './read-data.js';
import { type PlannedPath, runPathsEval } from './run-paths-eval.js';

/** a → b → c, and d for itself. */
const concepts: ConceptRecord[] = [
  { id: 'a', title: 'alpha', summary: 'First.', hours: 1, prerequisites: [] },
  { id: 'b', title: 'beta', summary: '', hours: 2, prerequisites: [{ tag: 'a', reason: '' }] },
  {
    id: 'c',
    title: 'gamma',
    summary: '',
    hours: null,
    prerequisites: [
      { tag: 'b', reason: '' },
      { tag: 'elsewhere', reason: '' },
    ],
  },
  { id: 'd', title: 'delta', summary: '', hours: 4, prerequisites: [] },
];
const WAYS: Record<string, string[]> = { a: ['a'], b: ['a', 'b'], c: ['a', 'b', 'c'], d: ['d'] };
const HOURS: Record<string, number> = { a: 1, b: 2, c: 0, d: 4 };

function rightWay(target: string, mastered: readonly string[]): string[] {
  const way = WAYS[target]!;
  const from = Math.max(...way.map((id, index) => (mastered.includes(id) ? index + 1 : 0)));
  return way.slice(from);
}

async function score(spoil: (steps: string[]) => string[], extraHours = 0): Promise<Record<string, number>> {
  const plan = async (target: string, mastered: readonly string[]): Promise<PlannedPath> => {
    const steps = spoil(rightWay(target, mastered));
    const hours = steps.reduce((sum, id) => sum + HOURS[id]!, extraHours);
    return { steps, hours, brokenEdges: [], durationMs: 1 };
  };
  const rows = await runPathsEval({ data: 'tiny', concepts, plan, cases: 200, random: new SeededRandom(1) });
  return Object.fromEntries(rows.map(({ metric, value }) => [metric, value]));
}

describe('the evaluation of learning paths', () => {
  it('finds nothing wrong with the right paths', async () => {
    expect(await score((steps) => steps)).toMatchObject({
      order_valid: 100,
      complete: 100,
      no_needless_step: 100,
      hours_right: 100,
    });
  });

  it.each([
    ['a wrong order', (steps: string[]) => [...steps].reverse(), ['order_valid']],
    ['a missing step', (steps: string[]) => steps.slice(-1), ['complete']],
    ['a needless step', (steps: string[]) => ['d', ...steps], ['no_needless_step']],
  ])('sees %s, and nothing else', async (_name, spoil, spoiled) => {
    const scores = await score(spoil);
    for (const metric of ['order_valid', 'complete', 'no_needless_step', 'hours_right'])
      expect([metric, scores[metric] === 100]).toEqual([metric, !spoiled.includes(metric)]);
  });

  it('sees hours that are not those of the steps', async () => {
    expect((await score((steps) => steps, 1)).hours_right).toBe(0);
  });
});
