import { type Clock, type ClockTimer, channels, type TenantId } from '@sparkle/contracts';
import { PermitLostError } from '../errors.js';
import type { Grant, PermitPool, PermitStore } from '../ports/permit-store.port.js';
import { Deadline, type DeadlineQueue } from './deadline-queue.js';

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

export class HeldPermit extends Deadline implements Permit {
  private state: 'held' | 'lost' | 'released' = 'held';
  /** Made when somebody asks for the signal. */
  private controller: AbortController | undefined;
  private retry: ClockTimer | undefined;
  private guard: ClockTimer | undefined;
  private releasing: Promise<boolean> | undefined;
  private loss: PermitLostError | undefined;
  private lastFailure: unknown;

  /**
   * @param renewals of permits with this pool's lease
   * @param heldUntilMs monotonic time before which the lease cannot end, whatever the messages' delays.
   */
  constructor(
    private readonly store: PermitStore,
    private readonly clock: Clock,
    private readonly renewals: DeadlineQueue,
    private readonly pool: PermitPool,
    private readonly semaphore: string,
    readonly tenantId: TenantId,
    private readonly grant: Grant,
    private heldUntilMs: number,
  ) {
    super();
    renewals.add(this);
  }

  get fencingToken(): number {
    return this.grant.fencingToken;
  }

  get signal(): AbortSignal {
    this.controller ??= new AbortController();
    if (this.loss && !this.controller.signal.aborted) this.controller.abort(this.loss);
    return this.controller.signal;
  }

  get held(): boolean {
    if (this.state === 'held' && this.clock.monotonic() >= this.guardAtMs) this.lose();
    return this.state === 'held';
  }

  /** When it is to be renewed. */
  get dueAtMs(): number {
    return this.heldUntilMs - this.pool.leaseMs / 2;
  }

  onDue(): void {
    void this.renew();
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

  /** Never fails: it runs from a timer. Until it has succeeded, the end of the lease is watched. */
  private async renew(): Promise<void> {
    if (!this.held) return;
    const sentAtMs = this.clock.monotonic();
    this.guard ??= this.clock.schedule(this.guardAtMs - sentAtMs, () => this.lose());
    try {
      const renewed = await this.store.renew(this.pool, this.grant);
      if (this.state !== 'held') return;
      if (!renewed) {
        this.lose();
        return;
      }
      this.cancelTimers();
      this.heldUntilMs = sentAtMs + this.pool.leaseMs;
      this.renewals.add(this);
    } catch (error) {
      if (this.state !== 'held') return;
      this.lastFailure = error;
      this.publish('store_failed');
      this.retry = this.clock.schedule(this.pool.leaseMs * RETRY, () => void this.renew());
    }
  }

  private get guardAtMs(): number {
    return this.heldUntilMs - this.pool.leaseMs * GUARD;
  }

  private async giveBack(): Promise<boolean> {
    this.end('released');
    try {
      const released = await this.store.release(this.pool, this.grant.permitId);
      if (released) this.publish('released');
      return released;
    } catch {
      this.publish('store_failed');
      return false;
    }
  }

  private lose(): void {
    if (this.state !== 'held') return;
    this.end('lost');
    this.publish('lost');
    this.loss = new PermitLostError(this.semaphore, { cause: this.lastFailure });
    this.controller?.abort(this.loss);
  }

  private end(state: 'lost' | 'released'): void {
    if (this.state === 'held') this.state = state;
    this.renewals.remove(this);
    this.cancelTimers();
  }

  private cancelTimers(): void {
    this.retry?.cancel();
    this.guard?.cancel();
    this.guard = undefined;
  }

  private publish(outcome: 'released' | 'lost' | 'store_failed'): void {
    if (!channels.limit.hasSubscribers) return;
    channels.limit.publish({ tenantId: this.tenantId, limiter: this.semaphore, kind: 'permit', outcome });
  }
}
