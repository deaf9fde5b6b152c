import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { incompleteBeta, logGamma, upperLimit } from './exact-binomial.js';

/** Probability of `successes` or fewer, term by term. */
function atMost(successes: number, trials: number, share: number): number {
  let sum = 0;
  for (let count = 0; count <= successes; count += 1) {
    const ways = logGamma(trials + 1) - logGamma(count + 1) - logGamma(trials - count + 1);
    sum += Math.exp(ways + count * Math.log(share) + (trials - count) * Math.log1p(-share));
  }
  return sum;
}

describe('the exact upper limit of a share', () => {
  it.each([
    // Without a success it is 1 − 0.05^(1/n), the "rule of three" made exact.
    [0, 100, 1 - 0.05 ** (1 / 100)],
    [0, 6303, 1 - 0.05 ** (1 / 6303)],
    [0, 1, 0.95],
    // One success in two trials: 1 − p² = 0.05.
    [1, 2, Math.sqrt(0.95)],
    [5, 5, 1],
    [0, 0, 1],
  ])('of %i in %i is %d', (successes, trials, expected) => {
    expect(upperLimit(successes, trials)).toBeCloseTo(expected, 10);
  });

  it('is the share at which so few successes have the probability that confidence leaves', () => {
    fc.assert(
      fc.property(
        fc
          .integer({ min: 1, max: 20_000 })
          .chain((trials) =>
            fc.tuple(fc.integer({ min: 0, max: Math.min(trials - 1, 400) }), fc.constant(trials)),
          ),
        fc.constantFrom(0.9, 0.95, 0.975, 0.99),
        ([successes, trials], confidence) => {
          const limit = upperLimit(successes, trials, confidence);
          expect(limit).toBeGreaterThan(successes / trials);
          expect(atMost(successes, trials, limit)).toBeCloseTo(1 - confidence, 6);
        },
      ),
      { seed: 7, numRuns: 300 },
    );
  });

  it('refuses what is no count', () => {
    for (const [successes, trials] of [
      [2, 1],
      [-1, 5],
      [0.5, 5],
      [0, Number.NaN],
    ] as const)
      expect(() => upperLimit(successes, trials)).toThrow(RangeError);
  });
});

describe('the incomplete beta function', () => {
  it('is x^a for b = 1 and mirrors itself', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.001, max: 0.999, noNaN: true }),
        fc.double({ min: 0.1, max: 500, noNaN: true }),
        fc.double({ min: 0.1, max: 500, noNaN: true }),
        (x, a, b) => {
          expect(incompleteBeta(x, a, 1)).toBeCloseTo(x ** a, 9);
          expect(incompleteBeta(x, a, b) + incompleteBeta(1 - x, b, a)).toBeCloseTo(1, 9);
        },
      ),
      { seed: 7, numRuns: 500 },
    );
  });

  it('rests on the factorial', () => {
    expect(logGamma(11)).toBeCloseTo(Math.log(3_628_800), 10);
    expect(logGamma(0.5)).toBeCloseTo(Math.log(Math.sqrt(Math.PI)), 10);
  });
});
