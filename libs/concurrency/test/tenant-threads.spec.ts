import { parseTenantId, SystemClock, type TenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StaticTenantPlans } from '../src/adapters/memory/static-tenant-plans.js';
import { PiscinaThreads } from '../src/adapters/piscina/piscina-threads.js';
import { TenantThreads } from '../src/core/tenant-threads.js';

const [alice, bob] = ['alice', 'bob'].map(parseTenantId) as [TenantId, TenantId];
const filename = new URL('./tenant-tasks.mjs', import.meta.url);
const plan = {
  qps: 1,
  burst: 1,
  permits: 1,
  threadShare: 2,
  tokenBudget: { tokens: 1, windowMs: 1 },
};

/** Lets the event loop go round until `condition` holds. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe('real threads of tenants', () => {
  let clock: TestClock;
  let threads: TenantThreads;

  beforeEach(() => {
    clock = new TestClock();
    const host = new PiscinaThreads({ resourceLimits: { maxOldGenerationSizeMb: 32 } });
    threads = new TenantThreads(host, new StaticTenantPlans(plan), clock, { maxThreads: 4 });
  });
  afterEach(async () => {
    const closing = threads.close(0);
    await clock.advance(0);
    await closing;
    expect(threads.stats()).toEqual({ threads: 0, busy: 0, idle: 0, queued: 0, tenants: 0 });
  });

  const run = (tenantId: TenantId, name: string, payload?: unknown, options = {}) =>
    threads.run(tenantId, { filename, name, payload }, options);

  it('copy payloads and results', async () => {
    const payload = { map: new Map([[1, new Date(0)]]), bytes: new Uint8Array([1, 2]) };
    const result = await run(alice, 'default', payload);
    expect(result).toEqual(payload);
    expect(result).not.toBe(payload);
  });

  it('never work for two tenants', async () => {
    const ids = async (tenantId: TenantId) =>
      new Set(await Promise.all(Array.from({ length: 20 }, () => run(tenantId, 'whereAmI'))));
    const [ofAlice, ofBob] = await Promise.all([ids(alice), ids(bob)]);
    expect([...ofAlice].filter((id) => ofBob.has(id))).toEqual([]);
    expect(Math.max(ofAlice.size, ofBob.size)).toBeLessThanOrEqual(plan.threadShare);
  });

  it('do not see the environment of the process', async () => {
    expect(await run(alice, 'environment')).toEqual({});
  });

  it('say what went wrong with a task in their own words, with a copy of its error as the cause', async () => {
    const error = await run(alice, 'fail', 'the tenant’s words').catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'TENANT_TASK_FAILED',
      message: 'The task "fail" failed in its thread.',
      cause: { name: 'TypeError', message: 'the tenant’s words' },
    });
    expect(await run(alice, 'double', { value: 4 })).toBe(8);
  });

  it.each([
    ['an export that does not exist', 'nothing', undefined, 'TENANT_TASK_FAILED'],
    ['a payload that cannot be cloned', 'double', () => 1, 'TENANT_TASK_INVALID'],
    ['a result that cannot be cloned', 'uncloneable', undefined, 'TENANT_THREAD_CRASHED'],
    ['a thrown value that cannot be cloned entirely', 'failUncloneable', undefined, 'TENANT_TASK_FAILED'],
  ])('refuse %s and go on', async (_what, name, payload, code) => {
    await expect(run(alice, name, payload)).rejects.toMatchObject({ code });
    expect(await run(alice, 'double', { value: 4 })).toBe(8);
  });

  it.each([
    ['exits', 'exit', 7, 'exit'],
    ['throws where nobody catches', 'crash', undefined, 'uncaught_exception'],
    ['rejects where nobody handles', 'reject', undefined, 'uncaught_exception'],
    ['fills its memory', 'hoard', undefined, 'out_of_memory'],
  ])(
    'die alone when a task %s: nobody else’s task is lost, nor the tenant’s next',
    async (_what, name, payload, reason) => {
      const others = Array.from({ length: 30 }, (_, value) => run(bob, 'double', { value }));
      const misdeeds = Promise.allSettled([run(alice, name, payload), run(alice, name, payload)]);
      const next = run(alice, 'double', { value: 21 });
      const rejection = { status: 'rejected', reason: { code: 'TENANT_THREAD_CRASHED', reason } };
      expect(await misdeeds).toMatchObject([rejection, rejection]);
      expect(await next).toBe(42);
      expect(await Promise.all(others)).toEqual(others.map((_, value) => value * 2));
    },
  );

  it('end with an endless loop in them at its timeout, and the tenant gets new ones', async () => {
    const begun = new SharedArrayBuffer(4);
    const endless = run(alice, 'spin', begun, { timeoutMs: 1000 }).catch((error: unknown) => error);
    const other = run(bob, 'double', { value: 1 });
    await until(() => Atomics.load(new Int32Array(begun), 0) === 1);
    await clock.advance(1000);
    expect(await endless).toMatchObject({ code: 'TENANT_TASK_TIMEOUT', started: true });
    expect(await other).toBe(2);
    expect(await run(alice, 'double', { value: 4 })).toBe(8);
    await until(() => threads.stats().busy === 0);
  });

  it('end when the caller aborts', async () => {
    const begun = new SharedArrayBuffer(4);
    const controller = new AbortController();
    const endless = run(alice, 'spin', begun, { signal: controller.signal });
    await until(() => Atomics.load(new Int32Array(begun), 0) === 1);
    controller.abort(new Error('the caller left'));
    await expect(endless).rejects.toThrow('the caller left');
    await until(() => threads.stats().threads === 0);
  });

  it('that cannot even start reject their tasks', async () => {
    const limits = { maxOldGenerationSizeMb: 1, maxYoungGenerationSizeMb: 1 };
    const tiny = new TenantThreads(
      new PiscinaThreads({ resourceLimits: limits }),
      new StaticTenantPlans(plan),
      new SystemClock(),
      { maxThreads: 1 },
    );
    await expect(tiny.run(alice, { filename, name: 'double' })).rejects.toMatchObject({
      code: 'TENANT_THREAD_CRASHED',
    });
    await tiny.close();
  });
});
