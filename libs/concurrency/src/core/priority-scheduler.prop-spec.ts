import { parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PRIORITIES, type Priority } from './priority.js';
import { PriorityScheduler } from './priority-scheduler.js';

type Step =
  | { readonly kind: 'submit'; readonly priority: Priority; readonly tenant: string; readonly heeds: boolean }
  | { readonly kind: 'end'; readonly which: number; readonly fails: boolean }
  | { readonly kind: 'abort'; readonly which: number }
  | { readonly kind: 'advance'; readonly ms: number };

interface Track {
  readonly id: number;
  readonly priority: Priority;
  readonly tenant: string;
  readonly controller: AbortController;
  readonly submittedAtMs: number;
  state: 'waiting' | 'running' | 'over';
  answer: 'none' | 'value' | 'error';
  error: unknown;
  end: (fails: boolean) => void;
}

const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('submit' as const),
        priority: fc.constantFrom(...PRIORITIES),
        tenant: fc.constantFrom('a', 'b', 'c'),
        heeds: fc.boolean(),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({ kind: fc.constant('end' as const), which: fc.nat(20), fails: fc.boolean() }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('abort' as const), which: fc.nat(60) }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 60 }) }),
    },
  ),
  { maxLength: 80 },
);
const settings = fc.record({
  concurrency: fc.integer({ min: 1, max: 4 }),
  maxQueued: fc.integer({ min: 0, max: 12 }),
  maxQueuedPerTenant: fc.integer({ min: 0, max: 12 }),
  whenFull: fc.constantFrom('reject' as const, 'drop-lowest' as const),
});

const AGEING_MS = 40;
const TIMEOUT_MS = 100;

describe('whatever is submitted, ended, cancelled and timed out', () => {
  it('the bound holds, no slot stays open, order and turns hold, and everyone is answered once', async () => {
    await fc.assert(
      fc.asyncProperty(settings, steps, async (bounds, script) => {
        const clock = new TestClock();
        const scheduler = new PriorityScheduler(clock, {
          ...bounds,
          ageingMs: AGEING_MS,
          timeoutMs: TIMEOUT_MS,
        });
        const tracks: Track[] = [];
        const of = (state: Track['state']) => tracks.filter((track) => track.state === state);
        const waiting = () => of('waiting').filter((track) => track.answer === 'none' && accepted.has(track));
        const accepted = new Set<Track>();

        const onStart = (track: Track) => {
          expect(track.answer).toBe('none');
          expect(of('running').length).toBeLessThan(bounds.concurrency);
          const others = waiting().filter((other) => other !== track);
          for (const other of others) {
            // First come, first served within tenant and class.
            if (other.tenant === track.tenant && other.priority === track.priority) {
              expect(other.id).toBeGreaterThan(track.id);
            }
          }
          const moreUrgent = others.filter(
            (other) => PRIORITIES.indexOf(other.priority) < PRIORITIES.indexOf(track.priority),
          );
          if (moreUrgent.length > 0) {
            const oldest = Math.min(
              ...[...others, track]
                .filter(({ priority }) => priority === track.priority)
                .map(({ submittedAtMs }) => submittedAtMs),
            );
            expect(clock.monotonic() - oldest).toBeGreaterThanOrEqual(AGEING_MS);
          }
          track.state = 'running';
        };

        const submit = ({ priority, tenant, heeds }: Extract<Step, { kind: 'submit' }>) => {
          const track: Track = {
            id: tracks.length,
            priority,
            tenant,
            controller: new AbortController(),
            submittedAtMs: clock.monotonic(),
            state: 'waiting',
            answer: 'none',
            error: undefined,
            end: () => undefined,
          };
          tracks.push(track);
          const before = waiting().length;
          const full = of('running').length === bounds.concurrency;
          const task = (signal: AbortSignal) => {
            onStart(track);
            return new Promise<number>((resolve, reject) => {
              track.end = (fails) => {
                track.state = 'over';
                if (fails) reject(new Error('failed'));
                else resolve(track.id);
              };
              if (heeds) signal.addEventListener('abort', () => track.end(true));
            });
          };
          const tenantId = parseTenantId(tenant);
          accepted.add(track);
          scheduler.run(task, { priority, tenantId, signal: track.controller.signal }).then(
            (value) => {
              expect(track.answer).toBe('none');
              expect(value).toBe(track.id);
              track.answer = 'value';
            },
            (error: unknown) => {
              expect(track.answer).toBe('none');
              track.answer = 'error';
              track.error = error;
              const { code } = error as { code?: string };
              if (code === 'TASK_QUEUE_FULL') {
                expect(track.state).toBe('waiting');
                expect(full && before >= Math.min(bounds.maxQueued, bounds.maxQueuedPerTenant)).toBe(true);
              }
              if (code === 'TASK_DROPPED') {
                expect(track.state).toBe('waiting');
                expect(bounds.whenFull).toBe('drop-lowest');
              }
            },
          );
        };

        const settle = () => new Promise((resolve) => setImmediate(resolve));
        const check = async () => {
          await settle();
          expect(scheduler.state.running).toBe(of('running').length);
          expect(of('running').length).toBeLessThanOrEqual(bounds.concurrency);
          const queued = Object.values(scheduler.state.waiting).reduce((sum, count) => sum + count, 0);
          expect(queued).toBe(waiting().length);
          expect(queued).toBeLessThanOrEqual(bounds.maxQueued);
          if (queued > 0) expect(of('running').length).toBe(bounds.concurrency);
        };

        for (const step of script) {
          if (step.kind === 'submit') submit(step);
          else if (step.kind === 'advance') await clock.advance(step.ms);
          else if (step.kind === 'abort') tracks[step.which]?.controller.abort(new Error('cancelled'));
          else of('running')[step.which % Math.max(1, of('running').length)]?.end(step.fails);
          await check();
        }
        for (let left = of('running'); left.length > 0; left = of('running')) {
          for (const track of left) track.end(false);
          await check();
        }
        await scheduler.close();
        expect(tracks.filter(({ answer }) => answer === 'none')).toEqual([]);
        expect(clock.pendingTimers).toBe(0);
      }),
      { numRuns: 400 },
    );
  });

  it('a LOW task starts within its bound, however much of the higher classes arrives from whom', async () => {
    const arrivals = fc.array(
      fc.record({ priority: fc.constantFrom(...PRIORITIES), tenant: fc.constantFrom('a', 'b', 'c', 'd') }),
      { minLength: 1, maxLength: 3 },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(arrivals, { minLength: 150, maxLength: 150 }),
        fc.nat(3),
        fc.integer({ min: 0, max: 20 }),
        async (rounds, ahead, ageingMs) => {
          const clock = new TestClock();
          const scheduler = new PriorityScheduler(clock, {
            concurrency: 1,
            ageingMs,
            maxQueued: 10_000,
            maxQueuedPerTenant: 10_000,
          });
          let end = () => {};
          let starts = 0;
          let agedAtStart = 0;
          let startedAt: number | undefined;
          const submit = (priority: Priority, tenant: string, onStart = () => {}) => {
            const task = () =>
              new Promise<void>((resolve) => {
                starts += 1;
                end = resolve;
                onStart();
              });
            void scheduler.run(task, { priority, tenantId: parseTenantId(tenant) });
          };
          submit('high', 'a');
          for (let count = 0; count < ahead; count += 1) submit('low', 'a');
          submit('low', 'a', () => {
            startedAt = starts;
          });
          for (const round of rounds) {
            for (const { priority, tenant } of round) submit(priority, tenant);
            if (clock.monotonic() <= ageingMs) agedAtStart = starts;
            end();
            await clock.advance(1);
          }
          // Four tenants at most wait in its class, and `ahead` of its own before it.
          expect(startedAt).toBeDefined();
          expect(startedAt! - agedAtStart).toBeLessThanOrEqual(8 * (ahead + 1) * 4);
        },
      ),
      { numRuns: 100 },
    );
  });
});
