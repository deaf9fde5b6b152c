import { randomUUID } from 'node:crypto';
import type { Clock } from '@sparkle/contracts';
import { FairQueue } from '../../core/fair-queue.js';
import type {
  AcquireReply,
  Grant,
  PermitPool,
  PermitRequest,
  PermitStore,
  SweepReply,
} from '../../ports/permit-store.port.js';

interface PoolState {
  readonly holders: Map<string, Grant>;
  readonly queue: FairQueue;
}

/** Permits of one process. Time is the clock's monotonic time. */
export class MemoryPermitStore implements PermitStore {
  readonly ownerId = randomUUID();
  private readonly pools = new Map<string, PoolState>();
  private readonly listeners = new Set<(poolId: string, grant: Grant) => void>();
  private fencingToken = 0;

  constructor(private readonly clock: Clock) {}

  async acquire({ pool, tenantId, permitId, wait, maxWaiting }: PermitRequest): Promise<AcquireReply> {
    const state = this.stateOf(pool);
    const nowMs = this.clock.monotonic();
    this.serve(pool, state);
    const held = state.holders.get(permitId);
    if (held) return { outcome: 'granted', nowMs, grant: held };
    if (state.queue.has(permitId)) return this.queued(state, nowMs);
    // Those who wait have just been served, so a permit that is free now is nobody else's.
    if (state.holders.size < pool.permits) {
      return { outcome: 'granted', nowMs, grant: this.grant(pool, state, permitId) };
    }
    if (!wait) return { outcome: 'busy', nowMs };
    if (state.queue.length >= maxWaiting) return { outcome: 'full', nowMs };
    state.queue.push({ id: permitId, tenantId });
    return this.queued(state, nowMs);
  }

  async renew(pool: PermitPool, { permitId }: Grant): Promise<boolean> {
    const state = this.stateOf(pool);
    this.serve(pool, state);
    const held = state.holders.get(permitId);
    if (held) state.holders.set(permitId, { ...held, expiresAtMs: this.clock.monotonic() + pool.leaseMs });
    this.forgetIdle(pool, state);
    return held !== undefined;
  }

  async release(pool: PermitPool, permitId: string): Promise<boolean> {
    const state = this.stateOf(pool);
    this.reap(state);
    const known = state.holders.delete(permitId) || state.queue.remove(permitId);
    this.serve(pool, state);
    this.forgetIdle(pool, state);
    return known;
  }

  async sweep(pool: PermitPool, waitingIds: readonly string[]): Promise<SweepReply> {
    const state = this.stateOf(pool);
    this.serve(pool, state);
    const nowMs = this.clock.monotonic();
    const grants = waitingIds.flatMap((id) => state.holders.get(id) ?? []);
    const missing = waitingIds.filter((id) => !state.holders.has(id) && !state.queue.has(id));
    return { nowMs, nextExpiryMs: nextExpiry(state, nowMs), grants, missing };
  }

  async listen(onGrant: (poolId: string, grant: Grant) => void): Promise<() => Promise<void>> {
    this.listeners.add(onGrant);
    return async () => {
      this.listeners.delete(onGrant);
    };
  }

  private stateOf(pool: PermitPool): PoolState {
    let state = this.pools.get(pool.id);
    if (!state) {
      state = { holders: new Map(), queue: new FairQueue() };
      this.pools.set(pool.id, state);
    }
    return state;
  }

  private forgetIdle(pool: PermitPool, state: PoolState): void {
    if (state.holders.size === 0 && state.queue.length === 0) this.pools.delete(pool.id);
  }

  private reap(state: PoolState): void {
    const nowMs = this.clock.monotonic();
    for (const [permitId, grant] of state.holders) {
      if (grant.expiresAtMs <= nowMs) state.holders.delete(permitId);
    }
  }

  private serve(pool: PermitPool, state: PoolState): void {
    this.reap(state);
    while (state.holders.size < pool.permits) {
      const caller = state.queue.shift();
      if (!caller) return;
      const grant = this.grant(pool, state, caller.id);
      for (const listener of this.listeners) queueMicrotask(() => listener(pool.id, grant));
    }
  }

  private grant(pool: PermitPool, state: PoolState, permitId: string): Grant {
    this.fencingToken += 1;
    const expiresAtMs = this.clock.monotonic() + pool.leaseMs;
    const grant = { permitId, fencingToken: this.fencingToken, expiresAtMs };
    state.holders.set(permitId, grant);
    return grant;
  }

  private queued(state: PoolState, nowMs: number): AcquireReply {
    return { outcome: 'queued', nowMs, nextExpiryMs: nextExpiry(state, nowMs) };
  }
}

function nextExpiry(state: PoolState, nowMs: number): number | undefined {
  let next: number | undefined;
  for (const { expiresAtMs } of state.holders.values()) {
    if (next === undefined || expiresAtMs < next) next = expiresAtMs;
  }
  return next === undefined ? undefined : Math.max(0, next - nowMs);
}
