import { TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RollingCounter } from './rolling-counter.js';

describe('RollingCounter', () => {
  it('counts exactly the events of the slots within the span, for any arrivals', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(30_000), fc.integer({ min: 1, max: 5 })), { maxLength: 60 }),
        fc.integer({ min: 1, max: 60 }).map((seconds) => seconds * 1000),
        async (arrivals, spanMs) => {
          const clock = new TestClock();
          const counter = new RollingCounter(clock, 60_000, 100);
          const seen: [number, number][] = [];
          for (const [afterMs, amount] of arrivals) {
            await clock.advance(afterMs);
            counter.add(amount);
            seen.push([clock.monotonic(), amount]);
          }
          const oldest = Math.floor(clock.monotonic() / 100) - spanMs / 100 + 1;
          const expected = seen
            .filter(([at]) => Math.floor(at / 100) >= oldest)
            .reduce((sum, [, amount]) => sum + amount, 0);
          expect(counter.sum(spanMs)).toBe(expected);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('divides by the time since its start while that is shorter than the span', async () => {
    const clock = new TestClock();
    const counter = new RollingCounter(clock, 60_000, 100);
    counter.add(30);
    expect(counter.perSecond(60_000)).toBe(30);
    await clock.advance(3000);
    expect(counter.perSecond(60_000)).toBe(10);
    await clock.advance(27_000);
    expect(counter.perSecond(60_000)).toBe(1);
    expect(counter.perSecond(10_000)).toBe(0);
    await clock.advance(30_000);
    expect(counter.perSecond(60_000)).toBe(0);
  });
});
