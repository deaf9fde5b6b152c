import { describe, expect, it } from 'vitest';
import { answerF1, containsAnswer, isExactMatch, withoutMarkers } from './answer-metrics.js';

describe('the comparison of answers', () => {
  it('looks past case, articles, punctuation and accents', () => {
    expect(isExactMatch('The Béatles!', ['beatles'])).toBe(true);
    expect(isExactMatch('Beatles fans', ['beatles'])).toBe(false);
    expect(isExactMatch('G. S. Hall', ['Stanley Hall', 'G S Hall'])).toBe(true);
  });

  it('counts shared words, repeated ones as often as both have them', () => {
    expect(answerF1('new york city', ['New York'])).toBeCloseTo(0.8);
    expect(answerF1('york york', ['New York'])).toBeCloseTo(0.5);
    expect(answerF1('London', ['New York', 'Greater London'])).toBeCloseTo(2 / 3);
    expect(answerF1('', ['x'])).toBe(0);
  });

  it('finds an answer within a sentence, as whole words', () => {
    expect(containsAnswer('It was Ada Lovelace who wrote it.', ['ada lovelace'])).toBe(true);
    expect(containsAnswer('Canada is large.', ['Ada'])).toBe(false);
    expect(containsAnswer('anything', [''])).toBe(false);
  });

  it('takes Chinese by character', () => {
    expect(containsAnswer('反向传播需要先掌握链式法则。', ['链式法则'])).toBe(true);
    expect(answerF1('链式法则', ['链式规则'])).toBeCloseTo(0.75);
  });

  it('does not count the markers of citations', () => {
    expect(withoutMarkers('It was Ada [C1] [P2].')).toBe('It was Ada.');
  });
});
