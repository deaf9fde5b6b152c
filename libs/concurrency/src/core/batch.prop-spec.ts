import { SeededRandom } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ItemOutcome, processBatch, streamBatch } from './batch.js';
import type { BatchProgress } from './batch-progress.js';

interface Item {
  readonly delay: number;
  /** How many attempts fail, at once or later. */
  readonly failures: number;
  readonly throws: boolean;
  readonly heeds: boolean;
}

const item = fc.record({ delay: fc.nat(4), failures: fc.nat(3), throws: fc.boolean(), heeds: fc.boolean() });
const options = fc.record({
  concurrency: fc.integer({ min: 1, max: 5 }),
  maxAttempts: fc.integer({ min: 1, max: 3 }),
  order: fc.constantFrom('input' as const, 'completion' as const),
  /** After how many started attempts the batch is cancelled, if at all. */
  abortAfter: fc.option(fc.nat(15), { nil: undefined }),
  source: fc.constantFrom('array' as const, 'iterable' as const, 'async' as const),
});

async function turns(count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) await new Promise((resolve) => setImmediate(resolve));
}

function asSource(items: readonly Item[], kind: 'array' | 'iterable' | 'async') {
  if (kind === 'array') return items;
  if (kind === 'iterable') return new Set(items);
  return (async function* () {
    for (const [index, each] of items.entries()) {
      if (index % 3 === 0) await turns(1);
      yield each;
    }
  })();
}

describe('whatever items do and whenever the batch is cancelled', () => {
  it('the bound holds, every item read has one true outcome, and the order is the one asked for', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(item, { maxLength: 15 }),
        options,
        fc.boolean(),
        async (items, wish, streamed) => {
          const positions = new Map(items.map((each, index) => [each, index]));
          const controller = new AbortController();
          const attempts = new Map<number, number>();
          const completed: number[] = [];
          const progress: BatchProgress[] = [];
          let running = 0;
          const violations: string[] = [];
          let started = 0;
          const worker = async (each: Item, { index, signal }: { index: number; signal: AbortSignal }) => {
            expect(positions.get(each)).toBe(index);
            expect(controller.signal.aborted).toBe(false);
            running += 1;
            expect(running).toBeLessThanOrEqual(wish.concurrency);
            const attempt = (attempts.get(index) ?? 0) + 1;
            attempts.set(index, attempt);
            if (started === wish.abortAfter) controller.abort('cancelled');
            started += 1;
            try {
              for (let step = 0; step < each.delay && !(each.heeds && signal.aborted); step += 1)
                await turns(1);
              if (attempt <= each.failures) throw new Error(`failure ${attempt}`);
              return index * 10;
            } finally {
              running -= 1;
            }
          };
          const retry =
            wish.maxAttempts === 1 ? {} : { retry: { maxAttempts: wish.maxAttempts, baseDelayMs: 1 } };
          const batchOptions = {
            concurrency: wish.concurrency,
            order: wish.order,
            signal: controller.signal,
            random: { next: () => 0 },
            onProgress: (each: BatchProgress) => void progress.push(each),
            ...retry,
          };
          const source = asSource(items, wish.source);
          const outcomes: ItemOutcome<number>[] = [];
          if (streamed) {
            for await (const outcome of streamBatch(source, worker, batchOptions)) outcomes.push(outcome);
          } else {
            const report = await processBatch(source, worker, batchOptions);
            outcomes.push(...report.outcomes);
            expect(report.succeeded + report.failed + report.cancelled).toBe(outcomes.length);
          }
          for (const outcome of outcomes) completed.push(outcome.index);

          expect(violations).toEqual([]);
          expect(new Set(completed).size).toBe(completed.length);
          if (wish.source === 'array' || !controller.signal.aborted)
            expect(completed.length).toBe(items.length);
          for (const index of attempts.keys()) expect(completed).toContain(index);
          if (wish.order === 'input') {
            expect(completed).toEqual([...completed].sort((left, right) => left - right));
          }
          for (const outcome of outcomes) {
            const { failures } = items[outcome.index]!;
            expect(outcome.attempts).toBe(attempts.get(outcome.index) ?? 0);
            if (outcome.status === 'succeeded') {
              expect(outcome).toMatchObject({ value: outcome.index * 10, attempts: failures + 1 });
            } else if (outcome.status === 'failed') {
              expect(failures).toBeGreaterThanOrEqual(outcome.attempts);
              expect(outcome.attempts).toBe(wish.maxAttempts);
            } else {
              expect(outcome.reason).toBe('cancelled');
            }
          }
          if (!controller.signal.aborted) {
            expect(outcomes.some(({ status }) => status === 'cancelled')).toBe(false);
          }
          expect(progress.at(-1)).toMatchObject({ done: outcomes.length, finished: true });
          expect(progress.slice(0, -1).some(({ finished }) => finished)).toBe(false);
        },
      ),
      { numRuns: 250 },
    );
  });

  it('the pauses are the same for the same seed', async () => {
    const pausesOf = async (seed: number) => {
      const pauses: number[] = [];
      const clock = {
        now: () => 0,
        monotonic: () => 0,
        schedule: () => ({ cancel: () => {} }),
        sleep: async (delayMs: number) => void pauses.push(delayMs),
      };
      await processBatch([1], () => Promise.reject(new Error('down')), {
        clock,
        random: new SeededRandom(seed),
        retry: { maxAttempts: 5, baseDelayMs: 100, maxDelayMs: 300 },
      });
      return pauses;
    };
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const pauses = await pausesOf(seed);
        expect(pauses).toEqual(await pausesOf(seed));
        for (const [index, longest] of [100, 200, 300, 300].entries()) {
          expect(pauses[index]).toBeGreaterThanOrEqual(0);
          expect(pauses[index]).toBeLessThan(longest);
        }
      }),
      { numRuns: 20 },
    );
  });
});
