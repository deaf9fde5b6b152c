import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SeededRandom } from '@sparkle/contracts/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { bootstrapDifference, percentile, recallAt } from './metrics.js';
import { readCorpus, readQuestions } from './read-data.js';

const folder = mkdtempSync(join(tmpdir(), 'sparkle-eval-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string, lines: readonly string[]) => {
  const path = join(folder, name);
  writeFileSync(path, lines.join('\n'));
  return path;
};

describe('metrics', () => {
  it('recall counts each gold passage once and only within the depth', () => {
    expect(recallAt(['a', 'a', 'b', 'c'], ['a', 'c'], 2)).toBe(0.5);
    expect(recallAt(['a', 'b', 'c'], ['a', 'c'], 3)).toBe(1);
    expect(recallAt(['a'], [], 3)).toBe(0);
  });

  it('percentile is the nearest rank', () => {
    expect(percentile([5, 1, 4, 2, 3], 0.5)).toBe(3);
    expect(percentile([5, 1, 4, 2, 3], 0.95)).toBe(5);
    expect(percentile([], 0.5)).toBe(0);
  });

  it('the bootstrap interval holds the mean, and a constant difference has no width', () => {
    const better = Array.from({ length: 50 }, (_, index) => (index % 3) / 2);
    const gain = bootstrapDifference(
      better,
      better.map(() => 0.25),
      new SeededRandom(7),
    );
    expect(gain.low).toBeLessThan(gain.mean);
    expect(gain.high).toBeGreaterThan(gain.mean);
    expect(bootstrapDifference([1, 1], [0.5, 0.5], new SeededRandom(7))).toEqual({
      mean: 0.5,
      low: 0.5,
      high: 0.5,
    });
  });
});

describe('readers', () => {
  it('read ids as strings and fill in what may be missing', async () => {
    const path = file('questions.jsonl', ['{"id":1,"question":"Q?","answer":"A","gold":[0,2]}', '']);
    expect(await readQuestions(path)).toEqual([
      { id: '1', question: 'Q?', answer: 'A', aliases: [], type: 'all', gold: ['0', '2'] },
    ]);
  });

  it.each([
    ['not JSON', 'nonsense'],
    ['a missing title', '{"id":1,"text":"x"}'],
  ])('refuse %s, naming the line', async (_, line) => {
    const path = file('corpus.jsonl', ['{"id":0,"title":"T","text":"x"}', line]);
    await expect(readCorpus(path)).rejects.toMatchObject({ code: 'EVALUATION_DATA_INVALID', line: 2 });
  });
});
