import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ExplainedConcept, inferPrerequisites } from './infer-prerequisites.js';

const pairs = (concepts: readonly ExplainedConcept[], stated = [] as never[]) =>
  inferPrerequisites(concepts, stated).map(
    ({ prerequisite, concept, confidence }) => `${prerequisite} → ${concept} ${confidence}`,
  );

const importance = { id: 'is', names: ['importance sampling'], text: 'A way to estimate an expectation.' };

describe('inferring prerequisites', () => {
  it.each([
    [
      'what a definition is made of is needed most surely',
      'Annealed sampling is importance sampling in many steps. It is slow.',
      ['is → a 0.9'],
    ],
    [
      'what the text comes back to is needed',
      'It anneals. Like importance sampling it weighs. Importance sampling does not anneal.',
      ['is → a 0.8'],
    ],
    ['what is mentioned may be needed', 'It anneals. It beats importance sampling.', ['is → a 0.6']],
    ['what is not mentioned is not', 'It anneals.', []],
  ])('%s', (_name, text, expected) => {
    expect(pairs([importance, { id: 'a', names: ['annealing'], text }])).toEqual(expected);
  });

  it('sees a name within a name, and quotes what it saw', () => {
    const annealed = { id: 'a', names: ['annealed importance sampling'], text: 'It weighs. It anneals.' };
    expect(inferPrerequisites([importance, annealed])).toEqual([
      { concept: 'a', prerequisite: 'is', reason: 'annealed importance sampling', confidence: 0.85 },
    ]);
  });

  it('hardly believes a name of one word, and two texts that lean on each other not at all', () => {
    const vector = { id: 'v', names: ['vectors'], text: 'Numbers in a row.' };
    const rank = { id: 'r', names: ['rank'], text: 'The rank of a vector is a number.' };
    expect(pairs([vector, rank])).toEqual(['v → r 0.5']);
    expect(pairs([{ ...vector, text: 'A vector has a rank.' }, rank])).toEqual([]);
  });

  it('reads Chinese', () => {
    const algebra = { id: 'la', names: ['Linear algebra', '线性代数'], text: '研究向量与矩阵的学科。' };
    const svm = {
      id: 'svm',
      names: ['Support vector machine', '支持向量机'],
      text: '以线性代数为基础的分类方法。',
    };
    expect(pairs([algebra, svm])).toEqual(['la → svm 0.9']);
  });

  it('adds to what is stated without closing a cycle or repeating it', () => {
    const a = { id: 'a', names: ['alpha one'], text: 'Something like beta two.' };
    const b = { id: 'b', names: ['beta two'], text: 'Something else.' };
    expect(inferPrerequisites([a, b], [{ concept: 'b', prerequisite: 'a' }])).toEqual([]);
    expect(inferPrerequisites([a, b], [{ concept: 'a', prerequisite: 'b' }])).toEqual([]);
    expect(pairs([a, b])).toEqual(['b → a 0.9']);
  });

  const words = fc.constantFrom('red fox', 'blue whale', 'grey owl', 'wren', 'green frog', 'old oak');
  const texts = fc.array(
    fc.array(words, { maxLength: 5 }).map((list) => `${list.join('. A ')}.`),
    {
      minLength: 6,
      maxLength: 6,
    },
  );
  const names = ['red fox', 'blue whale', 'grey owl', 'wren', 'green frog', 'old oak'];

  it('never makes a cycle, nor a pair that surer pairs imply, whatever the texts say', () => {
    fc.assert(
      fc.property(texts, (all) => {
        const concepts = all.map((text, index) => ({ id: `c${index}`, names: [names[index]!], text }));
        const inferred = inferPrerequisites(concepts);
        const needs = (level: number, without?: object) => {
          const map = new Map<string, string[]>(concepts.map(({ id }) => [id, []]));
          for (const pair of inferred)
            if (pair.confidence >= level && pair !== without) map.get(pair.concept)!.push(pair.prerequisite);
          return map;
        };
        const reach = (map: Map<string, string[]>, from: string) => {
          const seen = new Set(map.get(from));
          for (const id of seen) for (const next of map.get(id)!) seen.add(next);
          return seen;
        };
        for (const { id } of concepts) expect(reach(needs(0), id).has(id)).toBe(false);
        for (const pair of inferred)
          expect(reach(needs(pair.confidence, pair), pair.concept).has(pair.prerequisite)).toBe(false);
      }),
    );
  });
});
