import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { TestClock } from '@sparkle/contracts/testing';
import { describe, expect, it } from 'vitest';
import {
  ProfileAbortedError,
  ProfileInProgressError,
  ProfileMemoryShortError,
  ProfileOptionsInvalidError,
} from '../errors.js';
import { busyPartsOf } from './event-loop-report.js';
import { Profiler } from './profiler.js';

const PLENTY = Number.MAX_SAFE_INTEGER;

/** Work that a profile must show by this name. */
function crunchNumbers(milliseconds: number): number {
  const until = performance.now() + milliseconds;
  let sum = 0;
  while (performance.now() < until) for (let n = 0; n < 10_000; n++) sum += Math.sqrt(n);
  return sum;
}

function make(availableBytes = PLENTY) {
  const clock = new TestClock();
  return { clock, profiler: new Profiler(clock, () => availableBytes) };
}

/** Lets a profile begin: its session answers in callbacks. */
const begun = () => new Promise((resolve) => setImmediate(resolve));

describe('Profiler', () => {
  it('takes a CPU profile that names what was busy', async () => {
    const { clock, profiler } = make();
    const taking = profiler.cpu({ seconds: 3 });
    await begun();
    crunchNumbers(120);
    await clock.advance(3000);

    const profile = await taking;
    expect(profile.nodes.map(({ callFrame }) => callFrame.functionName)).toContain('crunchNumbers');
    expect(profile.samples!.length).toBeGreaterThan(20);
  });

  it('reports what kept the event loop busy, how late others were, and what keeps the process alive', async () => {
    const { clock, profiler } = make();
    const taking = profiler.eventLoop({ seconds: 1 });
    await begun();
    crunchNumbers(150);
    await begun();
    await clock.advance(1000);

    const report = await taking;
    const [longest] = report.busyStretches;
    expect(longest!.durationMs).toBeGreaterThan(100);
    // Which of the two functions here gets the time depends on what V8 has inlined.
    expect(longest!.hotPath.join('\n')).toMatch(/profiler\.spec\.ts:\d+/);
    expect(report.hotFunctions[0]!.name).toContain('profiler.spec.ts');
    expect(report.delayMs.max).toBeGreaterThanOrEqual(report.delayMs.p50);
    expect(report.utilization).toBeGreaterThan(0);
    expect(Object.values(report.activeResources).every((count) => count > 0)).toBe(true);
  });

  it('takes a heap sampling profile of what was allocated and is still in use', async () => {
    const { clock, profiler } = make();
    const taking = profiler.heapSampling({ seconds: 1, intervalBytes: 1024 });
    await begun();
    const kept = Array.from({ length: 20_000 }, (_, n) => ({ n, text: `item ${n}` }));
    await clock.advance(1000);

    const profile = await taking;
    expect(kept).toHaveLength(20_000);
    expect(profile.head.children.length).toBeGreaterThan(0);
  });

  it('streams a heap snapshot', async () => {
    const { profiler } = make();
    const snapshot = JSON.parse(await text(profiler.heapSnapshot())) as { snapshot: { node_count: number } };
    expect(snapshot.snapshot.node_count).toBeGreaterThan(1000);
  });

  it('takes one profile at a time, of whatever kind, and the next when that has ended', async () => {
    const { clock, profiler } = make();
    const first = profiler.cpu({ seconds: 1 });
    for (const second of [
      () => profiler.cpu(),
      () => profiler.eventLoop(),
      () => profiler.heapSampling(),
      async () => profiler.heapSnapshot(),
    ])
      await expect(second()).rejects.toMatchObject({ code: 'PROFILE_IN_PROGRESS', running: 'cpu' });
    await begun();
    await clock.advance(1000);
    await first;

    const snapshot = profiler.heapSnapshot();
    await expect(profiler.cpu()).rejects.toBeInstanceOf(ProfileInProgressError);
    snapshot.destroy();
    await once(snapshot, 'close');
    const next = profiler.cpu({ seconds: 1 });
    await begun();
    await clock.advance(1000);
    await next;
  });

  it('gives a profile up when whoever asked has left, and is free again', async () => {
    const { profiler } = make();
    for (const take of [
      (signal: AbortSignal) => profiler.cpu({ seconds: 60 }, signal),
      (signal: AbortSignal) => profiler.heapSampling({ seconds: 60 }, signal),
      (signal: AbortSignal) => profiler.eventLoop({ seconds: 60 }, signal),
    ]) {
      const leaving = new AbortController();
      const taking = take(leaving.signal);
      await begun();
      leaving.abort();
      await expect(taking).rejects.toBeInstanceOf(ProfileAbortedError);
    }
    const leaving = new AbortController();
    const snapshot = profiler.heapSnapshot(leaving.signal);
    const ended = once(snapshot, 'error');
    const closed = new Promise((resolve) => snapshot.once('close', resolve));
    leaving.abort();
    expect((await ended)[0]).toBeInstanceOf(ProfileAbortedError);
    await closed;
    expect(() => profiler.heapSnapshot(AbortSignal.abort())).toThrow(ProfileAbortedError);
  });

  it('gives a snapshot up that nobody reads', async () => {
    const { clock, profiler } = make();
    const snapshot = profiler.heapSnapshot();
    const ended = once(snapshot, 'error');
    await clock.advance(300_000);
    expect((await ended)[0]).toBeInstanceOf(ProfileAbortedError);
  });

  it('refuses a heap snapshot for which the memory is short, and takes what needs none', async () => {
    const { clock, profiler } = make(1 << 20);
    expect(() => profiler.heapSnapshot()).toThrow(ProfileMemoryShortError);
    expect(() => profiler.heapSnapshot()).toThrow(/1 MiB are left/);
    const sampling = profiler.heapSampling({ seconds: 1 });
    await begun();
    await clock.advance(1000);
    await sampling;
  });

  it('refuses options that make no sense, all at once, before anything begins', async () => {
    const { profiler } = make();
    const wrong = profiler.cpu({ seconds: 0, intervalMicros: 5, more: 1 } as object);
    await expect(wrong).rejects.toSatisfy((error: ProfileOptionsInvalidError) => {
      expect(error).toBeInstanceOf(ProfileOptionsInvalidError);
      expect(error.issues.map(({ path }) => path)).toEqual(['seconds', 'intervalMicros', '']);
      return true;
    });
    await expect(profiler.eventLoop({ seconds: '61' })).rejects.toBeInstanceOf(ProfileOptionsInvalidError);
  });
});

describe('the busy parts of a CPU profile', () => {
  const frame = (functionName: string) => ({
    functionName,
    scriptId: '1',
    url: functionName.startsWith('(') ? '' : 'app.js',
    lineNumber: 6,
    columnNumber: 0,
  });
  const nodes = [
    { id: 1, callFrame: frame('(root)'), children: [2, 3] },
    { id: 2, callFrame: frame('(idle)') },
    { id: 3, callFrame: frame('handle'), children: [4, 5] },
    { id: 4, callFrame: frame('parse') },
    { id: 5, callFrame: frame('save') },
  ];

  it('are the times between two rests, with the calls that took most of each', () => {
    // A sample every 5 ms: idle, then parse for 20 ms and save for 5 ms, idle, save for 15 ms.
    const samples = [2, 4, 4, 4, 4, 5, 2, 5, 5, 5, 2];
    const timeDeltas = samples.map(() => 5_000);
    const { busyStretches, hotFunctions } = busyPartsOf({
      nodes,
      samples,
      timeDeltas,
      startTime: 0,
      endTime: 1,
    });

    expect(busyStretches).toEqual([
      {
        startedAtMs: 10,
        durationMs: 25,
        hotPath: ['handle app.js:7', 'parse app.js:7'],
        hotFunctions: [
          { name: 'parse app.js:7', selfMs: 20, share: 0.8 },
          { name: 'save app.js:7', selfMs: 5, share: 0.2 },
        ],
      },
      {
        startedAtMs: 40,
        durationMs: 15,
        hotPath: ['handle app.js:7', 'save app.js:7'],
        hotFunctions: [{ name: 'save app.js:7', selfMs: 15, share: 1 }],
      },
    ]);
    expect(hotFunctions).toEqual([
      { name: 'parse app.js:7', selfMs: 20, share: 0.5 },
      { name: 'save app.js:7', selfMs: 20, share: 0.5 },
    ]);
  });

  it('are none where there are no samples', () => {
    expect(busyPartsOf({ nodes, startTime: 0, endTime: 1 })).toEqual({ busyStretches: [], hotFunctions: [] });
  });
});
