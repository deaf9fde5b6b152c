import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LatencyHistogram } from './latency-histogram.js';

const durations = fc.array(fc.double({ min: 0.001, max: 86_400_000, noNaN: true }), { maxLength: 60 });

function histogramOf(values: readonly number[]): LatencyHistogram {
  const histogram = new LatencyHistogram();
  for (const value of values) histogram.record(value);
  return histogram;
}

function percentilesOf(histogram: LatencyHistogram): number[] {
  return [0, 1, 25, 50, 75, 90, 95, 99, 99.9, 100].map((percentile) => histogram.percentile(percentile));
}

describe('LatencyHistogram', () => {
  it('says the same after adding up those of several processes as one that saw every duration', () => {
    fc.assert(
      fc.property(fc.array(durations, { minLength: 1, maxLength: 6 }), (processes) => {
        const merged = new LatencyHistogram();
        for (const values of processes) merged.add(LatencyHistogram.decode(histogramOf(values).encode())!);
        const whole = histogramOf(processes.flat());
        expect(merged.count).toBe(whole.count);
        expect(percentilesOf(merged)).toEqual(percentilesOf(whole));
      }),
      { numRuns: 100 },
    );
  });

  it('does not depend on the order in which histograms are added up', () => {
    fc.assert(
      fc.property(durations, durations, durations, (first, second, third) => {
        const left = histogramOf(first);
        left.add(histogramOf(second));
        left.add(histogramOf(third));
        const inner = histogramOf(third);
        inner.add(histogramOf(second));
        inner.add(histogramOf(first));
        expect(percentilesOf(left)).toEqual(percentilesOf(inner));
      }),
      { numRuns: 50 },
    );
  });

  it('encodes to at most 20,000 characters, with every bucket in use', () => {
    const histogram = new LatencyHistogram();
    for (let ms = 0.00001; ms < 86_400_000; ms *= 1.003) histogram.record(ms);
    const encoded = histogram.encode();
    expect(encoded.length).toBeLessThan(20_000);
    expect(percentilesOf(LatencyHistogram.decode(encoded)!)).toEqual(percentilesOf(histogram));
  });

  it('takes nothing for a histogram that is none', () => {
    const encoded = histogramOf([1, 20, 300]).encode();
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ maxLength: 200 }),
          fc.base64String({ maxLength: 400 }),
          fc.integer({ min: 0, max: encoded.length - 1 }).map((at) => encoded.slice(0, at)),
          fc
            .tuple(fc.integer({ min: 0, max: encoded.length - 1 }), fc.constantFrom('A', 'x', '/', ' ', 'é'))
            .map(([at, char]) => encoded.slice(0, at) + char + encoded.slice(at + 1)),
        ),
        (text) => {
          const decoded = LatencyHistogram.decode(text);
          // A change may leave a histogram; then it is one like any other.
          if (decoded) expect(decoded.percentile(50)).toBeGreaterThanOrEqual(0);
        },
      ),
      { numRuns: 300 },
    );
    expect(LatencyHistogram.decode('A'.repeat(70_000))).toBeUndefined();
    expect(LatencyHistogram.decode('')).toBeUndefined();
  });
});
