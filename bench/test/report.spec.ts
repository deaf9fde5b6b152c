import { describe, expect, it } from 'vitest';
import { inFlight, interleaved, median, percentile } from '../src/interleaved.js';
import { Report } from '../src/report.js';

describe('a benchmark', () => {
  it('runs every case once per round and lets each be first in turn', async () => {
    const order: string[] = [];
    const note = (name: string) => () => {
      order.push(name);
      return [order.length];
    };
    const figures = await interleaved({ a: note('a'), b: note('b'), c: note('c') }, { rounds: 3, warmup: 0 });
    expect(order.join('')).toBe('abcbcacab');
    expect(figures).toEqual({ a: [1, 6, 8], b: [2, 4, 9], c: [3, 5, 7] });
  });

  it('does not count the rounds before the compiler is done', async () => {
    let runs = 0;
    const { only } = await interleaved({ only: () => [++runs] }, { rounds: 2, warmup: 3 });
    expect(only).toEqual([4, 5]);
  });

  it('keeps the given number of calls in flight and makes no call twice', async () => {
    const made: number[] = [];
    let now = 0;
    let most = 0;
    await inFlight(4, 10, async (index) => {
      made.push(index);
      most = Math.max(most, ++now);
      await Promise.resolve();
      now -= 1;
    })();
    expect(made).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(most).toBe(4);
  });

  it('takes medians and nearest-rank percentiles whatever the order of the values', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(percentile([5, 3, 1, 4, 2], 0.5)).toBe(3);
    expect(percentile([5, 3, 1, 4, 2], 0.95)).toBe(5);
    expect(() => median([])).toThrow(RangeError);
  });
});

describe('a report', () => {
  const report = new Report('cache');
  report.add('map_get', 200, 'calls/s', { system: 'map' });
  report.add('l1_get', 50, 'calls/s', { baseline: 'map_get' });
  report.add('l1_get', 10, 'calls/s', { baseline: 'l1_get@sparkle', system: 'peer' });
  report.note('the peer has no tags');

  it('prints one JSON object per line, each with its ratio to the baseline it names', () => {
    const lines = report.render(['node', 'cache.bench.ts', '--json']).trimEnd().split('\n');
    const common = { bench: 'cache', metric: 'l1_get', unit: 'calls/s' };
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        ...common,
        metric: 'map_get',
        system: 'map',
        value: 200,
        baseline: null,
        baselineSystem: null,
        ratio: null,
      },
      { ...common, system: 'sparkle', value: 50, baseline: 'map_get', baselineSystem: 'map', ratio: 0.25 },
      { ...common, system: 'peer', value: 10, baseline: 'l1_get', baselineSystem: 'sparkle', ratio: 0.2 },
    ]);
  });

  it('prints a table and its notes without --json', () => {
    expect(report.render([]).split('\n')).toEqual([
      'cache',
      'metric   system   value  unit     ratio  baseline',
      'map_get  map        200  calls/s',
      'l1_get   sparkle   50.0  calls/s   0.25  map_get',
      'l1_get   peer      10.0  calls/s   0.20  l1_get@sparkle',
      'note: the peer has no tags',
      '',
    ]);
  });

  it('prints ours first among the systems of a metric, whichever was measured first', () => {
    const turned = new Report('turned');
    turned.add('calls', 4, 'calls', { system: 'peer' });
    turned.add('calls', 2, 'calls', { baseline: 'calls@peer' });
    expect(turned.measurements.map(({ system, ratio }) => [system, ratio])).toEqual([
      ['sparkle', 0.5],
      ['peer', null],
    ]);
  });

  it('gives no ratio to a baseline of zero', () => {
    const zero = new Report('zero');
    zero.add('none', 0, 'calls');
    zero.add('some', 2, 'calls', { baseline: 'none' });
    expect(zero.measurements.at(-1)?.ratio).toBeNull();
  });

  it('refuses a figure that was not measured and a baseline of another unit', () => {
    expect(() => report.add('nothing', Number.NaN, 'ms')).toThrow(RangeError);
    expect(() => report.add('other', 1, 'ms', { baseline: 'map_get' })).toThrow(RangeError);
    expect(() => report.add('l1_get', 1, 'calls/s')).toThrow(RangeError);
  });
});
