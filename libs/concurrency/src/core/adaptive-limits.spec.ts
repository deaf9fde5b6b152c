import { SeededRandom, TestClock } from '@sparkle/contracts/testing';
import { describe, expect, it } from 'vitest';
import { HostCpuUsage } from '../adapters/system/host-cpu-usage.js';
import { type AdaptiveLimit, FixedLimit } from './adaptive-limit.js';
import { AimdLimit } from './aimd-limit.js';
import { CpuLimit, type CpuLimitSettings } from './cpu-limit.js';
import { GradientLimit } from './gradient-limit.js';
import { EqualShares, FixedShares } from './limit-partitions.js';

describe('the processor policy', () => {
  const follow = async (settings: CpuLimitSettings, usages: (number | undefined)[]) => {
    const clock = new TestClock();
    let usage: number | undefined;
    const limit = new CpuLimit({ read: () => usage }, clock, settings);
    const limits = [];
    for (usage of usages) {
      await clock.advance(settings.intervalMs ?? 5000);
      limits.push(limit.limit);
    }
    limit.close();
    expect(clock.pendingTimers).toBe(0);
    return limits;
  };

  it.each<[string, CpuLimitSettings, (number | undefined)[], number[]]>([
    [
      'halves above 80 %, down to the minimum',
      { base: 20 },
      [0.81, 0.9, 1, 0.95, 0.9, 0.9],
      [10, 5, 2, 1, 1, 1],
    ],
    ['stands still from 30 % to 80 %', { base: 20 }, [0.3, 0.5, 0.8], [20, 20, 20]],
    ['grows below 30 %, up to base + 10', { base: 40 }, [0.29, 0, 0.1, 0.1], [44, 48, 50, 50]],
    ['grows below 30 %, up to twice the base', { base: 4 }, [0.1, 0.1, 0.1, 0.1, 0.1], [5, 6, 7, 8, 8]],
    ['begins again from where it is', { base: 20 }, [0.9, 0.9, 0.1, 0.1, 0.5], [10, 5, 7, 9, 9]],
    [
      'keeps to the minimum and the step it is given',
      { base: 20, min: 8, step: 5 },
      [0.9, 0.9, 0.1],
      [10, 8, 13],
    ],
    [
      'waits for as many agreeing decisions as it is told',
      { base: 20, agreeing: 2 },
      [0.9, 0.5, 0.9, 0.9, 0.9, 0.9, 0.1, 0.1],
      [20, 20, 20, 10, 10, 5, 5, 7],
    ],
    ['stands still while nothing is known', { base: 20 }, [undefined, 0.9], [20, 10]],
    ['decides at the interval it is told', { base: 20, intervalMs: 100 }, [0.9, 0.1], [10, 12]],
  ])('%s', async (_what, settings, usages, limits) => {
    expect(await follow(settings, usages)).toEqual(limits);
  });

  it('reads the processors of the host as the share used since the last reading', () => {
    const reading = (idle: number, user: number) => ({ times: { idle, user, nice: 0, sys: 0, irq: 0 } });
    const readings = [[reading(0, 0)], [reading(30, 70)], [reading(105, 95)], [reading(105, 95)]];
    const usage = new HostCpuUsage(() => readings.shift()!);
    expect([usage.read(), usage.read(), usage.read(), usage.read()]).toEqual([
      undefined,
      0.7,
      0.25,
      undefined,
    ]);
    const real = new HostCpuUsage();
    real.read();
    expect(real.read() ?? 0).toBeLessThanOrEqual(1);
  });
});

/** One window of ten requests, all alike. */
async function window(clock: TestClock, limit: AdaptiveLimit, rttMs: number, changes = {}) {
  await clock.advance(1000);
  const sample = { rttMs, inFlight: limit.limit, dropped: false, ...changes };
  for (let count = 0; count < 10; count += 1) limit.observe(sample);
  return limit.limit;
}

describe('additive increase, multiplicative decrease', () => {
  it('grows by one each window that was used, and loses a tenth with a loss', async () => {
    const clock = new TestClock();
    const limit = new AimdLimit(clock, { initial: 20, min: 15, max: 22, timeoutMs: 500 });
    expect(await window(clock, limit, 100)).toBe(21);
    expect(await window(clock, limit, 100)).toBe(22);
    expect(await window(clock, limit, 100)).toBe(22);
    expect(await window(clock, limit, 100, { dropped: true })).toBe(19);
    expect(await window(clock, limit, 501)).toBe(17);
    expect(await window(clock, limit, 100, { inFlight: 8 })).toBe(17);
    expect(await window(clock, limit, 501)).toBe(15);
    expect(await window(clock, limit, 501)).toBe(15);
  });

  it('judges by no fewer samples, and no shorter a time, than it is told', async () => {
    const clock = new TestClock();
    const limit = new AimdLimit(clock, { windowMs: 1000, minSamples: 10 });
    const sample = { rttMs: 1, inFlight: 20, dropped: false };
    await clock.advance(2000);
    for (let count = 0; count < 9; count += 1) limit.observe(sample);
    expect(limit.limit).toBe(20);
    limit.observe(sample);
    expect(limit.limit).toBe(21);
    for (let count = 0; count < 100; count += 1) limit.observe(sample);
    expect(limit.limit).toBe(21);
  });
});

describe('the gradient', () => {
  const make = (settings = {}) => {
    const clock = new TestClock();
    const probeEveryWindows = 0;
    return { clock, limit: new GradientLimit(clock, { probeEveryWindows, tolerance: 1, ...settings }) };
  };

  it('follows its formula', async () => {
    const { clock, limit } = make({ initial: 100 });
    await window(clock, limit, 100);
    // Nothing queues: 100 × 0.8 + (100 + 10) × 0.2.
    expect(limit.limit).toBe(102);
    const before = 102;
    await window(clock, limit, 400);
    // The mean of 100 and 400 is the baseline while it warms up: a gradient of 250 / 400.
    expect(limit.baselineMs).toBe(250);
    expect(limit.limit).toBe(Math.floor(before * 0.8 + (before * 0.625 + Math.sqrt(before)) * 0.2));
  });

  it('never takes more than half at once from its target, whatever the latency', async () => {
    const { clock, limit } = make({ initial: 100, smoothing: 1, queueSize: () => 0 });
    for (let count = 0; count < 20; count += 1) await window(clock, limit, 100);
    expect(await window(clock, limit, 100_000)).toBe(50);
  });

  it('keeps within its bounds', async () => {
    const { clock, limit } = make({ initial: 10, min: 8, max: 12 });
    for (let count = 0; count < 20; count += 1) await window(clock, limit, 100);
    expect(limit.limit).toBe(12);
    for (let count = 0; count < 20; count += 1) await window(clock, limit, 100, { dropped: true });
    expect(limit.limit).toBe(8);
  });

  it('does not change while less than half of it is used', async () => {
    const { clock, limit } = make({ initial: 100 });
    expect(await window(clock, limit, 100, { inFlight: 49 })).toBe(100);
    expect(await window(clock, limit, 10_000, { inFlight: 49 })).toBe(100);
  });

  it('forgets a high baseline quickly once latency is low again', async () => {
    const { clock, limit } = make();
    for (let count = 0; count < 20; count += 1) await window(clock, limit, 1000);
    for (let count = 0; count < 20; count += 1) await window(clock, limit, 100);
    expect(limit.baselineMs).toBeLessThan(210);
  });

  it('measures its baseline anew at half of the limit now and then', async () => {
    const clock = new TestClock();
    const settings = { initial: 100, probeEveryWindows: 10, queueSize: () => 0, tolerance: 1 };
    const limit = new GradientLimit(clock, settings, new SeededRandom(1));
    for (let count = 0; count < 9; count += 1) expect(await window(clock, limit, 200)).toBe(100);
    expect(await window(clock, limit, 200)).toBe(50);
    expect(await window(clock, limit, 150)).toBe(50);
    expect(limit.baselineMs).toBe(200);
    expect(await window(clock, limit, 100)).toBe(100);
    expect(limit.baselineMs).toBe(100);
    expect(await window(clock, limit, 200)).toBe(90);
  });
});

describe('partitions', () => {
  it('have the shares they are given, and everybody else has the rest', () => {
    const shares = new FixedShares({ interactive: 0.6, batch: 0.3 });
    expect(['interactive', 'batch', 'other', 'toString'].map((name) => shares.partitionOf(name))).toEqual([
      'interactive',
      'batch',
      'rest',
      'rest',
    ]);
    expect(['interactive', 'batch', 'rest'].map((name) => shares.guaranteeOf(name, 10))).toEqual([6, 3, 1]);
    expect(new FixedShares({ a: 0.1, b: 0.2, c: 0.7 }).guaranteeOf('rest', 1000)).toBe(0);
  });

  it('are equal among those that are active, and at least one', () => {
    const shares = new EqualShares();
    expect([1, 2, 3, 100].map((active) => shares.guaranteeOf('a', 10, active))).toEqual([10, 5, 3, 1]);
  });
});

describe('settings', () => {
  const clock = new TestClock();
  const cpu = { read: () => 0 };

  it.each<[string, () => unknown]>([
    ['a limit of 0', () => new FixedLimit(0)],
    ['a minimum above the maximum', () => new GradientLimit(clock, { min: 30, max: 20 })],
    ['an initial limit below the minimum', () => new AimdLimit(clock, { min: 30, initial: 20 })],
    ['a broken limit', () => new AimdLimit(clock, { initial: 1.5 })],
    ['a backoff that does not shrink', () => new AimdLimit(clock, { backoffRatio: 1 })],
    ['an increase of nothing', () => new AimdLimit(clock, { increase: 0 })],
    ['a window of no length', () => new AimdLimit(clock, { windowMs: 0 })],
    ['a tolerance below 1', () => new GradientLimit(clock, { tolerance: 0.9 })],
    ['no smoothing', () => new GradientLimit(clock, { smoothing: 0 })],
    ['probes all the time', () => new GradientLimit(clock, { probeEveryWindows: 3 })],
    ['a base of 0', () => new CpuLimit(cpu, clock, { base: 0 })],
    ['a minimum above the base', () => new CpuLimit(cpu, clock, { base: 5, min: 6 })],
    ['a low mark above the high one', () => new CpuLimit(cpu, clock, { base: 5, low: 0.9 })],
    ['shares of more than all', () => new FixedShares({ a: 0.6, b: 0.6 })],
    ['a share of nothing', () => new FixedShares({ a: 0 })],
  ])('refuse %s', (_what, make) => {
    expect(make).toThrow(expect.objectContaining({ code: 'ADAPTIVE_LIMIT_SETTINGS_INVALID' }));
    expect(clock.pendingTimers).toBe(0);
  });
});
