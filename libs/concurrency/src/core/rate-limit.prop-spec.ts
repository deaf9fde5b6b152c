import { parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryRateLimitStore } from '../adapters/memory/memory-rate-limit.store.js';
import type { RateLimitDimension, RateLimitRule } from '../ports/rate-limit-store.port.js';
import { type Admission, mostInAnyWindow, windowBound } from '../testing/rate-limit-oracle.js';
import { ruleCapacity } from './rate-limit-rule.js';

const rules: fc.Arbitrary<RateLimitRule> = fc.oneof(
  fc.record({
    algorithm: fc.constant('token-bucket' as const),
    limit: fc.integer({ min: 1, max: 20 }),
    windowMs: fc.integer({ min: 1, max: 1000 }),
    burst: fc.integer({ min: 1, max: 20 }),
  }),
  fc.record({
    algorithm: fc.constant('sliding-window' as const),
    limit: fc.integer({ min: 1, max: 20 }),
    windowMs: fc.integer({ min: 1, max: 1000 }),
  }),
);
const steps = fc.array(
  fc.record({
    passMs: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 1500 })),
    cost: fc.integer({ min: 1, max: 4 }),
    mode: fc.constantFrom(
      ...(['consume', 'consume', 'consume', 'consume', 'consume', 'peek', 'penalise', 'reset'] as const),
    ),
  }),
  { maxLength: 80 },
);
const tenantId = parseTenantId('acme');

/** Tokens of a bucket by exact fractions: the definition, without the store's arithmetic. */
class ExactBucket {
  private tokens: bigint;
  private atMs = 0;

  constructor(private readonly rule: RateLimitRule) {
    this.tokens = this.capacity;
  }

  /** One token is `windowMs` parts, so that a millisecond refills `limit` whole parts. */
  private get capacity(): bigint {
    return BigInt(ruleCapacity(this.rule)) * BigInt(this.rule.windowMs);
  }

  admits(cost: number, nowMs: number): boolean {
    const refilled = this.tokens + BigInt(nowMs - this.atMs) * BigInt(this.rule.limit);
    this.tokens = refilled < this.capacity ? refilled : this.capacity;
    this.atMs = nowMs;
    return this.tokens >= BigInt(cost) * BigInt(this.rule.windowMs);
  }

  take(cost: number): void {
    this.tokens -= BigInt(cost) * BigInt(this.rule.windowMs);
  }

  /** Takes more than there is, down to a debt of one limit. */
  penalise(cost: number): void {
    const floor = -BigInt(this.rule.limit) * BigInt(this.rule.windowMs);
    this.take(cost);
    if (this.tokens < floor) this.tokens = floor;
  }
}

/** The longest an exact window may have been emptied before the store admits: one slice. */
function slackMs(rule: RateLimitRule): number {
  return rule.algorithm === 'sliding-window' ? Math.ceil(rule.windowMs / 60) : 0;
}

function countedIn(admissions: readonly Admission[], fromMs: number): number {
  return admissions.reduce((sum, { atMs, cost }) => (atMs >= fromMs ? sum + cost : sum), 0);
}

describe('rate limits', () => {
  it('never admit more than limit and burst in any window, and refuse only what would, whatever is weighed, peeked at, penalised and reset (3000 schedules)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(rules, { minLength: 1, maxLength: 3 }), steps, async (ruleSet, schedule) => {
        const clock = new TestClock();
        const store = new MemoryRateLimitStore(clock);
        const dimensions: RateLimitDimension[] = ruleSet.map((rule, i) => ({
          name: `d${i}`,
          key: 'k',
          rule,
        }));
        const least = Math.min(...ruleSet.map(ruleCapacity));
        let buckets = ruleSet.map((rule) => new ExactBucket(rule));
        let admissions: Admission[] = [];
        let penalties: Admission[] = [];
        let nowMs = 0;
        const check = () => {
          for (const rule of ruleSet) {
            expect(mostInAnyWindow(admissions, rule.windowMs)).toBeLessThanOrEqual(windowBound(rule));
          }
        };
        for (const { passMs, cost: wanted, mode } of schedule) {
          await clock.advance(passMs);
          nowMs += passMs;
          const cost = Math.min(wanted, least);
          const request = { tenantId, limiter: 'l', cost, dimensions };
          if (mode === 'reset') {
            await store.reset(request);
            check();
            buckets = ruleSet.map((rule) => new ExactBucket(rule));
            admissions = [];
            penalties = [];
            continue;
          }
          const reading = await store[mode](request);
          for (const [i, rule] of ruleSet.entries()) {
            const { retryAfterMs } = reading.dimensions[i]!;
            if (rule.algorithm === 'token-bucket') {
              expect(retryAfterMs === 0).toBe(buckets[i]!.admits(cost, nowMs));
            } else if (retryAfterMs > 0) {
              const from = nowMs - rule.windowMs - slackMs(rule);
              const counted = countedIn(admissions, from) + countedIn(penalties, from);
              expect(counted + cost).toBeGreaterThan(rule.limit);
            }
          }
          expect(reading.admitted).toBe(reading.dimensions.every(({ retryAfterMs }) => retryAfterMs === 0));
          if (mode === 'penalise') {
            penalties.push({ atMs: nowMs, cost });
            for (const bucket of buckets) bucket.penalise(cost);
            continue;
          }
          if (mode === 'peek' || !reading.admitted) continue;
          admissions.push({ atMs: nowMs, cost });
          for (const bucket of buckets) bucket.take(cost);
        }
        check();
      }),
      { numRuns: 3000 },
    );
  });

  it('admit a refused request after exactly the time they named, and not a millisecond before', async () => {
    await fc.assert(
      fc.asyncProperty(rules, steps, async (rule, schedule) => {
        const clock = new TestClock();
        const store = new MemoryRateLimitStore(clock);
        const dimensions = [{ name: 'd', key: 'k', rule }];
        for (const { passMs, cost: wanted } of schedule) {
          await clock.advance(passMs);
          const request = { tenantId, limiter: 'l', cost: Math.min(wanted, ruleCapacity(rule)), dimensions };
          const { admitted, dimensions: readings } = await store.consume(request);
          if (admitted) continue;
          await clock.advance(readings[0]!.retryAfterMs - 1);
          expect((await store.peek(request)).admitted).toBe(false);
          await clock.advance(1);
          expect((await store.consume(request)).admitted).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });
});
