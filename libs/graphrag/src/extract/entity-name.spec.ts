import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  acronymOf,
  detectLanguage,
  isAcronymOf,
  MAX_ENTITY_KEY_LENGTH,
  normaliseEntityName,
} from './entity-name.js';
import { NameDictionary, nameUnits } from './name-dictionary.js';

describe('normaliseEntityName', () => {
  it.each([
    ['The Beatles', 'beatles'],
    ['Gödel’s Theorem', 'godel theorem'],
    ['J. K. Rowling', 'jk rowling'],
    ['J.K. Rowling', 'jk rowling'],
    ['U.S.', 'us'],
    ['C++', 'c++'],
    ['self-attention', 'self attention'],
    ['《统计 学习方法》', '统计学习方法'],
    ['Ｋ近邻', 'k近邻'],
    ['  Gradient   Descent ', 'gradient descent'],
    ['!!!', '!!!'],
    ['   ', ''],
  ])('makes %s into %s', (name, key) => {
    expect(normaliseEntityName(name)).toBe(key);
  });

  it('is idempotent and bounded for any name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 400 }), (name) => {
        const key = normaliseEntityName(name);
        expect(normaliseEntityName(key)).toBe(key);
        expect(key.length).toBeLessThanOrEqual(MAX_ENTITY_KEY_LENGTH);
      }),
    );
  });
});

describe('acronyms', () => {
  it('are made of the initials of the longer words', () => {
    expect(acronymOf('Support Vector Machine')).toBe('SVM');
    expect(acronymOf('Bank of America')).toBe('BA');
    expect(acronymOf('Entropy')).toBeUndefined();
  });

  it.each([
    ['SVM', 'support vector machine', true],
    ['CNNs', 'convolutional neural network', true],
    ['NASA', 'National Aeronautics and Space Administration', true],
    ['BBC', 'Boston Red Sox', false],
    ['X', 'Xylophone', false],
  ])('%s for %s: %s', (short, long, expected) => {
    expect(isAcronymOf(short, long)).toBe(expected);
  });
});

it('detects the language by script', () => {
  expect(detectLanguage('什么是 gradient descent？')).toBe('zh');
  expect(detectLanguage('What is 机 in a long English sentence about many other things?')).toBe('en');
});

describe('NameDictionary', () => {
  it('finds every name it holds in running text, whatever its case, width and punctuation', () => {
    const names = new NameDictionary();
    const written = [
      'Gradient Descent',
      'J. K. Rowling',
      '梯度下降',
      'C++',
      'self-attention',
      'Schindler’s List',
    ];
    written.forEach((name, id) => {
      names.add(name, id);
    });
    const text =
      "We like gradient descent, J.K. Rowling's books, 随机梯度下降法, C++ and Self-Attention; schindler's list.";
    const found = names.findLongest(nameUnits(text)).flatMap(({ ids }) => ids);
    expect(found).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('prefers the longest name at a place', () => {
    const names = new NameDictionary();
    names.add('New York', 0);
    names.add('New York City', 1);
    const matches = names.findLongest(nameUnits('In New York City and New York.'));
    expect(matches.map(({ ids }) => ids[0])).toEqual([1, 0]);
  });
});
