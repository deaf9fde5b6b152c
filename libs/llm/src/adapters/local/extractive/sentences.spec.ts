import { describe, expect, it } from 'vitest';
import { splitSentences } from './sentences.js';

describe('splitting into sentences', () => {
  it.each([
    ['One. Two! Three? Four', ['One.', 'Two!', 'Three?', 'Four']],
    [
      'Dr. J. R. Smith met Mr. Lee at 5 p.m. on Monday. He left.',
      ['Dr. J. R. Smith met Mr. Lee at 5 p.m. on Monday.', 'He left.'],
    ],
    [
      'It costs 3.5 dollars, e.g. in the U.S. today. Fine.',
      ['It costs 3.5 dollars, e.g. in the U.S. today.', 'Fine.'],
    ],
    ['监督学习需要标签。无监督不需要！对吗？', ['监督学习需要标签。', '无监督不需要！', '对吗？']],
    ['“他来了。”她说。', ['“他来了。”', '她说。']],
    [
      '# Title\n\nA line that\nwas wrapped here.\n- item one\n- **item** two',
      ['Title', 'A line that was wrapped here.', 'item one', 'item two'],
    ],
    ['user: Hello there\nassistant: Hi', ['user: Hello there', 'assistant: Hi']],
    ['', []],
    ['  \n … !', []],
  ])('%j', (text, expected) => {
    expect(splitSentences(text)).toEqual(expected);
  });

  it.each(['e.g. ', 'a. ', '…', 'word ', '#\n', '（', '"'])(
    'gets through fifty thousand times %j',
    (unit) => {
      expect(splitSentences(unit.repeat(50_000)).length).toBeLessThanOrEqual(50_000);
    },
  );
});
