import { channels, type LimitEvent, parseTenantId, type TenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { StaticTenantPlans } from '../adapters/memory/static-tenant-plans.js';
import type { TenantPlan } from '../ports/tenant-plans.port.js';
import { ScriptedThreads } from '../testing/scripted-threads.js';
import { TenantThreads, type TenantThreadsSettings } from './tenant-threads.js';

const [alice, bob, carol] = ['alice', 'bob', 'carol'].map(parseTenantId) as [TenantId, TenantId, TenantId];
const plan = (threadShare: number): TenantPlan => ({
  qps: 1,
  burst: 1,
  permits: 1,
  threadShare,
  tokenBudget: { tokens: 1, windowMs: 1 },
});
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('the threads of tenants', () => {
  let host: ScriptedThreads;
  let clock: TestClock;
  let threads: TenantThreads;

  const make = (settings: TenantThreadsSettings, share = 4) => {
    threads = new TenantThreads(host, new StaticTenantPlans(plan(share)), clock, settings);
  };
  /** Asks for a task and lets it begin if it may; its outcome is in a property, or awaiting this would await that. */
  const ask = async (tenantId: TenantId, payload: unknown = tenantId, options = {}) => {
    const result = threads.run(tenantId, { filename: '/tasks.mjs', payload }, options);
    const outcome = result.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    await settled();
    return { outcome };
  };
  const outcomesOf = (asked: { outcome: Promise<unknown> }[]) =>
    Promise.all(asked.map(({ outcome }) => outcome));
  const flood = async (tenantId: TenantId, count: number) => {
    for (let index = 0; index < count; index += 1) {
      threads.run(tenantId, { filename: '/tasks.mjs', payload: tenantId }).catch(() => undefined);
    }
    await settled();
  };
  const payloads = () => host.begun.map(({ task }) => task.payload);
  const finishOldest = async () => {
    const [oldest] = host.running;
    oldest!.finish({ kind: 'completed', value: oldest!.task.payload });
    await settled();
  };

  beforeEach(() => {
    host = new ScriptedThreads();
    clock = new TestClock();
  });

  it('run a tenant’s tasks in order, at most its share at once', async () => {
    make({ maxThreads: 8 }, 2);
    const asked = [];
    for (let index = 0; index < 5; index += 1) asked.push(await ask(alice, index));
    expect(payloads()).toEqual([0, 1]);
    while (host.running.size > 0) await finishOldest();
    expect(payloads()).toEqual([0, 1, 2, 3, 4]);
    expect(await outcomesOf(asked)).toEqual([0, 1, 2, 3, 4].map((value) => ({ value })));
    expect(host.started).toBe(2);
  });

  it('give a newcomer the reserved one at once while another has 1000 tasks waiting', async () => {
    make({ maxThreads: 4 });
    await flood(alice, 1000);
    expect(host.running.size).toBe(3);
    await ask(bob);
    expect(payloads()).toEqual([alice, alice, alice, bob]);
  });

  it('serve a newcomer before any further task of those who have one, when all are busy', async () => {
    make({ maxThreads: 4 });
    await flood(alice, 1000);
    await flood(bob, 1000);
    expect(host.running.size).toBe(4);
    const before = host.begun.length;
    const newcomer = await ask(carol);
    expect(host.begun).toHaveLength(before);
    await finishOldest();
    expect(payloads().slice(before)).toEqual([carol]);
    while (host.running.size > 0 && host.begun.length < before + 100) await finishOldest();
    expect(await newcomer.outcome).toEqual({ value: carol });
  });

  it('take turns, whatever one of them has waiting', async () => {
    make({ maxThreads: 1 });
    await flood(alice, 50);
    await flood(bob, 3);
    await flood(carol, 3);
    for (let index = 0; index < 9; index += 1) await finishOldest();
    expect(payloads().slice(0, 9)).toEqual([alice, bob, carol, alice, bob, carol, alice, bob, carol]);
  });

  it('never are more than there may be, those that are ending included', async () => {
    make({ maxThreads: 2 });
    host.lingering = true;
    await ask(alice);
    await finishOldest();
    await ask(bob);
    await finishOldest();
    expect(threads.stats()).toMatchObject({ threads: 2, idle: 2 });
    await ask(carol);
    expect(payloads()).toEqual([alice, bob]);
    host.letGo();
    await settled();
    expect(payloads()).toEqual([alice, bob, carol]);
    expect(host.mostExisting).toBe(2);
  });

  it('make room for others by ending the one that has been idle for longest, further ones first', async () => {
    make({ maxThreads: 3, reservedThreads: 0 }, 2);
    await flood(alice, 2);
    await ask(bob);
    await finishOldest();
    await finishOldest();
    await finishOldest();
    await ask(carol);
    expect(host.existing).toBe(3);
    await ask(alice);
    await ask(bob);
    expect(host.begun.slice(-2).map(({ thread }) => thread)).toEqual([1, 3]);
  });

  it('are not taken from a tenant that pauses for a moment to be another’s further ones', async () => {
    make({ maxThreads: 2, reservedThreads: 0, warmMs: 500 });
    await ask(bob);
    await finishOldest();
    await flood(alice, 1000);
    expect(payloads()).toEqual([bob, alice]);
    await clock.advance(400);
    await ask(bob);
    expect(host.begun.at(-1)).toMatchObject({ thread: 1 });
    host.running.forEach((task) => {
      if (task.thread === 1) task.finish({ kind: 'completed', value: 1 });
    });
    await clock.advance(500);
    await finishOldest();
    expect(host.begun.slice(-2).map(({ task, place }) => [task.payload, place])).toEqual([
      [alice, 'first'],
      [alice, 'further'],
    ]);
  });

  it('go back from a flooder to those who were there lately, who then keep theirs', async () => {
    make({ maxThreads: 4 });
    await flood(alice, 1000);
    const finishOthers = () =>
      host.running.forEach((task) => {
        if (task.task.payload !== alice) task.finish({ kind: 'completed', value: 1 });
      });
    const starts = [];
    for (let round = 0; round < 6; round += 1) {
      for (const tenant of [bob, carol]) {
        await ask(tenant);
        expect(payloads().at(-1)).toBe(tenant);
        finishOthers();
        await finishOldest();
      }
      starts.push(host.started);
    }
    expect(starts.slice(1)).toEqual(Array(5).fill(starts[1]));
    expect([...host.running].map(({ place }) => place)).toEqual(['first']);
  });

  it('are taken at once to be the first of a tenant', async () => {
    make({ maxThreads: 1 });
    await ask(bob);
    await finishOldest();
    await ask(alice);
    expect(payloads()).toEqual([bob, alice]);
  });

  it('end when they have been idle for a while', async () => {
    make({ maxThreads: 2, idleMs: 500 });
    await ask(alice);
    await finishOldest();
    await clock.advance(499);
    expect(host.existing).toBe(1);
    await clock.advance(1);
    expect(host.existing).toBe(0);
    expect(threads.stats()).toEqual({ threads: 0, busy: 0, idle: 0, queued: 0, tenants: 0 });
  });

  it('use a first one before further ones', async () => {
    make({ maxThreads: 4 });
    await flood(alice, 3);
    expect([...host.running].map(({ place }) => place)).toEqual(['first', 'further', 'further']);
    while (host.running.size > 0) await finishOldest();
    await ask(alice);
    expect(host.begun.at(-1)?.place).toBe('first');
  });

  it('get a new first one when it has crashed, although a further one is idle', async () => {
    make({ maxThreads: 4 });
    await flood(alice, 2);
    const [first, further] = [...host.running];
    further!.finish({ kind: 'completed', value: 1 });
    first!.finish({ kind: 'crashed', reason: 'exit', error: undefined });
    await settled();
    await ask(alice);
    expect(host.begun.at(-1)).toMatchObject({ place: 'first', thread: 3 });
  });

  it('refuse tasks beyond the bound of a tenant’s queue, and no other tenant’s', async () => {
    make({ maxThreads: 2, maxQueued: 3 });
    await flood(alice, 4);
    const refused = await ask(alice);
    expect(await refused.outcome).toMatchObject({ error: { code: 'TENANT_QUEUE_FULL', maxQueued: 3 } });
    await ask(bob);
    expect(payloads()).toEqual([alice, bob]);
  });

  it.each([
    ['throws', { kind: 'failed', error: new Error('secret') }, 'TENANT_TASK_FAILED', 1],
    ['cannot be sent', { kind: 'uncloneable', error: new Error('secret') }, 'TENANT_TASK_INVALID', 1],
    [
      'kills its thread',
      { kind: 'crashed', reason: 'out_of_memory', error: new Error('secret') },
      'TENANT_THREAD_CRASHED',
      2,
    ],
  ] as const)(
    'reject a task that %s, without its words, and go on',
    async (_what, outcome, code, started) => {
      make({ maxThreads: 2 });
      const [failing, next] = [await ask(alice, 1), await ask(alice, 2)];
      const [running] = host.running;
      running!.finish(outcome);
      const { error } = (await failing.outcome) as { error: Error };
      expect(error).toMatchObject({ code, cause: outcome.error });
      expect(error.message).not.toContain('secret');
      await settled();
      await finishOldest();
      expect(await next.outcome).toEqual({ value: 2 });
      expect(host.started).toBe(started);
    },
  );

  it('stop a task that is not done in time, and only then begin the next', async () => {
    make({ maxThreads: 1, timeoutMs: 1000 });
    host.lingering = true;
    const [first, second] = [await ask(alice, 1), await ask(alice, 2, { timeoutMs: 5000 })];
    await clock.advance(1000);
    expect(await first.outcome).toMatchObject({ error: { code: 'TENANT_TASK_TIMEOUT', started: true } });
    expect(payloads()).toEqual([1]);
    host.letGo();
    await settled();
    expect(payloads()).toEqual([1, 2]);
    await finishOldest();
    expect(await second.outcome).toEqual({ value: 2 });
    expect(clock.pendingTimers).toBe(1);
  });

  it('take a task that waits for too long, or is aborted, out of the queue', async () => {
    make({ maxThreads: 1 });
    await ask(alice, 1);
    const late = await ask(bob, 2, { timeoutMs: 10 });
    const controller = new AbortController();
    const aborted = await ask(bob, 3, { signal: controller.signal });
    controller.abort(new Error('gone'));
    expect(await aborted.outcome).toMatchObject({ error: { message: 'gone' } });
    await clock.advance(10);
    expect(await late.outcome).toMatchObject({ error: { code: 'TENANT_TASK_TIMEOUT', started: false } });
    expect(threads.stats()).toMatchObject({ queued: 0, tenants: 1 });
    await finishOldest();
    expect(payloads()).toEqual([1]);
  });

  it('do not begin a task that is aborted while its thread’s place is vacated', async () => {
    make({ maxThreads: 1 });
    host.lingering = true;
    await ask(alice);
    await finishOldest();
    const controller = new AbortController();
    const aborted = await ask(bob, 2, { signal: controller.signal });
    controller.abort(new Error('gone'));
    expect(await aborted.outcome).toMatchObject({ error: { message: 'gone' } });
    host.letGo();
    await settled();
    expect(payloads()).toEqual([alice]);
    expect(threads.stats()).toEqual({ threads: 0, busy: 0, idle: 0, queued: 0, tenants: 0 });
  });

  it.each([
    ['tasks.mjs', 1000],
    ['https://example.org/tasks.mjs', 1000],
    ['/tasks.mjs', 0],
    ['/tasks.mjs', Number.NaN],
    ['/tasks.mjs', 2 ** 31],
  ])('refuse a module like %s with a timeout of %d ms', async (filename, timeoutMs) => {
    make({ maxThreads: 1 });
    await expect(threads.run(alice, { filename }, { timeoutMs })).rejects.toMatchObject({
      code: 'TENANT_TASK_INVALID',
    });
    expect(threads.stats().tenants).toBe(0);
  });

  it.each([
    { maxThreads: 0 },
    { maxThreads: 1.5 },
    { maxThreads: 2, reservedThreads: 2 },
    { maxThreads: 2, maxQueued: 0 },
    { maxThreads: 2, timeoutMs: 0 },
    { maxThreads: 2, idleMs: Number.NaN },
  ])('refuse the settings %j', (settings) => {
    expect(() => make(settings)).toThrow(
      expect.objectContaining({ code: 'TENANT_THREADS_SETTINGS_INVALID' }),
    );
  });

  it('refuse a tenant without a plan', async () => {
    threads = new TenantThreads(host, new StaticTenantPlans(undefined, {}), clock, { maxThreads: 1 });
    await expect(threads.run(alice, { filename: '/tasks.mjs' })).rejects.toMatchObject({
      code: 'TENANT_PLAN_MISSING',
    });
  });

  it('finish what they have accepted before they close, and accept nothing more', async () => {
    make({ maxThreads: 1 });
    const asked = [await ask(alice, 1), await ask(bob, 2)];
    let closed = false;
    const closing = threads.close().then(() => {
      closed = true;
    });
    const refused = await ask(carol);
    expect(await refused.outcome).toMatchObject({ error: { code: 'TENANT_THREADS_CLOSED' } });
    await finishOldest();
    expect(closed).toBe(false);
    await finishOldest();
    await closing;
    expect(await outcomesOf(asked)).toEqual([{ value: 1 }, { value: 2 }]);
    expect(host.existing).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it('stop what is not done within the grace of a close', async () => {
    make({ maxThreads: 1 });
    const asked = [await ask(alice, 1), await ask(bob, 2)];
    const closing = threads.close(100);
    await clock.advance(100);
    await closing;
    expect(await outcomesOf(asked)).toMatchObject([
      { error: { code: 'TENANT_THREADS_CLOSED' } },
      { error: { code: 'TENANT_THREADS_CLOSED' } },
    ]);
    expect(host.existing).toBe(0);
  });

  it('publish what becomes of tasks', async () => {
    make({ maxThreads: 1, maxQueued: 1 });
    const events: LimitEvent[] = [];
    const leave = channels.limit.subscribe((event) => events.push(event));
    await ask(alice, 1);
    await ask(bob, 2, { timeoutMs: 10 });
    await ask(bob, 3);
    await clock.advance(10);
    await finishOldest();
    await ask(alice, 4);
    [...host.running][0]!.finish({ kind: 'crashed', reason: 'exit', error: undefined });
    await settled();
    leave();
    expect(events.map(({ tenantId, outcome }) => `${tenantId} ${outcome}`)).toEqual([
      'alice admitted',
      'bob limited',
      'bob timeout',
      'alice released',
      'alice admitted',
      'alice lost',
    ]);
    expect(events[0]).toMatchObject({ limiter: 'threads', kind: 'permit', waitMs: 0 });
  });
});
