import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ShardKeyInvalidError, ShardSetupInvalidError } from './errors.js';
import { HashPolicy, ModuloPolicy } from './shard-policy.js';

describe('the hash policy', () => {
  // printf %s KEY | sha256sum | cut -c1-12, in decimal, modulo 1024 and 1000.
  it.each([
    ['acme', 1024, 961],
    ['globex', 1024, 228],
    ['学生-42', 1024, 461],
    ['acme', 1000, 105],
  ])('puts %s of %i buckets where it always was', (key, buckets, bucket) => {
    expect(new HashPolicy(buckets).bucketOf(key)).toBe(bucket);
  });

  it('treats a whole number as its decimal digits', () => {
    expect(new HashPolicy().bucketOf(42)).toBe(new HashPolicy().bucketOf('42'));
    expect(new HashPolicy().bucketOf(42n)).toBe(new HashPolicy().bucketOf('42'));
  });

  it('spreads keys evenly: no bucket of 64 is a quarter off with 64,000 tenants', () => {
    const counts = new Array<number>(64).fill(0);
    for (let n = 0; n < 64_000; n++) counts[new HashPolicy(64).bucketOf(`tenant-${n}`)]!++;
    expect(Math.min(...counts)).toBeGreaterThan(750);
    expect(Math.max(...counts)).toBeLessThan(1250);
  });

  it.each(['', 'a\0b', 0.5, Number.NaN, 2 ** 60])('refuses the key %j', (key) => {
    expect(() => new HashPolicy().bucketOf(key)).toThrow(ShardKeyInvalidError);
  });
});

describe('the modulo policy', () => {
  it('puts every whole number into key % n, whatever type it arrives as', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 63n - 1n), fc.integer({ min: 1, max: 65_536 }), (key, buckets) => {
        const policy = new ModuloPolicy(buckets);
        expect(policy.bucketOf(key)).toBe(Number(key % BigInt(buckets)));
        expect(policy.bucketOf(String(key))).toBe(policy.bucketOf(key));
        if (key <= BigInt(Number.MAX_SAFE_INTEGER))
          expect(policy.bucketOf(Number(key))).toBe(policy.bucketOf(key));
      }),
    );
  });

  it.each([-1, 1.5, '', '-1', '007', 'ada', '1e3', 2n ** 63n, 2 ** 60])('refuses the key %s', (key) => {
    expect(() => new ModuloPolicy(4).bucketOf(key)).toThrow(ShardKeyInvalidError);
  });
});

describe('the number of buckets', () => {
  it.each([0, -1, 1.5, 65_537, Number.NaN])('cannot be %d', (buckets) => {
    expect(() => new HashPolicy(buckets)).toThrow(ShardSetupInvalidError);
    expect(() => new ModuloPolicy(buckets)).toThrow(ShardSetupInvalidError);
  });

  it('is never left by any key', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', minLength: 1 }).filter((key) => !key.includes('\0')),
        fc.integer({ min: 1, max: 65_536 }),
        (key, buckets) => {
          const bucket = new HashPolicy(buckets).bucketOf(key);
          expect(Number.isInteger(bucket) && bucket >= 0 && bucket < buckets).toBe(true);
        },
      ),
    );
  });
});
