import { channels, type LimitEvent, parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryPermitStore } from '../adapters/memory/memory-permit.store.js';
import type { Grant, PermitStore } from '../ports/permit-store.port.js';
import { Semaphores } from './semaphores.js';

const leaseMs = 1000;
const settings = { leaseMs, timeoutMs: 60_000, maxWaiting: 10 };
const tenantId = parseTenantId('acme');
const down = new Error('the store is down');

/** A store with the failures of a network. */
class FaultyStore implements PermitStore {
  readonly ownerId: string;
  readonly calls: string[] = [];
  failing = new Set<string>();
  losesMessages = false;

  constructor(private readonly store: PermitStore) {
    this.ownerId = store.ownerId;
  }

  private async call<T>(name: string, work: () => Promise<T>): Promise<T> {
    this.calls.push(name);
    if (this.failing.has(name)) throw down;
    return work();
  }

  acquire: PermitStore['acquire'] = (request) => this.call('acquire', () => this.store.acquire(request));
  renew: PermitStore['renew'] = (pool, id) => this.call('renew', () => this.store.renew(pool, id));
  release: PermitStore['release'] = (pool, id) => this.call('release', () => this.store.release(pool, id));
  sweep: PermitStore['sweep'] = (pool, ids) => this.call('sweep', () => this.store.sweep(pool, ids));
  listen: PermitStore['listen'] = (onGrant, onGap) =>
    this.call('listen', () =>
      this.store.listen((poolId, grant) => {
        if (!this.losesMessages) onGrant(poolId, grant);
      }, onGap),
    );
}

describe('the lease of a permit', () => {
  let clock: TestClock;
  let store: MemoryPermitStore;
  let faulty: FaultyStore;
  let semaphores: Semaphores;

  beforeEach(() => {
    clock = new TestClock();
    store = new MemoryPermitStore(clock);
    faulty = new FaultyStore(store);
    semaphores = new Semaphores(faulty, clock, settings);
  });

  /** Takes the permit the way a process that then crashes does: nobody renews or releases it. */
  const crashWhileHolding = () =>
    store.acquire({
      pool: { id: '{acme}:permit:s', permits: 1, leaseMs },
      tenantId,
      permitId: 'crashed:1',
      wait: false,
      maxWaiting: 10,
    });
  const semaphore = () => semaphores.semaphore({ name: 's', permits: 1 });

  it('is renewed at half its length for as long as the permit is held', async () => {
    const permit = await semaphore().acquire({ tenantId });
    await clock.advance(499);
    expect(faulty.calls).not.toContain('renew');
    await clock.advance(1);
    expect(faulty.calls.filter((call) => call === 'renew')).toHaveLength(1);
    await clock.advance(20 * leaseMs);
    expect(permit.held).toBe(true);
    expect(permit.signal.aborted).toBe(false);
    await permit.release();
    expect(clock.pendingTimers).toBe(0);
  });

  it('ends by itself when the holder has crashed, and the next waiter has it within one lease', async () => {
    await crashWhileHolding();
    const waiting = semaphore().acquire({ tenantId });
    let granted = false;
    void waiting.then(() => {
      granted = true;
    });
    await clock.advance(leaseMs - 1);
    expect(granted).toBe(false);
    await clock.advance(1);
    expect(granted).toBe(true);
    await (await waiting).release();
  });

  it('survives renewals that fail for a while', async () => {
    const permit = await semaphore().acquire({ tenantId });
    faulty.failing.add('renew');
    await clock.advance(800);
    expect(permit.held).toBe(true);
    faulty.failing.clear();
    await clock.advance(5 * leaseMs);
    expect(permit.held).toBe(true);
    await permit.release();
  });

  it('aborts its holder before it ends when it cannot be renewed', async () => {
    const permit = await semaphore().acquire({ tenantId });
    const events: LimitEvent[] = [];
    const stop = channels.limit.subscribe((event) => events.push(event));
    faulty.failing.add('renew');
    await clock.advance(899);
    expect(permit.signal.aborted).toBe(false);
    permit.assertHeld();
    await clock.advance(1);
    expect(permit.signal.aborted).toBe(true);
    expect(permit.signal.reason).toMatchObject({ code: 'PERMIT_LOST', cause: down });
    expect(() => permit.assertHeld()).toThrow(expect.objectContaining({ code: 'PERMIT_LOST' }));
    expect(
      await new Semaphores(store, clock, settings)
        .semaphore({ name: 's', permits: 1 })
        .tryAcquire({ tenantId }),
    ).toBeUndefined();
    stop();
    expect(events.map(({ outcome }) => outcome)).toContain('lost');
  });

  it('is known to be over after a pause that no timer survived', async () => {
    const permit = await semaphore().acquire({ tenantId });
    const frozen = new TestClock();
    Object.defineProperty(frozen, 'monotonic', { value: () => 900 });
    const paused = Object.create(permit, { clock: { value: frozen } }) as typeof permit;
    expect(() => paused.assertHeld()).toThrow(expect.objectContaining({ code: 'PERMIT_LOST' }));
  });

  it('aborts its holder at once when the store says that it is over', async () => {
    const permit = await semaphore().acquire({ tenantId });
    await store.release({ id: '{acme}:permit:s', permits: 1, leaseMs }, `${store.ownerId}:${idOf(permit)}`);
    await clock.advance(500);
    expect(permit.signal.aborted).toBe(true);
    expect(await permit.release()).toBe(false);
  });

  it('returns by itself when giving it back fails, which fails nobody', async () => {
    const permit = await semaphore().acquire({ tenantId });
    faulty.failing.add('release');
    expect(await permit.release()).toBe(false);
    faulty.failing.clear();
    const next = semaphore().acquire({ tenantId });
    await clock.advance(leaseMs);
    expect((await next).held).toBe(true);
    await (await next).release();
  });

  it('is granted although the message about it was lost', async () => {
    faulty.losesMessages = true;
    const first = await semaphore().acquire({ tenantId });
    const second = semaphore().acquire({ tenantId });
    await clock.advance(0);
    await first.release();
    await clock.advance(leaseMs);
    expect((await second).held).toBe(true);
    await (await second).release();
  });

  it('is waited for again when the store has forgotten the waiter', async () => {
    const first = await semaphore().acquire({ tenantId });
    const second = semaphore().acquire({ tenantId });
    await clock.advance(0);
    Reflect.get(store, 'pools').clear();
    await clock.advance(leaseMs);
    expect((await second).held).toBe(true);
    expect(first.held).toBe(false);
    await (await second).release();
  });

  it('is not waited for longer than the timeout, 60 s by default', async () => {
    await crashWhileHolding();
    const holder = await waitFor(semaphore().acquire({ tenantId }), leaseMs);
    const waiting = semaphore().acquire({ tenantId });
    const outcome = waiting.catch((error: unknown) => error);
    await clock.advance(59_999);
    expect(semaphores.waiting).toBe(1);
    await clock.advance(1);
    expect(await outcome).toMatchObject({ code: 'PERMIT_TIMEOUT', timeoutMs: 60_000 });
    expect(semaphores.waiting).toBe(0);
    await holder.release();
    const free = await semaphore().tryAcquire({ tenantId });
    expect(free?.held).toBe(true);
    await free!.release();
    expect(clock.pendingTimers).toBe(0);
  });

  it('fails clearly, and leaves nothing behind, when the store fails', async () => {
    for (const call of ['listen', 'acquire']) {
      faulty.failing.add(call);
      await expect(semaphore().acquire({ tenantId })).rejects.toMatchObject({
        code: 'PERMIT_STORE_FAILED',
        cause: down,
      });
      faulty.failing.clear();
    }
    const permit = await semaphore().acquire({ tenantId });
    await permit.release();
    expect(clock.pendingTimers).toBe(0);
  });

  it('is refused to everybody who waits when the process shuts down', async () => {
    const permit = await semaphore().acquire({ tenantId });
    const waiting = semaphore()
      .acquire({ tenantId })
      .catch((error: unknown) => error);
    await clock.advance(0);
    await semaphores.close();
    expect(await waiting).toMatchObject({ code: 'SEMAPHORE_CLOSED' });
    await expect(semaphore().acquire({ tenantId })).rejects.toMatchObject({ code: 'SEMAPHORE_CLOSED' });
    expect(permit.held).toBe(true);
    expect(await permit.release()).toBe(true);
  });

  async function waitFor<T>(promise: Promise<T>, ms: number): Promise<T> {
    await clock.advance(ms);
    return promise;
  }

  function idOf(permit: unknown): string {
    return (Reflect.get(permit as object, 'grant') as Grant).permitId.split(':')[1]!;
  }
});
