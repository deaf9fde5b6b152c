import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ShardSetupInvalidError } from './errors.js';
import { planRebalance } from './plan-rebalance.js';

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

/** Any assignment of up to 300 buckets to up to 7 shards. */
const assignment = fc
  .tuple(fc.integer({ min: 1, max: 7 }), fc.array(fc.nat(), { minLength: 1, maxLength: 300 }))
  .map(([count, picks]) => ({
    shards: NAMES.slice(0, count),
    owners: picks.map((pick) => NAMES[pick % count]!),
  }));

function after(owners: readonly string[], moves: ReturnType<typeof planRebalance>): string[] {
  const result = [...owners];
  for (const { bucket, source, target } of moves) {
    expect(result[bucket]).toBe(source);
    expect(target).not.toBe(source);
    result[bucket] = target;
  }
  expect(new Set(moves.map((move) => move.bucket)).size).toBe(moves.length);
  return result;
}

const countsOf = (owners: readonly string[], shards: readonly string[]) =>
  shards.map((shard) => owners.filter((owner) => owner === shard).length);

/** The fewest moves any plan can do with: what exceeds the best choice of even quotas. */
function fewestMoves(owners: readonly string[], shards: readonly string[]): number {
  const base = Math.floor(owners.length / shards.length);
  const extra = owners.length % shards.length;
  const counts = countsOf(owners, shards);
  // Kept in place: up to `base` of each shard, and one more of as many shards as the remainder allows.
  const kept = counts.reduce((sum, count) => sum + Math.min(count, base), 0);
  return owners.length - kept - Math.min(extra, counts.filter((count) => count > base).length);
}

describe('a plan to rebalance', () => {
  it('leaves every shard with the same number of buckets, within one, by the fewest moves there are', () => {
    fc.assert(
      fc.property(assignment, fc.subarray(NAMES, { minLength: 1 }), ({ owners }, shards) => {
        const moves = planRebalance(owners, shards);
        const counts = countsOf(after(owners, moves), shards);
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(owners.length);
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
        expect(moves.length).toBe(fewestMoves(owners, shards));
      }),
    );
  });

  it('adds a shard by moving at most ⌈B/(n+1)⌉ buckets, and none between the old shards', () => {
    fc.assert(
      fc.property(assignment, ({ owners, shards }) => {
        const even = after(owners, planRebalance(owners, shards));
        const moves = planRebalance(even, [...shards, 'new']);
        expect(moves.every((move) => move.target === 'new')).toBe(true);
        expect(moves.length).toBeLessThanOrEqual(Math.ceil(owners.length / (shards.length + 1)));
      }),
    );
  });

  it('empties a shard that is left out by moving its buckets alone', () => {
    fc.assert(
      fc.property(
        assignment.filter(({ shards }) => shards.length > 1),
        ({ owners, shards }) => {
          const even = after(owners, planRebalance(owners, shards));
          const [gone, ...rest] = shards;
          const moves = planRebalance(even, rest);
          expect(moves.every((move) => move.source === gone)).toBe(true);
        },
      ),
    );
  });

  it('has nothing to do when it was carried out', () => {
    fc.assert(
      fc.property(assignment, ({ owners, shards }) => {
        const even = after(owners, planRebalance(owners, shards));
        expect(planRebalance(even, shards)).toEqual([]);
      }),
    );
  });

  it.each([[[]], [['a', 'a']]])('refuses the shards %j', (shards) => {
    expect(() => planRebalance(['a'], shards)).toThrow(ShardSetupInvalidError);
  });
});
