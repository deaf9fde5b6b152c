import { SeededRandom } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dot, SemanticVectorIndex } from '../src/adapters/memory/semantic-vector.index.js';

const DIMENSIONS = 16;

/** Unit vectors round a few centres, as questions on a few subjects are. */
function vectors(count: number, random: SeededRandom): Float32Array[] {
  const point = (from: SeededRandom) => Array.from({ length: DIMENSIONS }, () => from.next() - 0.5);
  const subjects = new SeededRandom(77);
  const centres = Array.from({ length: 12 }, () => point(subjects));
  return Array.from({ length: count }, () => {
    const centre = centres[Math.floor(random.next() * centres.length)]!;
    const values = point(random).map((value, index) => centre[index]! + 0.4 * value);
    const norm = Math.hypot(...values);
    return Float32Array.from(values, (value) => value / norm);
  });
}

function nearest(held: ReadonlyMap<number, Float32Array>, query: Float32Array, count: number): number[] {
  return [...held]
    .map(([item, vector]) => ({ item, similarity: dot(vector, query) }))
    .sort((left, right) => right.similarity - left.similarity)
    .slice(0, count)
    .map(({ item }) => item);
}

describe('SemanticVectorIndex', () => {
  it('finds nearly all of the nearest among thousands, before and after half of them are gone', () => {
    const random = new SeededRandom(3);
    const index = new SemanticVectorIndex<number>(random);
    const held = new Map(vectors(3_000, random).map((vector, item) => [item, vector]));
    for (const [item, vector] of held) index.set(item, vector);
    const recall = () => {
      let found = 0;
      const queries = vectors(100, random);
      for (const query of queries) {
        const expected = new Set(nearest(held, query, 8));
        found += index.search(query, 8, 64).filter(({ item }) => expected.has(item)).length;
      }
      return found / (8 * queries.length);
    };
    expect(recall()).toBeGreaterThan(0.97);
    for (const item of [...held.keys()])
      if (item % 2 === 0) {
        held.delete(item);
        index.delete(item);
      }
    expect(index.size).toBe(1_500);
    expect(recall()).toBeGreaterThan(0.97);
  });

  it('keeps every item within reach, whatever is added, moved and removed', () => {
    const pool = vectors(40, new SeededRandom(9));
    const step = fc.record({
      item: fc.integer({ min: 0, max: 60 }),
      vector: fc.option(fc.integer({ min: 0, max: pool.length - 1 }), { freq: 3 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer(), (steps, seed) => {
        const index = new SemanticVectorIndex<number>(new SeededRandom(seed));
        const held = new Map<number, Float32Array>();
        for (const { item, vector } of steps) {
          if (vector === null) {
            index.delete(item);
            held.delete(item);
          } else {
            index.set(item, pool[vector]!);
            held.set(item, pool[vector]!);
          }
        }
        expect(index.size).toBe(held.size);
        // More than there are: all of them, each once.
        const all = index.search(pool[0]!, 100, 100).map(({ item }) => item);
        expect(all.sort((left, right) => left - right)).toEqual([...held.keys()].sort((a, b) => a - b));
        for (const [item, vector] of held) {
          const found = index.search(vector, 100, 64).filter(({ similarity }) => similarity > 1 - 1e-5);
          expect(found.map((one) => one.item)).toContain(item);
        }
      }),
      { seed: 11, numRuns: 150 },
    );
  });

  it('finds what lies apart of a crowd at one place', () => {
    const index = new SemanticVectorIndex<string>(new SeededRandom(1));
    const [crowd, apart] = vectors(2, new SeededRandom(2)) as [Float32Array, Float32Array];
    for (let item = 0; item < 300; item++) index.set(`crowd ${item}`, crowd);
    index.set('apart', apart);
    for (let item = 300; item < 600; item++) index.set(`crowd ${item}`, crowd);
    expect(index.search(apart, 1, 8)[0]?.item).toBe('apart');
    for (let item = 0; item < 600; item++) index.delete(`crowd ${item}`);
    expect(index.search(crowd, 5, 8).map(({ item }) => item)).toEqual(['apart']);
  });
});
