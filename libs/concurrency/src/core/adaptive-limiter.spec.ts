import { channels, type LimitEvent, parseTenantId, TenantContext, type TenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryPermitStore } from '../adapters/memory/memory-permit.store.js';
import { TenantTaskTimeoutError } from '../errors.js';
import { type AdaptiveLimit, FixedLimit, type LimitSample } from './adaptive-limit.js';
import { AdaptiveLimiter, type Admission, type AdmissionRequest } from './adaptive-limiter.js';
import { CpuLimit } from './cpu-limit.js';
import { FixedShares } from './limit-partitions.js';
import { PRIORITIES, type Priority } from './priority.js';
import { Semaphores } from './semaphores.js';

const [alice, bob, carol] = ['alice', 'bob', 'carol'].map(parseTenantId) as [TenantId, TenantId, TenantId];

class RecordingLimit implements AdaptiveLimit {
  readonly samples: LimitSample[] = [];

  constructor(public limit: number) {}

  observe(sample: LimitSample): void {
    this.samples.push(sample);
  }
}

describe('the adaptive limiter', () => {
  let clock: TestClock;

  beforeEach(() => {
    clock = new TestClock();
  });

  const limiterOf = (limit: AdaptiveLimit | number, settings = {}) =>
    new AdaptiveLimiter(typeof limit === 'number' ? new FixedLimit(limit) : limit, clock, {
      name: 'answers',
      ...settings,
    });
  /** Admits as many as it can. */
  const fill = (limiter: AdaptiveLimiter, request: AdmissionRequest) => {
    const admissions: Admission[] = [];
    for (let next = limiter.tryAcquire(request); next; next = limiter.tryAcquire(request))
      admissions.push(next);
    return admissions;
  };

  it('admits as many as the limit allows and refuses the next at once, with what to do', async () => {
    const limiter = limiterOf(3);
    const admissions = fill(limiter, { tenantId: alice, priority: 'high' });
    expect(admissions).toHaveLength(3);
    expect(() => limiter.acquire({ tenantId: alice, priority: 'high' })).toThrow(
      expect.objectContaining({
        code: 'LOAD_SHEDDED',
        limiter: 'answers',
        priority: 'high',
        limit: 3,
        retryAfterMs: 1000,
      }),
    );
    await clock.advance(250);
    admissions[0]!.success();
    limiter.acquire({ tenantId: alice, priority: 'high' });
    expect(() => limiter.acquire({ tenantId: alice, priority: 'high' })).toThrow(
      expect.objectContaining({ retryAfterMs: 250 }),
    );
  });

  it('reports each outcome once: durations of successes and drops, nothing of what is ignored', async () => {
    const limit = new RecordingLimit(10);
    const limiter = limiterOf(limit);
    const [one, two, three] = [1, 2, 3].map(() => limiter.acquire({ tenantId: alice }));
    await clock.advance(40);
    one!.success();
    one!.dropped();
    two!.ignored();
    await clock.advance(60);
    three!.dropped();
    expect(limit.samples).toEqual([
      { rttMs: 40, inFlight: 1, dropped: false },
      { rttMs: 100, inFlight: 3, dropped: true },
    ]);
    expect(limiter.inFlight).toBe(0);
  });

  it.each([
    ['success', async () => 7, [false]],
    ['a time-out', async () => Promise.reject(new DOMException('late', 'TimeoutError')), [true]],
    ['a time-out of ours', async () => Promise.reject(new TenantTaskTimeoutError('t', 1, true)), [true]],
    ['another error', async () => Promise.reject(new Error('no')), []],
    ['no error at all', async () => Promise.reject('no'), []],
  ])('releases after %s and counts it for what it is', async (_what, work, dropped) => {
    const limit = new RecordingLimit(1);
    const limiter = limiterOf(limit);
    await TenantContext.run({ tenantId: alice, userId: 'u', scopes: [] }, () =>
      limiter.run(work, { priority: 'high' }).catch(() => undefined),
    );
    expect(limiter.inFlight).toBe(0);
    expect(limit.samples.map((sample) => sample.dropped)).toEqual(dropped);
  });

  it('sheds low priority first, then medium, and high last', () => {
    const limiter = limiterOf(20);
    const counts = (['low', 'medium', 'high'] as const).map((priority) => {
      fill(limiter, { tenantId: alice, priority });
      return limiter.inFlight;
    });
    expect(counts).toEqual([15, 18, 20]);
  });

  it('gives a tenant what others leave idle, and keeps the share of each that is active', () => {
    const limiter = limiterOf(10);
    const request = (tenantId: TenantId) => ({ tenantId, priority: 'high' as const });
    const ofAlice = fill(limiter, request(alice));
    expect(ofAlice).toHaveLength(10);
    const ofBob = fill(limiter, request(bob));
    expect(ofBob).toHaveLength(5);
    expect(fill(limiter, request(carol))).toHaveLength(3);
    for (const admission of ofAlice) admission.success();
    expect(limiter.inFlight).toBe(8);
    expect(fill(limiter, request(bob))).toHaveLength(2);
  });

  it('bounds a borrower to its guarantee while all is in use', () => {
    const limiter = limiterOf(10, { partitions: new FixedShares({ interactive: 0.6, batch: 0.2 }) });
    const batch = fill(limiter, { tenantId: alice, partition: 'batch', priority: 'high' });
    expect(batch).toHaveLength(10);
    expect(fill(limiter, { tenantId: alice, partition: 'interactive', priority: 'high' })).toHaveLength(6);
    for (const admission of batch.splice(0, 8)) admission.success();
    expect(limiter.inFlight).toBe(8);
    expect(fill(limiter, { tenantId: alice, partition: 'batch', priority: 'high' })).toHaveLength(2);
    batch.pop()!.success();
    expect(fill(limiter, { tenantId: alice, partition: 'who?', priority: 'high' })).toHaveLength(2);
  });

  it('does not let one tenant’s load shed what another may always do, whatever its priority', () => {
    const limiter = limiterOf(8);
    fill(limiter, { tenantId: alice, priority: 'high' });
    expect(fill(limiter, { tenantId: bob, priority: 'low' })).toHaveLength(3);
  });

  it('follows a limit that shrinks and grows', () => {
    const limit = new RecordingLimit(8);
    const limiter = limiterOf(limit);
    const request = { tenantId: alice, priority: 'high' as const };
    const admissions = fill(limiter, request);
    limit.limit = 4;
    for (const admission of admissions.splice(0, 4)) admission.success();
    expect(limiter.tryAcquire(request)).toBeUndefined();
    admissions.pop()!.success();
    expect(fill(limiter, request)).toHaveLength(1);
    limit.limit = 6;
    expect(fill(limiter, request)).toHaveLength(2);
  });

  it('in any order of requests, keeps guarantees, lends only what is idle, and is never at more than twice its limit', () =>
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            partition: fc.constantFrom('a', 'b', 'rest'),
            priority: fc.constantFrom<Priority>(...PRIORITIES),
            finish: fc.option(fc.nat(20)),
            limit: fc.option(fc.integer({ min: 1, max: 20 }), { freq: 10 }),
          }),
        ),
        (steps) => {
          const adaptive = new RecordingLimit(10);
          const shares = new FixedShares({ a: 0.5, b: 0.3 });
          const limiter = limiterOf(adaptive, { partitions: shares });
          const open: { partition: string; admission: Admission }[] = [];
          for (const { partition, priority, finish, limit } of steps) {
            if (limit !== null) adaptive.limit = limit;
            if (finish !== null) open.splice(finish, 1)[0]?.admission.success();
            const own = open.filter((each) => each.partition === partition).length;
            const before = open.length;
            const admission = limiter.tryAcquire({ tenantId: alice, partition, priority });
            if (admission) open.push({ partition, admission });
            const guarantee = shares.guaranteeOf(partition, adaptive.limit);
            if (priority === 'high' && before < 2 * adaptive.limit && own < guarantee) {
              expect(admission).toBeDefined();
            }
            if (before >= adaptive.limit && own >= guarantee) expect(admission).toBeUndefined();
            if (before >= 2 * adaptive.limit) expect(admission).toBeUndefined();
            expect(limiter.inFlight).toBe(open.length);
          }
        },
      ),
      { numRuns: 500 },
    ));

  it('publishes what it decides', () => {
    const limiter = limiterOf(1);
    const events: LimitEvent[] = [];
    const leave = channels.limit.subscribe((event) => events.push(event));
    const admission = limiter.acquire({ tenantId: alice });
    limiter.tryAcquire({ tenantId: alice });
    admission.ignored();
    leave();
    expect(events).toEqual(
      ['admitted', 'limited', 'released'].map((outcome) => ({
        tenantId: alice,
        limiter: 'answers',
        kind: 'permit',
        outcome,
      })),
    );
  });

  it.each([
    [{ name: '' }],
    [{ admitBelow: { high: 1.1, medium: 1, low: 1 } }],
    [{ admitBelow: { high: 0.8, medium: 0.9, low: 0.7 } }],
    [{ admitBelow: { high: 1, medium: 1, low: 0 } }],
  ])('refuses the settings %j', (settings) => {
    expect(() => limiterOf(1, settings)).toThrow(
      expect.objectContaining({ code: 'ADAPTIVE_LIMIT_SETTINGS_INVALID' }),
    );
  });

  it('is what a semaphore of many processes can follow, too', async () => {
    let usage = 0.5;
    const limit = new CpuLimit({ read: () => usage }, clock, { base: 4 });
    const semaphores = new Semaphores(new MemoryPermitStore(clock), clock);
    const semaphore = semaphores.semaphore({ name: 's', scope: 'shared', permits: () => limit.limit });
    const held = async () => {
      const permits = [];
      for (;;) {
        const permit = await semaphore.tryAcquire({ tenantId: alice });
        if (!permit) break;
        permits.push(permit);
      }
      for (const permit of permits) await permit.release();
      return permits.length;
    };
    expect(await held()).toBe(4);
    usage = 0.9;
    await clock.advance(5000);
    expect(await held()).toBe(2);
    usage = 0.1;
    await clock.advance(10_000);
    expect(await held()).toBe(4);
    limit.close();
    await semaphores.close();
  });
});
