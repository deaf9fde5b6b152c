import { PassThrough } from 'node:stream';
import { SeededRandom, TestClock } from '@sparkle/contracts/testing';
import { describe, expect, it, vi } from 'vitest';
import { type BatchOptions, type BatchWorker, processBatch, streamBatch } from './batch.js';
import type { BatchProgress } from './batch-progress.js';
import { BatchProgressBar } from './batch-progress-bar.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 0));
};
const numbers = (count: number) => Array.from({ length: count }, (_unused, index) => index);

/** Work that ends when the test says so. */
class Gates {
  readonly started: number[] = [];
  readonly signals = new Map<number, AbortSignal>();
  private readonly ends = new Map<number, (failure?: Error) => void>();
  readonly worker: BatchWorker<number, string> = (item, { signal }) => {
    this.started.push(item);
    this.signals.set(item, signal);
    return new Promise((resolve, reject) => {
      this.ends.set(item, (failure) => (failure ? reject(failure) : resolve(`done ${item}`)));
    });
  };

  async end(item: number, failure?: Error): Promise<void> {
    await until(() => this.ends.has(item));
    this.ends.get(item)!(failure);
    await turn();
  }
}

describe('a batch', () => {
  it('runs no more than its concurrency and gives the outcomes in the order of the input', async () => {
    const gates = new Gates();
    const batch = processBatch(numbers(4), gates.worker, { concurrency: 2 });
    await turn();
    expect(gates.started).toEqual([0, 1]);
    for (const item of [1, 2, 3, 0]) await gates.end(item);
    const report = await batch;
    expect(report.outcomes.map((outcome) => outcome.index)).toEqual([0, 1, 2, 3]);
    expect(report.outcomes[2]).toEqual({ index: 2, attempts: 1, status: 'succeeded', value: 'done 2' });
    expect(report).toMatchObject({ succeeded: 4, failed: 0, cancelled: 0 });
  });

  it('can give them in the order of completion', async () => {
    const gates = new Gates();
    const batch = processBatch(numbers(3), gates.worker, { concurrency: 3, order: 'completion' });
    for (const item of [2, 0, 1]) await gates.end(item);
    expect((await batch).outcomes.map((outcome) => outcome.index)).toEqual([2, 0, 1]);
  });

  it('keeps a failure, thrown at once or later, to its item', async () => {
    const failures = [new Error('thrown'), new Error('rejected')];
    const report = await processBatch(numbers(4), (item) => {
      if (item === 1) throw failures[0];
      return item === 2 ? Promise.reject(failures[1]) : item;
    });
    expect(report.outcomes.map((outcome) => outcome.status)).toEqual([
      'succeeded',
      'failed',
      'failed',
      'succeeded',
    ]);
    expect(report.outcomes.slice(1, 3)).toMatchObject([{ error: failures[0] }, { error: failures[1] }]);
  });

  it('of nothing is empty', async () => {
    expect(await processBatch([], () => 1)).toMatchObject({ outcomes: [], succeeded: 0 });
  });

  it('is refused with every wrong option at once', async () => {
    const wrong = { concurrency: 0, timeoutMs: -1, retry: { maxAttempts: 0 } };
    await expect(processBatch([1], () => 1, wrong)).rejects.toMatchObject({
      code: 'BATCH_OPTIONS_INVALID',
      problems: [
        expect.stringContaining('concurrency'),
        expect.stringContaining('timeoutMs'),
        expect.stringContaining('retry.maxAttempts'),
      ],
    });
  });

  describe('that is cancelled', () => {
    it('starts nothing more, stops what runs, answers at once, and has an outcome for every item', async () => {
      const gates = new Gates();
      const controller = new AbortController();
      const batch = processBatch(numbers(5), gates.worker, { concurrency: 2, signal: controller.signal });
      await gates.end(0);
      controller.abort('enough');
      // Nobody ends items 1 and 2: the batch does not wait for them.
      const report = await batch;
      expect(report.outcomes.map((outcome) => [outcome.status, outcome.attempts])).toEqual([
        ['succeeded', 1],
        ['cancelled', 1],
        ['cancelled', 1],
        ['cancelled', 0],
        ['cancelled', 0],
      ]);
      expect(report.outcomes[4]).toMatchObject({ reason: 'enough' });
      expect(gates.signals.get(1)?.reason).toBe('enough');
      expect(gates.started).toEqual([0, 1, 2]);
    });

    it('before it starts runs nothing', async () => {
      const gates = new Gates();
      const report = await processBatch(numbers(2), gates.worker, { signal: AbortSignal.abort('no') });
      expect(report).toMatchObject({ cancelled: 2 });
      expect(gates.started).toEqual([]);
    });

    it('does not wait for a source that never answers, and closes it', async () => {
      let closed = false;
      const source: AsyncIterable<number> = {
        [Symbol.asyncIterator]: () => ({
          next: () => new Promise(() => {}),
          return: async () => {
            closed = true;
            return { done: true, value: undefined };
          },
        }),
      };
      const controller = new AbortController();
      const batch = processBatch(source, () => 1, { signal: controller.signal });
      await turn();
      controller.abort();
      expect((await batch).outcomes).toEqual([]);
      expect(closed).toBe(true);
    });
  });

  describe('with a time-out', () => {
    it('stops the attempt, and takes its place again only when the worker has ended', async () => {
      const clock = new TestClock();
      const gates = new Gates();
      const batch = processBatch(numbers(3), gates.worker, { concurrency: 1, timeoutMs: 100, clock });
      await clock.advance(100);
      expect(gates.signals.get(0)?.reason).toMatchObject({ code: 'BATCH_ITEM_TIMEOUT', index: 0 });
      expect(gates.started).toEqual([0]);
      await gates.end(0);
      await gates.end(1);
      await clock.advance(100);
      // Item 2 is the last one: the batch ends although its worker never does.
      const { outcomes } = await batch;
      expect(outcomes.map((outcome) => outcome.status)).toEqual(['failed', 'succeeded', 'failed']);
      expect(outcomes[0]).toMatchObject({ error: { code: 'BATCH_ITEM_TIMEOUT', timeoutMs: 100 } });
      expect(clock.pendingTimers).toBe(0);
    });
  });

  describe('with retries', () => {
    const retry = { maxAttempts: 4, baseDelayMs: 100, maxDelayMs: 250 };

    it('tries an item again after growing, jittered pauses on the clock', async () => {
      const clock = new TestClock();
      const pauses = new SeededRandom(7);
      const attempts: [number, number][] = [];
      const worker: BatchWorker<string, string> = (_item, { attempt }) => {
        attempts.push([attempt, clock.monotonic()]);
        if (attempt < 4) throw new Error('not yet');
        return 'done';
      };
      const batch = processBatch(['a'], worker, { retry, clock, random: new SeededRandom(7) });
      let expected = 0;
      for (const longest of [100, 200, 250]) {
        await until(() => clock.pendingTimers === 1);
        const pause = pauses.next() * longest;
        expected += pause;
        await clock.advance(pause);
      }
      const { outcomes } = await batch;
      expect(outcomes).toEqual([{ index: 0, attempts: 4, status: 'succeeded', value: 'done' }]);
      expect(attempts.map(([attempt]) => attempt)).toEqual([1, 2, 3, 4]);
      expect(attempts.at(-1)![1]).toBeCloseTo(expected, 6);
    });

    it('gives up after the last attempt, and at once on an error that no attempt cures', async () => {
      const random = { next: () => 0 };
      const seen: string[] = [];
      const fatal = new Error('fatal');
      const flaky = new Error('flaky');
      const report = await processBatch(
        ['flaky', 'fatal'],
        (item) => {
          seen.push(item);
          throw item === 'fatal' ? fatal : flaky;
        },
        { retry: { ...retry, maxAttempts: 3, retryIf: (error) => error !== fatal }, random },
      );
      expect(report.outcomes).toMatchObject([
        { status: 'failed', attempts: 3, error: flaky },
        { status: 'failed', attempts: 1, error: fatal },
      ]);
      expect(seen).toHaveLength(4);
    });

    it('never works on an item twice at once, also when a timed-out attempt goes on', async () => {
      const clock = new TestClock();
      const ends: (() => void)[] = [];
      const batch = processBatch([1], () => new Promise<void>((resolve) => ends.push(resolve)), {
        clock,
        timeoutMs: 10,
        retry: { maxAttempts: 2, baseDelayMs: 1 },
        random: { next: () => 0 },
      });
      await clock.advance(10);
      await new Promise((resolve) => setTimeout(resolve, 5));
      await clock.advance(1000);
      expect(ends).toHaveLength(1);
      ends[0]!();
      const again = async () => {
        await clock.advance(1);
        return ends.length === 2;
      };
      while (!(await again())) await new Promise((resolve) => setTimeout(resolve, 0));
      ends[1]!();
      expect((await batch).outcomes).toMatchObject([{ status: 'succeeded', attempts: 2 }]);
    });

    it('is cancelled in the middle of a pause', async () => {
      const clock = new TestClock();
      const controller = new AbortController();
      const worker = () => Promise.reject(new Error('down'));
      const batch = processBatch([1], worker, { retry, clock, signal: controller.signal });
      await until(() => clock.pendingTimers === 1);
      controller.abort('enough');
      expect((await batch).outcomes).toEqual([
        { index: 0, attempts: 1, status: 'cancelled', reason: 'enough' },
      ]);
    });

    it('keeps the process alive in a pause, and no longer than the batch', async () => {
      const hold = vi.spyOn(globalThis, 'setInterval');
      const letGo = vi.spyOn(globalThis, 'clearInterval');
      try {
        const clock = new TestClock();
        const failing = () => Promise.reject(new Error('down'));
        const batch = processBatch([1], failing, { retry: { maxAttempts: 2 }, clock });
        await until(() => clock.pendingTimers === 1);
        const handle = hold.mock.results[0]!.value as NodeJS.Timeout;
        expect(handle.hasRef()).toBe(true);
        expect(letGo).not.toHaveBeenCalledWith(handle);
        await clock.advance(250);
        await batch;
        expect(letGo).toHaveBeenCalledWith(handle);
      } finally {
        vi.restoreAllMocks();
      }
    });
  });

  describe('from a source', () => {
    async function* counted(count: number, read: number[]) {
      for (let item = 0; item < count; item += 1) {
        read.push(item);
        yield item;
      }
    }

    it('reads no further than it has places', async () => {
      const read: number[] = [];
      const gates = new Gates();
      const batch = processBatch(counted(6, read), gates.worker, { concurrency: 2 });
      await turn();
      expect(read).toEqual([0, 1]);
      await gates.end(0);
      expect(read).toEqual([0, 1, 2]);
      for (const item of [1, 2, 3, 4, 5]) await gates.end(item);
      expect((await batch).succeeded).toBe(6);
    });

    it('is slowed down by a slow consumer of the stream, and closed by one who leaves', async () => {
      const read: number[] = [];
      const seen: number[] = [];
      const signals: AbortSignal[] = [];
      const worker: BatchWorker<number, number> = (item, { signal }) => {
        signals.push(signal);
        return item < 3 ? item : new Promise(() => {});
      };
      for await (const outcome of streamBatch(counted(1000, read), worker, { concurrency: 2 })) {
        await turn();
        seen.push(outcome.index);
        expect(read.length).toBeLessThanOrEqual(seen.length + 2);
        if (outcome.index === 2) break;
      }
      expect(seen).toEqual([0, 1, 2]);
      await turn();
      expect(signals.at(-1)?.aborted).toBe(true);
      expect(read.length).toBeLessThanOrEqual(5);
    });

    it('that is synchronous and endless is read as far as it is wanted', async () => {
      function* endless() {
        for (let item = 0; ; item += 1) yield item;
      }
      const seen: unknown[] = [];
      for await (const outcome of streamBatch(endless(), (item) => item * 2, { concurrency: 3 })) {
        if (outcome.status === 'succeeded') seen.push(outcome.value);
        if (seen.length === 4) break;
      }
      expect(seen).toEqual([0, 2, 4, 6]);
    });

    it('that fails ends the batch after what had been read, and nothing is lost', async () => {
      const broken = new Error('connection lost');
      async function* source() {
        yield 1;
        yield 2;
        throw broken;
      }
      await expect(processBatch(source(), (item) => item * 10)).rejects.toMatchObject({
        code: 'BATCH_SOURCE_FAILED',
        cause: broken,
        outcomes: [
          { index: 0, status: 'succeeded', value: 10 },
          { index: 1, status: 'succeeded', value: 20 },
        ],
      });
    });
  });

  describe('reports its progress', () => {
    it('at the start, after each item and at the end, with rate and time left', async () => {
      const clock = new TestClock();
      const gates = new Gates();
      const seen: BatchProgress[] = [];
      const options: BatchOptions = { concurrency: 1, clock, onProgress: (progress) => seen.push(progress) };
      const batch = processBatch(numbers(4), gates.worker, options);
      for (const item of numbers(4)) {
        await clock.advance(500);
        await gates.end(item, item === 1 ? new Error('failed') : undefined);
      }
      await batch;
      expect(seen[0]).toEqual({
        total: 4,
        done: 0,
        succeeded: 0,
        failed: 0,
        cancelled: 0,
        retries: 0,
        ratePerSecond: 0,
        finished: false,
      });
      expect(seen[2]).toMatchObject({ done: 2, succeeded: 1, failed: 1, ratePerSecond: 2, etaMs: 1000 });
      expect(seen.at(-1)).toMatchObject({ done: 4, finished: true });
      expect(seen.filter((progress) => progress.finished)).toHaveLength(1);
    });

    it('and goes on when nobody can be told', async () => {
      const onProgress = () => {
        throw new Error('EPIPE');
      };
      expect((await processBatch(numbers(3), (item) => item, { onProgress })).succeeded).toBe(3);
    });
  });
});

describe('the progress bar', () => {
  const written = (isTTY: boolean) => {
    const stream = Object.assign(new PassThrough(), { isTTY, columns: 120 });
    let text = '';
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    return { stream, text: () => text };
  };

  it('prints plain lines where there is no terminal: some on the way and one at the end', async () => {
    const { stream, text } = written(false);
    const clock = new TestClock();
    const { update } = new BatchProgressBar({ stream, clock, label: 'files' });
    const gates = new Gates();
    const batch = processBatch(numbers(40), gates.worker, { concurrency: 1, clock, onProgress: update });
    for (const item of numbers(40)) {
      await clock.advance(250);
      await gates.end(item, item === 4 ? new Error('failed') : undefined);
    }
    await batch;
    await turn();
    const lines = text().trimEnd().split('\n');
    expect(lines).toHaveLength(6);
    expect(lines[0]).toBe('files 8/40 (20 %), 1 failed, 4.0/s, 8 s left');
    expect(lines.at(-1)).toBe('files 40/40 (100 %), 1 failed, 4.0/s');
    expect(text()).not.toContain('\u001b');
  });

  it('draws a bar on a terminal and leaves no timer behind', async () => {
    const { stream, text } = written(true);
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const bar = new BatchProgressBar({ stream, label: 'files' });
    await processBatch(numbers(5), (item) => item, { onProgress: bar.update });
    await turn();
    expect(text()).toContain('files [==============================] 5/5 (100 %)');
    expect(text()).not.toContain('\u001b[?25l');
    expect(text().endsWith('\n')).toBe(true);
    await until(() => timers() <= before);
    bar.stop();
  });

  it('counts where the total is unknown', async () => {
    const { stream, text } = written(true);
    using bar = new BatchProgressBar({ stream, label: 'rows' });
    await processBatch(new Set(['a', 'b']), (item) => item, { onProgress: bar.update });
    await turn();
    expect(text()).toContain('rows 2,');
  });
});
