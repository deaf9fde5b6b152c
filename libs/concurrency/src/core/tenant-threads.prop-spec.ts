import { parseTenantId, type TenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StaticTenantPlans } from '../adapters/memory/static-tenant-plans.js';
import { ScriptedThreads } from '../testing/scripted-threads.js';
import { TenantThreads } from './tenant-threads.js';

const TENANTS = ['a', 'b', 'c', 'd'].map(parseTenantId);
const MAX_QUEUED = 8;
const settled = () => new Promise((resolve) => setImmediate(resolve));

type Step =
  | { kind: 'ask'; tenant: number; timeoutMs: number }
  | { kind: 'end'; which: number; how: 'completed' | 'failed' | 'crashed' }
  | { kind: 'abort'; which: number }
  | { kind: 'advance'; ms: number }
  | { kind: 'linger'; lingering: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('ask' as const),
      tenant: fc.nat(3),
      timeoutMs: fc.integer({ min: 1, max: 2000 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('end' as const),
      which: fc.nat(7),
      how: fc.constantFrom('completed', 'failed', 'crashed'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('abort' as const), which: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(1500) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('linger' as const), lingering: fc.boolean() }) },
);

describe('in any order of events, tenants’ threads', () => {
  it('stay within cap and shares, are given to whoever has fewest, lose no task, and all end', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 1, max: 6 }),
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 4, maxLength: 4 }),
        async (steps, maxThreads, shares) => {
          const host = new ScriptedThreads();
          const clock = new TestClock();
          const base = { qps: 1, burst: 1, permits: 1, tokenBudget: { tokens: 1, windowMs: 1 } };
          const plans = Object.fromEntries(
            TENANTS.map((tenant, index) => [tenant, { ...base, threadShare: shares[index]! }]),
          );
          const threads = new TenantThreads(host, new StaticTenantPlans(undefined, plans), clock, {
            maxThreads,
            maxQueued: MAX_QUEUED,
            idleMs: 1000,
            warmMs: 0,
          });
          const controllers: AbortController[] = [];
          const outcomes: Promise<string>[] = [];
          const open = new Map<TenantId, number>();
          const outstanding = (tenant: TenantId) => open.get(tenant) ?? 0;
          const shareOf = (tenant: TenantId) => shares[TENANTS.indexOf(tenant)]!;
          const runningOf = (tenant: TenantId) =>
            [...host.running].filter(({ task }) => task.payload === tenant).length;

          for (const next of steps) {
            if (next.kind === 'ask') {
              const tenant = TENANTS[next.tenant]!;
              const controller = new AbortController();
              controllers.push(controller);
              open.set(tenant, outstanding(tenant) + 1);
              const { signal } = controller;
              outcomes.push(
                threads
                  .run(tenant, { filename: '/t.mjs', payload: tenant }, { signal, timeoutMs: next.timeoutMs })
                  .then(
                    () => 'completed',
                    (error: { code?: string }) => error.code ?? 'aborted',
                  )
                  .finally(() => open.set(tenant, outstanding(tenant) - 1)),
              );
            } else if (next.kind === 'end') {
              const task = [...host.running][next.which];
              if (next.how === 'completed') task?.finish({ kind: 'completed', value: 1 });
              else if (next.how === 'failed') task?.finish({ kind: 'failed', error: 1 });
              else task?.finish({ kind: 'crashed', reason: 'exit', error: 1 });
            } else if (next.kind === 'abort') {
              controllers[next.which]?.abort(new Error('abort'));
            } else if (next.kind === 'advance') {
              await clock.advance(next.ms);
            } else {
              host.lingering = next.lingering;
              if (!next.lingering) host.letGo();
            }
            await settled();

            expect(host.mostExisting).toBeLessThanOrEqual(maxThreads);
            for (const tenant of TENANTS) expect(runningOf(tenant)).toBeLessThanOrEqual(shareOf(tenant));
            expect(threads.stats().threads).toBeLessThanOrEqual(maxThreads);
            if (host.lingering) continue;
            // Whoever waits although threads are left has its share, or may not take the reserved one.
            const left = maxThreads - host.running.size;
            for (const tenant of TENANTS.filter((waiting) => outstanding(waiting) > runningOf(waiting))) {
              const reserved = runningOf(tenant) > 0 && maxThreads > 1 ? 1 : 0;
              if (runningOf(tenant) < shareOf(tenant)) expect(left).toBeLessThanOrEqual(reserved);
            }
          }
          host.lingering = false;
          host.letGo();
          const closing = threads.close(10);
          await clock.advance(10);
          await closing;
          expect(host.existing).toBe(0);
          expect(clock.pendingTimers).toBe(0);
          const ends = await Promise.all(outcomes);
          expect(ends).toHaveLength(controllers.length);
          expect(threads.stats()).toEqual({ threads: 0, busy: 0, idle: 0, queued: 0, tenants: 0 });
        },
      ),
      { numRuns: 200 },
    ));
});
