import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { analyse } from './analyse.js';
import { LexicalIndex } from './lexical-index.js';

/** BM25 as the formula says, document by document. */
function naiveBm25(documents: readonly string[][], query: readonly string[]): number[] {
  const average = documents.reduce((sum, terms) => sum + terms.length, 0) / documents.length || 1;
  return documents.map((terms) => {
    let score = 0;
    for (const term of new Set(query)) {
      const frequency = terms.filter((other) => other === term).length;
      const df = documents.filter((other) => other.includes(term)).length;
      const idf = Math.log(1 + (documents.length - df + 0.5) / (df + 0.5));
      const norm = 1.2 * (1 - 0.75 + (0.75 * terms.length) / average);
      score += (idf * frequency * 2.2) / (frequency + norm);
    }
    return score;
  });
}

const term = fc.constantFrom('a', 'b', 'c', 'd', '图', '__proto__');

describe('LexicalIndex', () => {
  it('scores as BM25 computed document by document does, and finds the best', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(term, { maxLength: 12 }), { minLength: 1, maxLength: 12 }),
        fc.array(term, { maxLength: 5 }),
        (documents, query) => {
          const scores = LexicalIndex.build(documents).score(query);
          naiveBm25(documents, query).forEach((expected, document) => {
            expect(scores.of(document)).toBeCloseTo(expected, 9);
          });
          const best = scores.best(3);
          const order = documents
            .map((_, document) => document)
            .filter((document) => scores.of(document) > 0);
          order.sort((left, right) => scores.of(right) - scores.of(left) || left - right);
          expect(best.map(({ ref }) => ref)).toEqual(order.slice(0, 3));
        },
      ),
    );
  });
});

describe('analyse', () => {
  it.each([
    ['The networks are learning', ['network', 'learn']],
    ["Schindler's List (1993)", ['schindler', 'list', '1993']],
    ['Gödel', ['godel']],
    ['梯度下降', ['梯度', '度下', '下降']],
    ['用SVM分类', ['用', 'svm', '分类']],
  ])('turns %s into %j', (text, terms) => {
    expect(analyse(text)).toEqual(terms);
  });
});
