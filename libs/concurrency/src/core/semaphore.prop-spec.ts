import { parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryPermitStore } from '../adapters/memory/memory-permit.store.js';
import { scheduledPermitStore } from '../testing/scheduled-permit-store.js';
import { FairQueue } from './fair-queue.js';
import { Semaphores } from './semaphores.js';

const settings = { leaseMs: 30_000, timeoutMs: 60_000, maxWaiting: 1000 };
const tenants = ['acme', 'beta', 'gamma'].map((id) => parseTenantId(id));
const cancelled = new Error('cancelled');

/** Delays each call before it reaches the store, and each reply on its way back. */
function interleaved(scheduler: fc.Scheduler) {
  return async <T>(label: string, call: () => Promise<T>): Promise<T> => {
    await scheduler.schedule(Promise.resolve(), `${label}: sent`);
    const reply = await call();
    await scheduler.schedule(Promise.resolve(), `${label}: answered`);
    return reply;
  };
}

describe('a semaphore under any interleaving of calls, replies and messages', () => {
  it('is never held by more than its permits, serves everyone, and leaks nothing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 1, max: 3 }),
        fc.array(fc.record({ tenant: fc.integer({ min: 0, max: 2 }), cancels: fc.boolean() }), {
          minLength: 1,
          maxLength: 8,
        }),
        async (scheduler, permits, callers) => {
          const clock = new TestClock();
          const store = new MemoryPermitStore(clock);
          const semaphores = new Semaphores(
            scheduledPermitStore(store, interleaved(scheduler)),
            clock,
            settings,
          );
          const semaphore = semaphores.semaphore({ name: 's', permits, scope: 'shared' });
          let holders = 0;
          const tokens: number[] = [];
          const outcomes = callers.map(async ({ tenant, cancels }, i) => {
            const controller = new AbortController();
            if (cancels) {
              void scheduler
                .schedule(Promise.resolve(), `cancel ${i}`)
                .then(() => controller.abort(cancelled));
            }
            const work = semaphore.withPermit(
              async (permit) => {
                holders += 1;
                expect(holders).toBeLessThanOrEqual(permits);
                tokens.push(permit.fencingToken);
                await scheduler.schedule(Promise.resolve(), `work ${i}`);
                expect(permit.held).toBe(true);
                holders -= 1;
                return 'served' as const;
              },
              { tenantId: tenants[tenant]!, signal: controller.signal },
            );
            return work.catch((error: unknown) => {
              expect(error).toBe(cancelled);
              return 'cancelled' as const;
            });
          });
          await scheduler.waitFor(Promise.all(outcomes));
          for (const [i, outcome] of (await Promise.all(outcomes)).entries()) {
            if (!callers[i]!.cancels) expect(outcome).toBe('served');
          }
          await scheduler.waitIdle();
          expect(new Set(tokens).size).toBe(tokens.length);
          const direct = new Semaphores(store, clock, settings).semaphore({
            name: 's',
            permits,
            scope: 'shared',
          });
          for (let i = 0; i < permits; i++) {
            expect((await direct.tryAcquire({ tenantId: tenants[0]! }))?.held).toBe(true);
          }
          expect(semaphores.waiting).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('is handed on first come, first served, past every waiter that was cancelled', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }),
        async (permits, cancels) => {
          const clock = new TestClock();
          const semaphores = new Semaphores(new MemoryPermitStore(clock), clock, settings);
          const semaphore = semaphores.semaphore({ name: 's', permits });
          const tenantId = tenants[0]!;
          const held = await Promise.all(
            Array.from({ length: permits }, () => semaphore.acquire({ tenantId })),
          );
          const order: number[] = [];
          const waiting = cancels.map((cancel, i) => {
            const controller = new AbortController();
            const done = semaphore
              .withPermit(() => order.push(i), { tenantId, signal: controller.signal })
              .catch((error: unknown) => expect(error).toBe(cancelled));
            return { cancel, controller, done };
          });
          await clock.advance(0);
          for (const { cancel, controller } of waiting) if (cancel) controller.abort(cancelled);
          await Promise.all(held.map((permit) => permit.release()));
          await Promise.all(waiting.map(({ done }) => done));
          expect(order).toEqual(cancels.flatMap((cancel, i) => (cancel ? [] : [i])));
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('the fair queue', () => {
  it('is first come, first served within a tenant, whoever leaves meanwhile', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            { weight: 3, arbitrary: fc.record({ do: fc.constant('push' as const), tenant: fc.nat(2) }) },
            { weight: 2, arbitrary: fc.constant({ do: 'shift' as const }) },
            { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), at: fc.nat() }) },
          ),
          { maxLength: 200 },
        ),
        (commands) => {
          const queue = new FairQueue();
          const model = new Map<string, string[]>();
          let next = 0;
          for (const command of commands) {
            if (command.do === 'push') {
              const tenantId = `t${command.tenant}`;
              const id = `c${next++}`;
              queue.push({ id, tenantId });
              model.set(tenantId, [...(model.get(tenantId) ?? []), id]);
            } else if (command.do === 'remove') {
              const all = [...model.values()].flat();
              const id = all[command.at % Math.max(1, all.length)];
              expect(queue.remove(id ?? 'nobody')).toBe(id !== undefined);
              for (const [tenantId, ids] of model)
                model.set(
                  tenantId,
                  ids.filter((other) => other !== id),
                );
            } else {
              const caller = queue.shift();
              if (!caller) {
                expect([...model.values()].flat()).toEqual([]);
                continue;
              }
              const ids = model.get(caller.tenantId)!;
              expect(caller.id).toBe(ids.shift());
            }
            expect(queue.length).toBe([...model.values()].flat().length);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('shares the turns of busy tenants evenly', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 30, max: 60 }), { minLength: 2, maxLength: 5 }), (backlogs) => {
        const queue = new FairQueue();
        for (const [tenant, backlog] of backlogs.entries()) {
          for (let i = 0; i < backlog; i++) queue.push({ id: `${tenant}-${i}`, tenantId: `t${tenant}` });
        }
        const served = backlogs.map(() => 0);
        for (let i = 0; i < 20 * backlogs.length; i++) {
          served[Number(queue.shift()!.tenantId.slice(1))]! += 1;
        }
        expect(Math.max(...served) - Math.min(...served)).toBeLessThanOrEqual(1);
      }),
    );
  });
});
