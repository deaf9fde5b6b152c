import { describe, expect, it } from 'vitest';
import { extractNotes, mergeNotes } from '../src/summaries/notes.js';
import { COMPATIBLE, CONTRADICTED, type LabelledPair } from './data/contradictions.js';

/** Whether the earlier sentence's note ends up replaced by the later one's. */
function isReplaced([earlier, later]: LabelledPair): boolean {
  const notes = mergeNotes(
    [[earlier, 1] as const, [later, 21] as const].map(([content, seq]) =>
      extractNotes([{ seq, role: 'user', content }]),
    ),
    40,
  );
  return notes.some(({ seq, supersededBy }) => seq === 1 && supersededBy === 21);
}

describe('of labelled pairs of statements, English and Chinese', () => {
  const found = CONTRADICTED.filter(isReplaced);
  const wrong = COMPATIBLE.filter(isReplaced);

  it('at least nine in ten contradicted ones are replaced, and as many replacements are right', () => {
    const missed = CONTRADICTED.filter((pair) => !found.includes(pair));
    const recall = found.length / CONTRADICTED.length;
    const precision = found.length / (found.length + wrong.length);
    const figures = `recall ${recall.toFixed(3)}, precision ${precision.toFixed(3)}`;
    expect(recall, `${figures}; missed ${JSON.stringify(missed, undefined, 1)}`).toBeGreaterThanOrEqual(0.9);
    expect(precision, `${figures}; wrong ${JSON.stringify(wrong, undefined, 1)}`).toBeGreaterThanOrEqual(
      0.95,
    );
  });

  it('nothing replaces what was said after it', () => {
    for (const [earlier, later] of [...CONTRADICTED, ...COMPATIBLE]) {
      const notes = mergeNotes(
        [
          extractNotes([
            { seq: 1, role: 'user', content: later },
            { seq: 2, role: 'user', content: earlier },
          ]),
        ],
        40,
      );
      expect(notes.every(({ seq, supersededBy }) => supersededBy === undefined || supersededBy > seq)).toBe(
        true,
      );
    }
  });
});
