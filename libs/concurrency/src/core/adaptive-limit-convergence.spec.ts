import type { Clock } from '@sparkle/contracts';
import { SeededRandom } from '@sparkle/contracts/testing';
import { describe, expect, it } from 'vitest';
import { SimulatedLoad } from '../testing/simulated-load.js';
import { SimulatedService, SimulatedTime } from '../testing/simulated-service.js';
import type { AdaptiveLimit } from './adaptive-limit.js';
import { AdaptiveLimiter } from './adaptive-limiter.js';
import { AimdLimit } from './aimd-limit.js';
import { GradientLimit } from './gradient-limit.js';

const SERVICE_MS = 50;
const KNEE = 10;
const DEADLINE_MS = 500;
const MINUTE_MS = 60_000;

/** A service with a knee, under a load that is a multiple of what it can do. */
function simulate(seed: number, limitOf: (clock: Clock, random: SeededRandom) => AdaptiveLimit) {
  const time = new SimulatedTime();
  const random = new SeededRandom(seed);
  const service = new SimulatedService(time, random, KNEE, SERVICE_MS);
  const limit = limitOf(time, random);
  const limiter = new AdaptiveLimiter(limit, time, { name: 'simulated' });
  const load = new SimulatedLoad(time, random, limiter, service, DEADLINE_MS);
  return {
    limiter,
    shift: (knee: number, timesCapacity: number) => {
      service.resize(knee);
      load.arriveAt((timesCapacity * knee * 1000) / SERVICE_MS);
    },
    /** The limit of every second of so much time, and the part of the capacity of so many servers that was used well. */
    observe: (durationMs: number, knee: number) => {
      const limits = [];
      let good = 0;
      for (let second = 0; second < durationMs / 1000; second += 1) {
        good += load.run(1000).good;
        limits.push(limit.limit);
      }
      limits.sort((left, right) => left - right);
      const goodput = (good * SERVICE_MS) / (knee * durationMs);
      return { median: limits[limits.length >> 1]!, most: limits.at(-1)!, goodput };
    },
  };
}

const SEEDS = [1, 2, 3];

describe('in a simulated service whose capacity shifts', () => {
  it.each(SEEDS)(
    'the gradient settles within twice the knee, again after ×4 and ÷4, and wastes little (seed %d)',
    (seed) => {
      const { shift, observe } = simulate(seed, (clock, random) => new GradientLimit(clock, {}, random));
      for (const knee of [KNEE, 4 * KNEE, KNEE]) {
        shift(knee, 3);
        observe(2 * MINUTE_MS, knee);
        const { median, goodput } = observe(2 * MINUTE_MS, knee);
        expect(median).toBeGreaterThanOrEqual(knee);
        expect(median).toBeLessThanOrEqual(2 * knee);
        expect(goodput).toBeGreaterThan(0.93);
      }
    },
  );

  it('the gradient does not drift during two hours of overload', () => {
    const { shift, observe } = simulate(1, (clock, random) => new GradientLimit(clock, {}, random));
    shift(KNEE, 3);
    observe(118 * MINUTE_MS, KNEE);
    const { median, goodput } = observe(2 * MINUTE_MS, KNEE);
    expect(median).toBeGreaterThanOrEqual(KNEE);
    expect(median).toBeLessThanOrEqual(2 * KNEE);
    expect(goodput).toBeGreaterThan(0.93);
  });

  it('the gradient without probes drifts beyond three times the knee: why there are probes', () => {
    const settings = { probeEveryWindows: 0 };
    const { shift, observe } = simulate(1, (clock, random) => new GradientLimit(clock, settings, random));
    shift(KNEE, 3);
    observe(118 * MINUTE_MS, KNEE);
    expect(observe(2 * MINUTE_MS, KNEE).median).toBeGreaterThan(3 * KNEE);
  });

  it.each(SEEDS)('the gradient serves all that comes after an overload (seed %d)', (seed) => {
    const { shift, observe, limiter } = simulate(
      seed,
      (clock, random) => new GradientLimit(clock, {}, random),
    );
    shift(KNEE, 10);
    observe(2 * MINUTE_MS, KNEE);
    shift(KNEE, 0.5);
    observe(MINUTE_MS / 2, KNEE);
    expect(observe(MINUTE_MS, KNEE).goodput).toBeGreaterThan(0.45);
    expect(limiter.inFlight).toBeLessThanOrEqual(2 * KNEE);
  });

  it.each(SEEDS)(
    'additive increase finds the deadline, not the knee, in both directions (seed %d)',
    (seed) => {
      const { shift, observe } = simulate(seed, (clock) => new AimdLimit(clock));
      for (const knee of [KNEE, 4 * KNEE, KNEE]) {
        shift(knee, 3);
        observe(3 * MINUTE_MS, knee);
        const { most, goodput } = observe(2 * MINUTE_MS, knee);
        // A queue as long as the deadline is as many requests as are served in its time.
        expect(most).toBeLessThanOrEqual((knee * DEADLINE_MS) / SERVICE_MS);
        expect(goodput).toBeGreaterThan(0.9);
      }
    },
  );
});
