import fc from 'fast-check';
import { expect, it } from 'vitest';
import { mergeSorted } from './merge-sorted.js';

it('merges sorted answers of shards into the sorted whole, cut at the limit, equal items in order of shards', () => {
  const lists = fc.array(fc.array(fc.integer({ min: 0, max: 20 })), { maxLength: 6 });
  fc.assert(
    fc.property(lists, fc.integer({ min: 0, max: 40 }), (values, limit) => {
      const sorted = values.map((list, shard) =>
        list.sort((a, b) => a - b).map((value) => ({ value, shard })),
      );
      const expected = sorted.flat().sort((a, b) => a.value - b.value || a.shard - b.shard);
      const byValue = (a: { value: number }, b: { value: number }) => a.value - b.value;
      expect(mergeSorted(sorted, byValue, limit)).toEqual(expected.slice(0, limit));
      expect(mergeSorted(sorted, byValue)).toEqual(expected);
    }),
  );
});
