import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CacheStore } from '../src/ports/cache-store.port.js';
import { acme, memoryCluster } from './cluster.js';

/** Runs every store operation when the scheduler says so, both before and after it takes effect. */
function scheduled(store: CacheStore, scheduler: fc.Scheduler): CacheStore {
  return new Proxy(store, {
    get(target, name, receiver) {
      const member: unknown = Reflect.get(target, name, receiver);
      if (typeof member !== 'function') return member;
      return async (...args: unknown[]) => {
        await scheduler.schedule(Promise.resolve(), `${String(name)} sent`);
        const result: unknown = await member.apply(target, args);
        await scheduler.schedule(Promise.resolve(), `${String(name)} answered`);
        return result;
      };
    },
  });
}

const step = fc.record({
  member: fc.integer({ min: 0, max: 2 }),
  action: fc.constantFrom('load', 'load', 'load', 'write+delete', 'write+tag', 'write+clear', 'get'),
});

describe('interleavings', () => {
  it('of loads and invalidations never leave a value older than the last invalidation', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(step, { minLength: 3, maxLength: 12 }),
        async (scheduler, steps) => {
          const { members } = memoryCluster(3, { l2: { budgetMs: 60_000 } }, (store) =>
            scheduled(store, scheduler),
          );
          let truth = 0;
          const run = async ({ member, action }: (typeof steps)[number]) => {
            const { cache } = members[member]!;
            if (action === 'get') await cache.get(acme, 'k');
            else if (action === 'load') {
              const began = truth;
              const value = await cache.getOrSet(
                acme,
                'k',
                async () => {
                  const read = truth;
                  await scheduler.schedule(Promise.resolve(), 'loader');
                  return read;
                },
                { tags: ['t'] },
              );
              expect(value).toBeLessThanOrEqual(truth);
              expect(value).toBeGreaterThanOrEqual(Math.min(began, settledTruth));
            } else {
              const version = ++truth;
              if (action === 'write+delete') await cache.delete(acme, 'k');
              else if (action === 'write+tag') await cache.deleteByTag(acme, 't');
              else await cache.clear(acme);
              settledTruth = Math.max(settledTruth, version);
            }
          };
          let settledTruth = 0;
          const running = steps.map(async (each, index) => {
            await scheduler.schedule(Promise.resolve(), `step ${index}`);
            await run(each);
          });
          await scheduler.waitFor(Promise.all(running));
          // Everything has ended: whatever any tier of any process still has is the truth.
          for (const { cache } of members) {
            const seen = await scheduler.waitFor(cache.get<number>(acme, 'k'));
            if (seen !== undefined) expect(seen).toBe(truth);
          }
        },
      ),
      { numRuns: 250, endOnFailure: true },
    );
  }, 120_000);

  it('of concurrent callers, failing or not, call one loader at a time per key and settle everyone', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.record({ member: fc.integer({ min: 0, max: 2 }), fails: fc.boolean() }), {
          minLength: 2,
          maxLength: 10,
        }),
        async (scheduler, callers) => {
          const { members } = memoryCluster(3, { l2: { budgetMs: 60_000 } }, (store) =>
            scheduled(store, scheduler),
          );
          let active = 0;
          const calls = callers.map(async ({ member, fails }) => {
            await scheduler.schedule(Promise.resolve(), 'arrival');
            return members[member]!.cache.getOrSet(acme, 'k', async () => {
              active++;
              expect(active).toBe(1);
              await scheduler.schedule(Promise.resolve(), 'loader');
              active--;
              if (fails) throw new Error('failed');
              return 'value';
            });
          });
          const outcomes = await scheduler.waitFor(Promise.allSettled(calls));
          for (const outcome of outcomes)
            if (outcome.status === 'fulfilled') expect(outcome.value).toBe('value');
            else expect(String(outcome.reason)).toContain('failed');
        },
      ),
      { numRuns: 150, endOnFailure: true },
    );
  }, 120_000);
});
