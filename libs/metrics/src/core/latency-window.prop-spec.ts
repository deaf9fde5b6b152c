import { SeededRandom, TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LatencyWindow } from './latency-window.js';

const WINDOW_MS = 300_000;
const SLOT_MS = WINDOW_MS / 60;
const PERCENTILES = [50, 95, 99] as const;

interface Arrival {
  readonly afterMs: number;
  readonly durationMs: number;
}

/** Nearest-rank percentile of the values themselves. */
function exactPercentile(sorted: readonly number[], percentile: number): number {
  const rank = Math.max(1, Math.ceil((percentile * sorted.length) / 100));
  return sorted[rank - 1] ?? 0;
}

/** Feeds arrivals and compares with the exact percentiles of what is within the window at the end. */
async function expectWithinOnePercent(arrivals: readonly Arrival[], idleMs: number): Promise<void> {
  const clock = new TestClock();
  const window = new LatencyWindow(clock, WINDOW_MS);
  const fed: { at: number; durationMs: number }[] = [];
  for (const { afterMs, durationMs } of arrivals) {
    if (afterMs > 0) await clock.advance(afterMs);
    window.record(durationMs);
    fed.push({ at: clock.monotonic(), durationMs });
  }
  await clock.advance(idleMs);
  const oldestSlot = Math.floor(clock.monotonic() / SLOT_MS) - 59;
  const inside = fed.filter(({ at }) => Math.floor(at / SLOT_MS) >= oldestSlot);
  const sorted = inside.map(({ durationMs }) => durationMs).sort((a, b) => a - b);

  expect(window.count).toBe(sorted.length);
  for (const percentile of PERCENTILES) {
    const exact = exactPercentile(sorted, percentile);
    expect(Math.abs(window.percentile(percentile) - exact)).toBeLessThanOrEqual(exact * 0.01);
  }
}

const duration = fc.oneof(
  fc.double({ min: 0.001, max: 86_400_000, noNaN: true }),
  // Evenly over the orders of magnitude.
  fc.double({ min: -3, max: 7.9, noNaN: true }).map((power) => 10 ** power),
  // Just below and above the powers of two at which histogram buckets double in width.
  fc
    .tuple(fc.integer({ min: 7, max: 42 }), fc.constantFrom(-1, 0, 1))
    .map(([power, offset]) => (2 ** power + offset) / 100_000),
  fc.constantFrom(0.001, 0.02, 0.05, 1, 49.99, 50, 1999.9, 2000, 2000.1, 3_600_000, 3_600_000.5, 86_400_000),
);

describe('percentiles over a sliding window', () => {
  it('are within 1 % of the exact ones for any stream of durations, while old ones leave the window', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            afterMs: fc.oneof(
              { weight: 5, arbitrary: fc.constant(0) },
              { weight: 2, arbitrary: fc.integer({ min: 1, max: 20_000 }) },
              { weight: 1, arbitrary: fc.constantFrom(SLOT_MS, SLOT_MS - 1, WINDOW_MS, WINDOW_MS + 1) },
            ),
            durationMs: duration,
          }),
          { maxLength: 120 },
        ),
        fc.integer({ min: 0, max: WINDOW_MS }),
        expectWithinOnePercent,
      ),
      { numRuns: 300 },
    );
  });

  const streams: Record<string, (random: SeededRandom, index: number) => number> = {
    'with a heavy tail': (random) => 0.5 / (1 - random.next()) ** 1.5,
    'with two modes just either side of P95': (random, index) =>
      index % 20 === 0 ? 9000 : 3 + random.next(),
    'under 50 µs': (random) => 0.001 + 0.049 * random.next(),
    'over an hour': (random) => 3_600_000 * (1 + 23 * random.next()),
    'that only grow': (_, index) => 0.05 * 1.0008 ** index,
    'that only shrink': (_, index) => 2000 * 0.9995 ** index,
    'that are all the same': () => 123.456,
    'at bucket edges': (random) => 2 ** (9 + Math.floor(random.next() * 25)) / 100_000,
  };
  for (const [name, stream] of Object.entries(streams))
    it(`are within 1 % for 20,000 durations ${name}`, async () => {
      const random = new SeededRandom(7);
      const arrivals = Array.from({ length: 20_000 }, (_, index) => ({
        afterMs: index % 400 === 0 ? 11_000 : 0,
        durationMs: Math.min(86_400_000, stream(random, index)),
      }));
      await expectWithinOnePercent(arrivals, 0);
    });

  it('are 0 when nothing happened, and again when everything has left', async () => {
    const clock = new TestClock();
    const window = new LatencyWindow(clock, WINDOW_MS);
    expect(window.percentile(99)).toBe(0);
    window.record(80);
    expect(window.percentile(99)).toBeCloseTo(80, 0);
    await clock.advance(WINDOW_MS);
    expect(window.percentile(99)).toBe(0);
    expect(window.count).toBe(0);
  });

  it('are within 1 % for bursts at the edges of sub-windows, one of which is just about to leave', async () => {
    for (const edgeMs of [0, 1, SLOT_MS - 1, SLOT_MS, SLOT_MS + 1]) {
      const bursts = Array.from({ length: 6 * 200 }, (_, index) => ({
        afterMs: index % 200 === 0 ? 10 * SLOT_MS + edgeMs : 0,
        durationMs: index < 200 ? 40_000 : 2 + (index % 50),
      }));
      for (const idleMs of [WINDOW_MS - 51 * SLOT_MS, WINDOW_MS - 50 * SLOT_MS, WINDOW_MS])
        await expectWithinOnePercent(bursts, idleMs);
    }
  });

  it('survive clocks that jump ahead by years or stand still', async () => {
    const clock = new TestClock();
    const window = new LatencyWindow(clock, WINDOW_MS);
    for (let n = 0; n < 10_000; n++) window.record(7);
    await clock.advance(10 * 365 * 86_400_000);
    expect(window.count).toBe(0);
    window.record(90);
    expect(window.percentile(50)).toBeCloseTo(90, 0);
    let now = 1_000_000;
    const backwards = new LatencyWindow({ monotonic: () => now }, WINDOW_MS);
    backwards.record(5);
    now -= 600_000;
    backwards.record(6);
    expect(backwards.count).toBe(2);
  });

  it('take 1.2 MB and no byte more after a million durations of every size', () => {
    let now = 0;
    const window = new LatencyWindow({ monotonic: () => now }, WINDOW_MS);
    const before = window.bytes;
    expect(before).toBeLessThan(1_250_000);
    const random = new SeededRandom(3);
    for (let n = 0; n < 1_000_000; n++) {
      now += 0.5;
      window.record(10 ** (random.next() * 11 - 3));
    }
    expect(window.bytes).toBe(before);
  });

  it('ignore what is no duration and count the absurdly long as one day', () => {
    const window = new LatencyWindow(new TestClock(), WINDOW_MS);
    for (const nonsense of [-1, Number.NaN, Number.NEGATIVE_INFINITY]) window.record(nonsense);
    expect(window.count).toBe(0);
    window.record(Number.POSITIVE_INFINITY);
    expect(window.percentile(50) / 86_400_000).toBeCloseTo(1, 2);
  });
});
