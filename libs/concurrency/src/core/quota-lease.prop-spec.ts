import { parseTenantId } from '@sparkle/contracts';
import { SeededRandom, TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LeasedRateLimitStore } from '../adapters/leased/leased-rate-limit.store.js';
import { MemoryRateLimitStore } from '../adapters/memory/memory-rate-limit.store.js';
import type { RateLimitDimension, RateLimitRule, RateLimitStore } from '../ports/rate-limit-store.port.js';
import { type Admission, mostInAnyWindow, windowBound } from '../testing/rate-limit-oracle.js';

const tenantId = parseTenantId('acme');
const windowMs = fc.constantFrom(400, 1000);
const rules: fc.Arbitrary<RateLimitRule> = fc.oneof(
  fc.record({
    algorithm: fc.constant('sliding-window' as const),
    limit: fc.integer({ min: 5, max: 40 }),
    windowMs,
  }),
  fc.record({
    algorithm: fc.constant('token-bucket' as const),
    limit: fc.integer({ min: 5, max: 40 }),
    windowMs,
    burst: fc.integer({ min: 10, max: 40 }),
  }),
);
/** Steps that end just before a lease's life, or just before or after a window, find the edges. */
const passMs = fc.oneof(
  fc.constantFrom(0, 0, 1, 16, 18, 19, 40, 48, 49),
  fc.constantFrom(380, 400, 406, 410, 960, 1000, 1010, 1018, 1030),
);
const steps = fc.array(
  fc.record({
    passMs,
    requests: fc.integer({ min: 1, max: 50 }),
    cost: fc.integer({ min: 1, max: 3 }),
    process: fc.nat(3),
    crash: fc.integer({ min: 0, max: 9 }).map((die) => die === 0),
  }),
  { minLength: 5, maxLength: 40 },
);

/** A store behind a network: each command, and each answer, takes its own time. */
function distant(store: RateLimitStore, clock: TestClock, random: SeededRandom): RateLimitStore {
  const travel = () => clock.sleep(Math.floor(random.next() * 4));
  const call =
    (method: 'consume' | 'peek' | 'penalise'): RateLimitStore['consume'] =>
    async (request) => {
      await travel();
      const reading = await store[method](request);
      await travel();
      return reading;
    };
  return {
    consume: call('consume'),
    peek: call('peek'),
    penalise: call('penalise'),
    reset: (request) => store.reset(request),
  };
}

describe('leased quotas', () => {
  it('never admit more than limit and burst in any window, over four processes that crash at random (1500 schedules)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(rules, { minLength: 1, maxLength: 3 }),
        steps,
        fc.integer(),
        async (ruleSet, schedule, seed) => {
          const clock = new TestClock();
          const memory = new MemoryRateLimitStore(clock);
          const open = (n: number) =>
            new LeasedRateLimitStore(distant(memory, clock, new SeededRandom(seed + n)), clock, {
              leaseMs: 50,
              share: 1,
            });
          const processes = [open(0), open(1), open(2), open(3)];
          const dimensions = ruleSet.map(
            (rule, i): RateLimitDimension => ({ name: `d${i}`, key: 'k', rule }),
          );
          const admissions: Admission[] = [];
          const pending: Promise<void>[] = [];
          for (const [n, step] of schedule.entries()) {
            await clock.advance(step.passMs);
            if (step.crash) processes[step.process] = open(4 + n);
            const store = processes[step.process]!;
            for (let i = 0; i < step.requests; i++) {
              const { cost } = step;
              const request = { tenantId, limiter: 'l', cost, dimensions };
              pending.push(
                store.consume(request).then(({ admitted }) => {
                  if (admitted) admissions.push({ atMs: clock.monotonic(), cost });
                }),
              );
            }
          }
          await clock.advance(200);
          await Promise.all(pending);
          for (const rule of ruleSet) {
            expect(mostInAnyWindow(admissions, rule.windowMs)).toBeLessThanOrEqual(windowBound(rule));
          }
        },
      ),
      { numRuns: 1500 },
    );
  });
});
