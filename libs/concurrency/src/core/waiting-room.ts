import type { Clock, ClockTimer } from '@sparkle/contracts';
import { PermitQueueFullError, PermitStoreError, PermitTimeoutError } from '../errors.js';
import type { AcquireReply, Grant, PermitPool, PermitStore } from '../ports/permit-store.port.js';
import { Deadline } from './deadline-queue.js';
import type { PermitOrder } from './permit-order.js';

/** A grant and the monotonic time before which its lease cannot end. */
export interface TimedGrant {
  readonly grant: Grant;
  readonly heldUntilMs: number;
}

/** A caller that wants a permit. It is due when its timeout is over. */
export class Waiter extends Deadline {
  resolve!: (granted: TimedGrant) => void;
  reject!: (error: unknown) => void;
  /** Resolves once the caller holds a permit. */
  readonly granted = new Promise<TimedGrant>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
  /** Whether the store is being asked, has queued it, or neither any more. */
  state: 'asking' | 'queued' | 'gone' = 'asking';

  constructor(
    private readonly room: WaitingRoom,
    readonly permitId: string,
    readonly order: PermitOrder,
    readonly dueAtMs: number,
  ) {
    super();
  }

  onDue(): void {
    const { semaphore, timeoutMs } = this.order;
    this.room.leave(this, new PermitTimeoutError(semaphore, timeoutMs));
  }
}

/** Part of the lease between two signs of life of a process that waits; the store misses it after a half. */
const HEARTBEAT = 0.2;

/**
 * The callers of this process that want permits of one pool. Grants arrive by message; one timer for all of
 * them keeps the process alive in the store's eyes, wakes up when the next lease ends, so that a crashed
 * holder's permit is handed on at once, and finds out what lost messages have hidden.
 */
export class WaitingRoom {
  /** Those whom the store has queued. */
  private readonly waiters = new Map<string, Waiter>();
  /** How many questions the store has not answered. */
  private asking = 0;
  /** Grant messages that may have overtaken an answer. */
  private readonly early = new Map<string, Grant>();
  private timer: ClockTimer | undefined;
  private timerAtMs = Number.POSITIVE_INFINITY;
  /** A lower bound of monotonic minus store time: turns an expiry into a deadline that is never too late. */
  private offsetMs = 0;
  private closedBecause: unknown;

  /** @param pool the latest definition wins: processes may be configured differently while a change rolls out */
  constructor(
    private readonly store: PermitStore,
    private readonly clock: Clock,
    public pool: PermitPool,
  ) {}

  /** How many wait in the store's queue. */
  get size(): number {
    return this.waiters.size;
  }

  /** Whether nobody is here. */
  get idle(): boolean {
    return this.waiters.size === 0 && this.asking === 0;
  }

  /**
   * Asks for a permit, or a place in the queue.
   * @param listening settles once grant messages can arrive; `undefined` when they can
   */
  enter(
    permitId: string,
    order: PermitOrder,
    dueAtMs: number,
    listening: Promise<unknown> | undefined,
  ): Waiter {
    const waiter = new Waiter(this, permitId, order, dueAtMs);
    if (!listening) {
      this.ask(waiter);
      return waiter;
    }
    this.asking += 1;
    listening.then(
      () => {
        this.asking -= 1;
        if (waiter.state !== 'gone') this.ask(waiter);
      },
      (error: unknown) => {
        this.asking -= 1;
        this.fail(waiter, new PermitStoreError(error));
      },
    );
    return waiter;
  }

  /** Rejects a waiter at once and takes it out of the store's queue. Does nothing when it was served. */
  leave(waiter: Waiter, reason: unknown): void {
    const { state } = waiter;
    this.fail(waiter, reason);
    // Before the store has answered, `takeReply` does this: a release must not overtake its acquire.
    if (state === 'queued') this.withdraw(waiter.permitId);
  }

  /** Rejects everybody, those who are still being asked for as soon as the store has answered. */
  close(reason: unknown): void {
    this.closedBecause = reason;
    for (const waiter of [...this.waiters.values()]) this.leave(waiter, reason);
  }

  /** Takes a grant message. One for nobody is late: its waiter was served by a sweep, or has withdrawn. */
  deliver(grant: Grant): void {
    const waiter = this.waiters.get(grant.permitId);
    if (waiter) this.serve(waiter, grant);
    else if (this.asking > 0) this.early.set(grant.permitId, grant);
  }

  /** Asks the store where the waiters stand. Never rejects. */
  async sweep(): Promise<void> {
    this.cancelTimer();
    if (this.waiters.size === 0) return;
    const sentAtMs = this.clock.monotonic();
    try {
      const reply = await this.store.sweep(this.pool, [...this.waiters.keys()]);
      this.offsetMs = sentAtMs - reply.nowMs;
      for (const grant of reply.grants) {
        const waiter = this.waiters.get(grant.permitId);
        if (waiter) this.serve(waiter, grant);
      }
      for (const permitId of reply.missing) {
        const waiter = this.waiters.get(permitId);
        if (waiter) this.ask(waiter);
      }
      this.planSweep(reply.nextExpiryMs);
    } catch {
      this.planSweep(undefined);
    }
  }

  private ask(waiter: Waiter): void {
    this.forget(waiter);
    waiter.state = 'asking';
    this.asking += 1;
    const { permitId, order } = waiter;
    const { tenantId, maxWaiting } = order;
    const sentAtMs = this.clock.monotonic();
    this.store.acquire({ pool: this.pool, tenantId, permitId, wait: true, maxWaiting }).then(
      (reply) => {
        this.takeReply(waiter, reply, sentAtMs);
        this.answered();
      },
      (error: unknown) => {
        // The command may have reached the store all the same.
        this.withdraw(permitId);
        this.fail(waiter, new PermitStoreError(error));
        this.answered();
      },
    );
  }

  private answered(): void {
    this.asking -= 1;
    if (this.asking === 0 && this.early.size > 0) this.early.clear();
  }

  private takeReply(waiter: Waiter, reply: AcquireReply, sentAtMs: number): void {
    if (this.closedBecause !== undefined) this.fail(waiter, this.closedBecause);
    if (waiter.state === 'gone') {
      this.withdraw(waiter.permitId);
      return;
    }
    if (reply.outcome === 'full' || reply.outcome === 'busy') {
      const { semaphore, maxWaiting } = waiter.order;
      this.fail(waiter, new PermitQueueFullError(semaphore, maxWaiting));
      return;
    }
    this.offsetMs = sentAtMs - reply.nowMs;
    if (reply.outcome === 'granted') {
      this.serve(waiter, reply.grant);
      return;
    }
    waiter.state = 'queued';
    this.waiters.set(waiter.permitId, waiter);
    const early = this.early.get(waiter.permitId);
    if (early) this.serve(waiter, early);
    else this.planSweep(reply.nextExpiryMs);
  }

  private serve(waiter: Waiter, grant: Grant): void {
    const heldUntilMs = grant.expiresAtMs + this.offsetMs;
    if (heldUntilMs - this.clock.monotonic() < this.pool.leaseMs / 2) {
      void this.reapply(waiter, grant);
      return;
    }
    this.forget(waiter);
    waiter.state = 'gone';
    waiter.resolve({ grant, heldUntilMs });
  }

  /** A grant that arrived when much of its lease was over is secured by a renewal first, or asked for anew. */
  private async reapply(waiter: Waiter, grant: Grant): Promise<void> {
    this.forget(waiter);
    waiter.state = 'asking';
    this.early.delete(grant.permitId);
    this.asking += 1;
    try {
      await this.store.renew(this.pool, grant);
      if (waiter.state === 'asking') this.ask(waiter);
      else this.withdraw(grant.permitId);
    } catch (error) {
      this.withdraw(grant.permitId);
      this.fail(waiter, new PermitStoreError(error));
    }
    this.answered();
  }

  private fail(waiter: Waiter, error: unknown): void {
    if (waiter.state === 'gone') return;
    this.forget(waiter);
    waiter.state = 'gone';
    waiter.reject(error);
  }

  private forget(waiter: Waiter): void {
    if (waiter.state !== 'queued') return;
    this.waiters.delete(waiter.permitId);
    if (this.waiters.size === 0) this.cancelTimer();
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
