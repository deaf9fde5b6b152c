import { type Clock, channels, type LimitEvent, parseTenantId } from '@sparkle/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Permit } from '../core/permit.js';
import { type SemaphoreDefinition } from '../core/semaphore.js';
import { Semaphores } from '../core/semaphores.js';
import type { PermitStore } from '../ports/permit-store.port.js';

export interface PermitStoreSubject {
  readonly clock: Clock;
  /** Another process's view of the same permits. */
  openStore(): Promise<PermitStore>;
  close(): Promise<void>;
}

const a = parseTenantId('tenant-a');
const b = parseTenantId('tenant-b');
const c = parseTenantId('tenant-c');

/** What semaphores guarantee on every {@link PermitStore}. No lease ends meanwhile. */
export function semaphoreContract(adapter: string, open: () => Promise<PermitStoreSubject>): void {
  describe(`a semaphore on a ${adapter} store`, () => {
    let subject: PermitStoreSubject;
    let here: Semaphores;
    let there: Semaphores;
    let unique = 0;

    beforeAll(async () => {
      subject = await open();
      const settings = { leaseMs: 30_000, timeoutMs: 60_000, maxWaiting: 100 };
      here = new Semaphores(await subject.openStore(), subject.clock, settings);
      there = new Semaphores(await subject.openStore(), subject.clock, settings);
    });
    afterAll(async () => {
      await here?.close();
      await there?.close();
      await subject?.close();
    });

    const define = (definition: Partial<SemaphoreDefinition> = {}, semaphores = here) => {
      if (definition.name === undefined) unique += 1;
      return semaphores.semaphore({ name: `sem-${unique}`, permits: 1, ...definition });
    };
    /** Enqueues in a known order: each call reaches the store before the next one. */
    const enqueue = async (log: string[], label: string, acquire: Promise<Permit>) => {
      const done = acquire.then(async (permit) => {
        log.push(label);
        await permit.release();
        return permit;
      });
      await settled();
      return done;
    };
    const settled = async () => {
      // A round trip on the same connection: whatever was sent before has been executed.
      const probe = await define({ name: 'probe', permits: 1000 }).tryAcquire({ tenantId: a });
      await probe?.release();
    };

    it('grants as many permits as it has, in one process and across processes', async () => {
      const mine = define({ permits: 3 });
      const theirs = define({ permits: 3, name: mine.name }, there);
      const held = [
        await mine.tryAcquire({ tenantId: a }),
        await theirs.tryAcquire({ tenantId: a }),
        await mine.tryAcquire({ tenantId: a }),
      ];
      expect(held.every((permit) => permit?.held)).toBe(true);
      expect(await theirs.tryAcquire({ tenantId: a })).toBeUndefined();
      await held[0]!.release();
      const next = await theirs.tryAcquire({ tenantId: a });
      expect(next?.held).toBe(true);
      await Promise.all([...held, next].map((permit) => permit!.release()));
    });

    it('wakes a waiter in another process when a permit is given back', async () => {
      const mine = define();
      const theirs = define({ name: mine.name }, there);
      const first = await mine.acquire({ tenantId: a });
      const second = theirs.acquire({ tenantId: a });
      await settled();
      await first.release();
      const granted = await second;
      expect(granted.held).toBe(true);
      expect(granted.fencingToken).toBeGreaterThan(first.fencingToken);
      await granted.release();
    });

    it('serves waiters of one tenant in the order they came', async () => {
      const semaphore = define();
      const first = await semaphore.acquire({ tenantId: a });
      const log: string[] = [];
      const waiting: Promise<Permit>[] = [];
      for (const label of ['1', '2', '3', '4', '5']) {
        waiting.push(Promise.resolve(enqueue(log, label, semaphore.acquire({ tenantId: a }))));
        await settled();
      }
      await first.release();
      const permits = await Promise.all(waiting);
      expect(log).toEqual(['1', '2', '3', '4', '5']);
      const tokens = permits.map((permit) => permit.fencingToken);
      expect(tokens).toEqual([...tokens].sort((x, y) => x - y));
      expect(new Set(tokens).size).toBe(5);
    });

    it('lets tenants take turns on shared permits, however many of one wait', async () => {
      const semaphore = define({ scope: 'shared' });
      const first = await semaphore.acquire({ tenantId: a });
      const log: string[] = [];
      const waiting: Promise<unknown>[] = [];
      for (const tenantId of [a, a, a, a, b, b, c]) {
        waiting.push(enqueue(log, tenantId.slice(-1), semaphore.acquire({ tenantId })));
        await settled();
      }
      await first.release();
      await Promise.all(waiting);
      expect(log.slice(0, 3).sort()).toEqual(['a', 'b', 'c']);
      expect(log.slice(0, 5).filter((label) => label === 'b')).toHaveLength(2);
      expect(log.filter((label) => label === 'a')).toHaveLength(4);
    });

    it('gives every tenant permits of its own unless they are shared', async () => {
      const semaphore = define();
      const mine = await semaphore.tryAcquire({ tenantId: a });
      const theirs = await semaphore.tryAcquire({ tenantId: b });
      expect([mine?.held, theirs?.held]).toEqual([true, true]);
      await Promise.all([mine!.release(), theirs!.release()]);
    });

    it('gives every key permits of its own', async () => {
      const mutex = here.mutex({ name: `mutex-${unique}` });
      const one = await mutex.tryAcquire({ tenantId: a, key: 'document-1' });
      expect(await mutex.tryAcquire({ tenantId: a, key: 'document-1' })).toBeUndefined();
      const two = await mutex.tryAcquire({ tenantId: a, key: 'document-2' });
      expect(two?.held).toBe(true);
      await Promise.all([one!.release(), two!.release()]);
    });

    it('does not let a newcomer overtake those who wait', async () => {
      const semaphore = define();
      const first = await semaphore.acquire({ tenantId: a });
      const second = semaphore.acquire({ tenantId: a });
      await settled();
      await first.release();
      expect(await semaphore.tryAcquire({ tenantId: a })).toBeUndefined();
      await (await second).release();
    });

    it('takes a cancelled waiter out of the queue at once', async () => {
      const semaphore = define();
      const first = await semaphore.acquire({ tenantId: a });
      const controller = new AbortController();
      const cancelled = semaphore.acquire({ tenantId: a, signal: controller.signal });
      await settled();
      const third = semaphore.acquire({ tenantId: a });
      await settled();
      const reason = new Error('the client has left');
      controller.abort(reason);
      await expect(cancelled).rejects.toBe(reason);
      await first.release();
      await (await third).release();
      const free = await semaphore.tryAcquire({ tenantId: a });
      expect(free?.held).toBe(true);
      await free!.release();
    });

    it('rejects an acquire whose signal has already fired', async () => {
      const reason = new Error('never mind');
      const semaphore = define();
      await expect(semaphore.acquire({ tenantId: a, signal: AbortSignal.abort(reason) })).rejects.toBe(
        reason,
      );
      const free = await semaphore.tryAcquire({ tenantId: a });
      expect(free?.held).toBe(true);
      await free!.release();
    });

    it('refuses a waiter beyond the bound of the queue', async () => {
      const semaphore = define({ maxWaiting: 1 });
      const first = await semaphore.acquire({ tenantId: a });
      const second = semaphore.acquire({ tenantId: a });
      await settled();
      await expect(semaphore.acquire({ tenantId: a })).rejects.toMatchObject({ code: 'PERMIT_QUEUE_FULL' });
      await first.release();
      await (await second).release();
    });

    it('gives a permit back exactly once, however often it is released', async () => {
      const semaphore = define({ permits: 2 });
      const one = await semaphore.acquire({ tenantId: a });
      const two = await semaphore.acquire({ tenantId: a });
      expect(await Promise.all([one.release(), one.release()])).toEqual([true, true]);
      const three = await semaphore.tryAcquire({ tenantId: a });
      expect(three?.held).toBe(true);
      await one.release();
      expect(await semaphore.tryAcquire({ tenantId: a })).toBeUndefined();
      expect(one.held).toBe(false);
      expect(() => one.assertHeld()).toThrow(expect.objectContaining({ code: 'PERMIT_LOST' }));
      await Promise.all([two.release(), three!.release()]);
    });

    it('gives a permit back when the work fails', async () => {
      const semaphore = define();
      const failure = new Error('work failed');
      await expect(semaphore.withPermit(() => Promise.reject(failure), { tenantId: a })).rejects.toBe(
        failure,
      );
      expect(await semaphore.withPermit((permit) => permit.held, { tenantId: a })).toBe(true);
    });

    it('gives a permit back at the end of an "await using" block', async () => {
      const semaphore = define();
      {
        await using permit = await semaphore.acquire({ tenantId: a });
        permit.assertHeld();
        expect(await semaphore.tryAcquire({ tenantId: a })).toBeUndefined();
      }
      const free = await semaphore.tryAcquire({ tenantId: a });
      expect(free?.held).toBe(true);
      await free!.release();
    });

    it('holds never more than its permits under many racing callers of two processes', async () => {
      const mine = define({ permits: 3, scope: 'shared' });
      const theirs = define({ permits: 3, scope: 'shared', name: mine.name }, there);
      let holders = 0;
      let most = 0;
      const tokens: number[] = [];
      const work = async (index: number) => {
        const semaphore = index % 2 ? mine : theirs;
        await semaphore.withPermit(
          async (permit) => {
            holders += 1;
            most = Math.max(most, holders);
            tokens.push(permit.fencingToken);
            await new Promise((resolve) => setImmediate(resolve));
            holders -= 1;
          },
          { tenantId: [a, b, c][index % 3]! },
        );
      };
      await Promise.all(Array.from({ length: 60 }, (_, index) => work(index)));
      expect(most).toBeLessThanOrEqual(3);
      expect(new Set(tokens).size).toBe(60);
    });

    it('publishes what happened', async () => {
      const semaphore = define();
      const events: LimitEvent[] = [];
      const stop = channels.limit.subscribe((event) => {
        if (event.limiter === semaphore.name) events.push(event);
      });
      const permit = await semaphore.acquire({ tenantId: a });
      await semaphore.tryAcquire({ tenantId: a });
      await permit.release();
      stop();
      expect(events.map(({ kind, outcome, tenantId }) => [kind, outcome, tenantId])).toEqual([
        ['permit', 'admitted', a],
        ['permit', 'limited', a],
        ['permit', 'released', a],
      ]);
    });

    it('needs a tenant', async () => {
      await expect(define().acquire()).rejects.toMatchObject({ code: 'TENANT_MISSING' });
    });
  });
}
