import { SeededRandom } from '@sparkle/contracts/testing';
import { describe, expect, it } from 'vitest';
import { swappedPairs } from '../src/semantic-cache/swapped-pairs.js';

describe('swapped pairs', () => {
  const english = [
    'How do I increase my height after 21?',
    'Why is Paris more expensive than Rome?',
    'How can I travel from Delhi to Goa?',
    'What are the two ways to lose weight?',
  ];
  const made = (language: 'en' | 'zh', swap: 'polarity' | 'number' | 'entity' | 'role', texts: string[]) =>
    Object.fromEntries(
      swappedPairs(texts, language, swap, 10, new SeededRandom(5)).map(({ first, second }) => [
        first,
        second,
      ]),
    );

  it('differ in one opposite, number, name or in who does what to whom', () => {
    expect(made('en', 'polarity', english)[english[3]!]).toContain('gain weight');
    expect(made('en', 'number', english)[english[0]!]).toMatch(/after (?!21)\d+\?/);
    expect(made('en', 'role', english)[english[2]!]).toBe('How can I travel from Goa to Delhi?');
    expect(made('en', 'entity', english)[english[2]!]).not.toContain('Delhi');
    expect(made('zh', 'polarity', ['一个男人在弹吉他。'])).toEqual({
      '一个男人在弹吉他。': '一个男人没有在弹吉他。',
    });
    expect(made('zh', 'number', ['两只狗在跑。'])).toEqual({ '两只狗在跑。': '五只狗在跑。' });
  });

  it('are the same for the same seed and at most as many as asked for', () => {
    const pairs = () => swappedPairs(english, 'en', 'polarity', 2, new SeededRandom(9));
    expect(pairs()).toEqual(pairs());
    expect(pairs()).toHaveLength(2);
  });
});
