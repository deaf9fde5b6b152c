import { type Clock, type ClockTimer, channels, type TenantId } from '@sparkle/contracts';
import { PermitLostError } from '../errors.js';
import type { Grant, PermitPool, PermitStore } from '../ports/permit-store.port.js';

/** A held permit: a lease that renews itself until it is released or lost. */
export interface Permit extends AsyncDisposable {
  readonly tenantId: TenantId;
  /**
   * Strictly greater than that of every earlier holder. Hand it to whatever the permit protects and let that
   * refuse smaller ones: only this makes a holder that was paused for longer than its lease harmless.
   */
  readonly fencingToken: number;
  /** Aborts with a {@link PermitLostError} before the lease ends, when it could not be renewed. */
  readonly signal: AbortSignal;
  /** False once released or lost. */
  readonly held: boolean;
  /** @throws PermitLostError once the permit is released or lost, by the monotonic clock. */
  assertHeld(): void;
  /**
   * Gives the permit back, once however often it is called. Never rejects. Resolves to `false` when nothing
   * was given back: the lease was over, or the store could not be told and takes it back after the lease.
   */
  release(): Promise<boolean>;
}

/** Part of the lease by whose length a holder stops before others may start. */
const GUARD = 0.1;
/** Part of the lease after which a failed renewal is tried again. */
const RETRY = 0.08;

export class HeldPermit implements Permit {
  readonly fencingToken: number;
  private readonly permitId: string;
  private readonly controller = new AbortController();
  private state: 'held' | 'lost' | 'released' = 'held';
  private renewal: ClockTimer | undefined;
  private guard: ClockTimer | undefined;
  private releasing: Promise<boolean> | undefined;
  private lastFailure: unknown;

  /**
   * @param heldUntilMs monotonic time before which the lease cannot end, whatever the messages' delays.
   */
  constructor(
    private readonly store: PermitStore,
    private readonly clock: Clock,
    private readonly pool: PermitPool,
    private readonly semaphore: string,
    readonly tenantId: TenantId,
    grant: Grant,
    private heldUntilMs: number,
  ) {
    this.fencingToken = grant.fencingToken;
    this.permitId = grant.permitId;
    this.scheduleGuard();
    this.scheduleRenewal(heldUntilMs - pool.leaseMs / 2);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  get held(): boolean {
    if (this.state === 'held' && this.clock.monotonic() >= this.guardAtMs) this.lose();
    return this.state === 'held';
  }

  assertHeld(): void {
    if (!this.held) throw new PermitLostError(this.semaphore);
  }

  release(): Promise<boolean> {
    this.releasing ??= this.giveBack();
    return this.releasing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  private get guardAtMs(): number {
    return this.heldUntilMs - this.pool.leaseMs * GUARD;
  }

  private async giveBack(): Promise<boolean> {
    if (this.state === 'held') this.state = 'released';
    this.cancelTimers();
    try {
      const released = await this.store.release(this.pool, this.permitId);
      if (released) this.publish('released');
      return released;
    } catch {
      this.publish('store_failed');
      return false;
    }
  }

  private scheduleGuard(): void {
    this.guard?.cancel();
    this.guard = this.clock.schedule(Math.max(0, this.guardAtMs - this.clock.monotonic()), () => this.lose());
  }

  private scheduleRenewal(atMs: number): void {
    this.renewal?.cancel();
    this.renewal = this.clock.schedule(Math.max(0, atMs - this.clock.monotonic()), () => {
      void this.renew();
    });
  }

  /** Never rejects: it runs from a timer. */
  private async renew(): Promise<void> {
    const sentAtMs = this.clock.monotonic();
    try {
      const renewed = await this.store.renew(this.pool, this.permitId);
      if (this.state !== 'held') return;
      if (!renewed) {
        this.lose();
        return;
      }
      this.heldUntilMs = sentAtMs + this.pool.leaseMs;
      this.scheduleGuard();
      this.scheduleRenewal(sentAtMs + this.pool.leaseMs / 2);
    } catch (error) {
      if (this.state !== 'held') return;
      this.lastFailure = error;
      this.publish('store_failed');
      this.scheduleRenewal(this.clock.monotonic() + this.pool.leaseMs * RETRY);
    }
  }

  private lose(): void {
    if (this.state !== 'held') return;
    this.state = 'lost';
    this.cancelTimers();
    this.publish('lost');
    this.controller.abort(new PermitLostError(this.semaphore, { cause: this.lastFailure }));
  }

  private cancelTimers(): void {
    this.renewal?.cancel();
    this.guard?.cancel();
  }

  private publish(outcome: 'released' | 'lost' | 'store_failed'): void {
    channels.limit.publish({ tenantId: this.tenantId, limiter: this.semaphore, kind: 'permit', outcome });
  }
}
