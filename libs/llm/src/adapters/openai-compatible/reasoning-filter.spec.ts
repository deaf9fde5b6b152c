import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReasoningFilter } from './reasoning-filter.js';

function read(parts: readonly string[]): string {
  const filter = new ReasoningFilter();
  return parts.map((part) => filter.push(part)).join('') + filter.end();
}

describe('thoughts at the beginning of a text', () => {
  it.each([
    ['<think>hm</think>\n\nYes.', 'Yes.'],
    ['\n<think>\n1 < 2\n</think>Yes.', 'Yes.'],
    ['No thoughts.', 'No thoughts.'],
    ['<thin air', '<thin air'],
    ['The tag <think> is text here.', 'The tag <think> is text here.'],
    ['<think>never closed', ''],
    [' <', ' <'],
    ['', ''],
  ])('of %j leave %j, however the text is cut into parts', (text, answer) => {
    fc.assert(
      fc.property(fc.array(fc.nat(text.length)), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), text.length];
        const parts = at.slice(1).map((end, index) => text.slice(at[index], end));
        expect(read(parts)).toBe(answer);
      }),
    );
  });
});
