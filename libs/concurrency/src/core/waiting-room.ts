import type { Clock, ClockTimer, TenantId } from '@sparkle/contracts';
import { PermitQueueFullError, PermitStoreError } from '../errors.js';
import type { Grant, PermitPool, PermitStore } from '../ports/permit-store.port.js';

/** A grant and the monotonic time before which its lease cannot end. */
export interface TimedGrant {
  readonly grant: Grant;
  readonly heldUntilMs: number;
}

interface Waiter {
  readonly tenantId: TenantId;
  readonly maxWaiting: number;
  readonly resolve: (granted: TimedGrant) => void;
  readonly reject: (error: unknown) => void;
  /** Set once the store has answered. */
  queued: boolean;
  /** A grant message that overtook the store's answer. */
  early: Grant | undefined;
}

/** Part of the lease between two signs of life of a process that waits; the store misses it after a half. */
const HEARTBEAT = 0.2;

/**
 * The callers of this process that wait for permits of one pool. Grants arrive by message; one timer for all
 * of them keeps the process alive in the store's eyes, wakes up when the next lease ends, so that a crashed
 * holder's permit is handed on at once, and finds out what lost messages have hidden.
 */
export class WaitingRoom {
  private readonly waiters = new Map<string, Waiter>();
  private timer: ClockTimer | undefined;
  private timerAtMs = Number.POSITIVE_INFINITY;
  /** A lower bound of monotonic minus store time: turns an expiry into a deadline that is never too late. */
  private offsetMs = 0;

  /**
   * @param pool the latest definition wins: processes may be configured differently while a change rolls out
   * @param onEmpty called when the last waiter has left
   */
  constructor(
    private readonly store: PermitStore,
    private readonly clock: Clock,
    private readonly semaphore: string,
    public pool: PermitPool,
    private readonly onEmpty: () => void,
  ) {}

  get size(): number {
    return this.waiters.size;
  }

  /**
   * Queues a caller; resolves when it holds a permit. {@link leave} rejects it.
   * @param listening settles once grant messages can arrive
   */
  enter(
    permitId: string,
    tenantId: TenantId,
    maxWaiting: number,
    listening: Promise<unknown>,
  ): Promise<TimedGrant> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { tenantId, maxWaiting, resolve, reject, queued: false, early: undefined };
      this.waiters.set(permitId, waiter);
      listening.then(
        () => {
          if (this.waiters.get(permitId) === waiter) void this.ask(permitId, waiter);
        },
        (error: unknown) => {
          if (this.waiters.get(permitId) === waiter) this.fail(permitId, waiter, new PermitStoreError(error));
        },
      );
    });
  }

  /** Rejects a waiter at once and takes it out of the store's queue. Does nothing when it was served. */
  leave(permitId: string, reason: unknown): void {
    const waiter = this.waiters.get(permitId);
    if (!waiter) return;
    this.remove(permitId);
    waiter.reject(reason);
    // Before the store has answered, `ask` does this: a release must not overtake its acquire.
    if (waiter.queued) this.withdraw(permitId);
  }

  leaveAll(reason: unknown): void {
    for (const permitId of [...this.waiters.keys()]) this.leave(permitId, reason);
  }

  /** Takes a grant message. One for nobody is late: its waiter was served by a sweep, or has withdrawn. */
  deliver(grant: Grant): void {
    const waiter = this.waiters.get(grant.permitId);
    if (!waiter) return;
    if (waiter.queued) this.serve(grant, this.offsetMs);
    else waiter.early = grant;
  }

  /** Asks the store where the waiters stand. Never rejects. */
  async sweep(): Promise<void> {
    this.cancelTimer();
    const waitingIds = [...this.waiters].filter(([, waiter]) => waiter.queued).map(([id]) => id);
    if (waitingIds.length === 0) return;
    const sentAtMs = this.clock.monotonic();
    try {
      const reply = await this.store.sweep(this.pool, waitingIds);
      this.offsetMs = sentAtMs - reply.nowMs;
      for (const grant of reply.grants) {
        if (this.waiters.has(grant.permitId)) this.serve(grant, this.offsetMs);
      }
      for (const permitId of reply.missing) {
        const waiter = this.waiters.get(permitId);
        if (waiter) void this.ask(permitId, waiter);
      }
      this.planSweep(reply.nextExpiryMs);
    } catch {
      this.planSweep(undefined);
    }
  }

  private async ask(permitId: string, waiter: Waiter): Promise<void> {
    waiter.queued = false;
    const { tenantId, maxWaiting } = waiter;
    const sentAtMs = this.clock.monotonic();
    try {
      const request = { pool: this.pool, tenantId, permitId, wait: true, maxWaiting };
      const reply = await this.store.acquire(request);
      if (this.waiters.get(permitId) !== waiter) {
        this.withdraw(permitId);
        return;
      }
      if (reply.outcome === 'full' || reply.outcome === 'busy') {
        this.fail(permitId, waiter, new PermitQueueFullError(this.semaphore, maxWaiting));
        return;
      }
      waiter.queued = true;
      this.offsetMs = sentAtMs - reply.nowMs;
      if (reply.outcome === 'granted') this.serve(reply.grant, this.offsetMs);
      else if (waiter.early) this.serve(waiter.early, this.offsetMs);
      else this.planSweep(reply.nextExpiryMs);
    } catch (error) {
      // The command may have reached the store all the same.
      this.withdraw(permitId);
      if (this.waiters.get(permitId) === waiter) this.fail(permitId, waiter, new PermitStoreError(error));
    }
  }

  private serve(grant: Grant, offsetMs: number): void {
    const waiter = this.waiters.get(grant.permitId);
    if (!waiter) return;
    const heldUntilMs = grant.expiresAtMs + offsetMs;
    if (heldUntilMs - this.clock.monotonic() < this.pool.leaseMs / 2) {
      void this.reapply(grant.permitId, waiter);
      return;
    }
    this.remove(grant.permitId);
    waiter.resolve({ grant, heldUntilMs });
  }

  /** A grant that arrived when much of its lease was over is secured by a renewal first, or asked for anew. */
  private async reapply(permitId: string, waiter: Waiter): Promise<void> {
    waiter.early = undefined;
    waiter.queued = false;
    try {
      await this.store.renew(this.pool, permitId);
    } catch (error) {
      this.withdraw(permitId);
      if (this.waiters.get(permitId) === waiter) this.fail(permitId, waiter, new PermitStoreError(error));
      return;
    }
    await this.ask(permitId, waiter);
  }

  private fail(permitId: string, waiter: Waiter, error: unknown): void {
    this.remove(permitId);
    waiter.reject(error);
  }

  private remove(permitId: string): void {
    this.waiters.delete(permitId);
    if (this.waiters.size > 0) return;
    this.cancelTimer();
    this.onEmpty();
  }

  /** Best effort: what the store does not hear of comes back by itself after one lease. */
  private withdraw(permitId: string): void {
    this.store.release(this.pool, permitId).catch(() => undefined);
  }

  private planSweep(nextExpiryMs: number | undefined): void {
    if (this.waiters.size === 0) return;
    const heartbeatMs = this.pool.leaseMs * HEARTBEAT;
    const delayMs = Math.max(1, Math.min(heartbeatMs, nextExpiryMs ?? heartbeatMs));
    const atMs = this.clock.monotonic() + delayMs;
    if (atMs >= this.timerAtMs) return;
    this.timer?.cancel();
    this.timerAtMs = atMs;
    this.timer = this.clock.schedule(delayMs, () => void this.sweep());
  }

  private cancelTimer(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.timerAtMs = Number.POSITIVE_INFINITY;
  }
}
