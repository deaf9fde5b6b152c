import { TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ResourceScope } from './resource-scope.js';

const cleanup = fc.record({
  /** `hangs` never ends; the time-out goes over it. */
  kind: fc.constantFrom('sync' as const, 'async' as const, 'hangs' as const),
  fails: fc.boolean(),
  how: fc.constantFrom('add' as const, 'defer' as const, 'use' as const, 'useAsync' as const),
});

describe('whatever is registered and however often and whence it is closed', () => {
  it('everything is released once, in reverse order, one at a time, and every failure reported', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(cleanup, { maxLength: 12 }),
        fc.array(cleanup, { maxLength: 3 }),
        fc.constantFrom('close' as const, 'signal' as const, 'dispose' as const),
        fc.integer({ min: 1, max: 4 }),
        async (early, late, ending, closers) => {
          const clock = new TestClock();
          const controller = new AbortController();
          const scope = new ResourceScope({ clock, cleanupTimeoutMs: 10, signal: controller.signal });
          const order: number[] = [];
          let releasing = 0;
          let overlapped = false;
          const register = ({ kind, fails, how }: (typeof early)[number], index: number) => {
            const release = (): undefined | Promise<void> => {
              order.push(index);
              if (index >= 0 && releasing > 0) overlapped = true;
              if (kind === 'hangs') return new Promise(() => {});
              const end = () => {
                if (fails) throw new Error(String(index));
              };
              if (kind === 'sync') return end() as undefined;
              releasing += index >= 0 ? 1 : 0;
              return clock.sleep(1).then(() => {
                releasing -= index >= 0 ? 1 : 0;
                end();
              });
            };
            if (how === 'add')
              expect(scope.add(index, (held) => (held === index ? release() : 0))).toBe(index);
            else if (how === 'defer') scope.defer(release);
            else if (how === 'use') scope.use({ [Symbol.dispose]: release });
            else scope.use({ [Symbol.asyncDispose]: async () => release() });
          };
          early.forEach(register);
          if (ending === 'signal') controller.abort();
          const closings = Array.from({ length: closers }, () =>
            (ending === 'dispose' ? scope[Symbol.asyncDispose]() : scope.close()).then(
              () => [],
              (error: unknown) => (error as AggregateError).errors as unknown[],
            ),
          );
          late.forEach((each, index) => {
            expect(() => register(each, -1 - index)).toThrow(
              expect.objectContaining({ code: 'RESOURCE_SCOPE_CLOSED' }),
            );
          });
          await clock.advance(11 * (early.length + 1));
          const reports = await Promise.all(closings);

          const reversed = early.map((_each, index) => index).reverse();
          expect(order.filter((index) => index >= 0)).toEqual(reversed);
          expect(order.filter((index) => index < 0)).toEqual(late.map((_each, index) => -1 - index));
          expect(overlapped).toBe(false);
          const expected = reversed
            // A disposable's `Symbol.dispose` is synchronous by its type; what it returns is awaited all the same.
            .filter((index) => early[index]!.kind === 'hangs' || early[index]!.fails)
            .map((index) => (early[index]!.kind === 'hangs' ? 'RESOURCE_CLEANUP_TIMEOUT' : String(index)));
          for (const errors of reports) {
            const seen = errors.map((error) => (error as { code?: string }).code ?? (error as Error).message);
            expect(seen).toEqual(expected);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
