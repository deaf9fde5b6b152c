import type { Clock, TenantId } from '@sparkle/contracts';
import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleAll } from 'cockatiel';
import { CacheStoreOpenError, CacheStoreTimeoutError } from '../errors.js';
import type { CacheStore, StoredEntry, StoreScope } from '../ports/cache-store.port.js';
import type { BusMessage } from '../ports/invalidation-bus.port.js';
import { encodeSegment } from './cache-scope.js';

/** What invalidates: every message except the end of a rebuild. */
export type Invalidation = Exclude<BusMessage, { kind: 'settled' }>;

/** `deferred`: the store could not be reached and gets the invalidation before anything else once it can. */
export type InvalidationOutcome = 'applied' | 'deferred';

export interface StoreGatewayOptions {
  readonly budgetMs: number;
  readonly breakerFailures: number;
  readonly probeEveryMs: number;
}

interface PendingRead {
  readonly key: string;
  resolve(reading: KeyReading): void;
  reject(error: unknown): void;
}

export interface KeyReading {
  readonly entry: StoredEntry | undefined;
  readonly sequence: number;
}

/** Invalidations kept per tenant during an outage; beyond it the whole tenant is cleared instead. */
const MAX_DEFERRED = 1000;
/** Keys asked for with one script call. */
const MAX_BATCH = 256;

/**
 * The second tier as the core sees it: every call ends within its budget, a store that keeps failing is left
 * alone until it answers a probe (callers never pay for probing), reads of one tick travel together, and
 * invalidations that could not be delivered are delivered before anything else is read.
 */
export class StoreGateway {
  private readonly breaker;
  private readonly pendingReads = new Map<string, { scope: StoreScope; reads: PendingRead[] }>();
  private readonly deferred = new Map<TenantId, Invalidation[]>();
  private recoveryScheduled = false;
  private closed = false;

  constructor(
    private readonly store: CacheStore,
    private readonly publish: (message: BusMessage) => Promise<void>,
    private readonly clock: Clock,
    private readonly options: StoreGatewayOptions,
  ) {
    this.breaker = circuitBreaker(handleAll, {
      breaker: new ConsecutiveBreaker(options.breakerFailures),
      // `recover` alone calls an open breaker, in its own rhythm.
      halfOpenAfter: 0,
    });
    this.breaker.onBreak(() => this.scheduleRecovery());
  }

  get available(): boolean {
    return this.breaker.state === CircuitState.Closed;
  }

  /** Runs one operation of the store within the budget. @throws CacheStoreError, or what the store threw */
  async call<T>(tenantId: TenantId, operation: (store: CacheStore) => Promise<T>): Promise<T> {
    if (!this.available) throw new CacheStoreOpenError();
    if (this.deferred.has(tenantId)) await this.deliver(tenantId);
    return this.breaker.execute(() => this.withinBudget(() => operation(this.store)));
  }

  /** Reads one entry, together with all others of the scope asked for in the same tick. */
  read(scope: StoreScope, key: string): Promise<KeyReading> {
    if (!this.available) return Promise.reject(new CacheStoreOpenError());
    return new Promise((resolve, reject) => {
      const id = `${scope.tenantId}\0${scope.namespace}`;
      const batch = this.pendingReads.get(id);
      const read = { key: encodeSegment(key), resolve, reject };
      if (batch) {
        batch.reads.push(read);
        return;
      }
      this.pendingReads.set(id, { scope, reads: [read] });
      // Runs after every promise callback of this tick.
      queueMicrotask(() => process.nextTick(() => this.flushReads(id)));
    });
  }

  /** Invalidates in the store, then tells the other processes. Never throws for an outage. */
  async invalidate(change: Invalidation): Promise<InvalidationOutcome> {
    const { tenantId } = change;
    try {
      await this.call(tenantId, (store) => apply(store, change));
      await this.announce(change);
      return 'applied';
    } catch {
      this.defer(change);
      return 'deferred';
    }
  }

  /** Tells the other processes of a change the store has seen already. @throws when the bus does not take it */
  announce(change: Invalidation): Promise<void> {
    return this.withinBudget(() => this.publish(change));
  }

  /** Notes an invalidation to be delivered before the tenant's next use of the store. */
  defer(change: Invalidation): void {
    if (this.closed) return;
    const pending = this.deferred.get(change.tenantId) ?? [];
    if (pending.length >= MAX_DEFERRED)
      pending.splice(0, Infinity, { kind: 'tenant', tenantId: change.tenantId });
    else pending.push(change);
    this.deferred.set(change.tenantId, pending);
    this.scheduleRecovery();
  }

  close(): void {
    this.closed = true;
    this.deferred.clear();
  }

  private flushReads(id: string): void {
    const batch = this.pendingReads.get(id);
    this.pendingReads.delete(id);
    if (!batch) return;
    for (let start = 0; start < batch.reads.length; start += MAX_BATCH)
      void this.readBatch(batch.scope, batch.reads.slice(start, start + MAX_BATCH));
  }

  private async readBatch(scope: StoreScope, reads: readonly PendingRead[]): Promise<void> {
    try {
      const keys = [...new Set(reads.map((read) => read.key))];
      const reading = await this.call(scope.tenantId, (store) => store.read(scope, keys));
      const entries = new Map(keys.map((key, index) => [key, reading.entries[index]]));
      for (const read of reads) read.resolve({ entry: entries.get(read.key), sequence: reading.sequence });
    } catch (error) {
      for (const read of reads) read.reject(error);
    }
  }

  private async deliver(tenantId: TenantId): Promise<void> {
    const pending = this.deferred.get(tenantId);
    if (!pending) return;
    for (let change = pending[0]; change !== undefined; change = pending[0]) {
      const next = change;
      await this.breaker.execute(() => this.withinBudget(() => apply(this.store, next)));
      await this.announce(next);
      // Another delivery may have got here first; each change is idempotent.
      if (pending[0] === next) pending.shift();
    }
    if (this.deferred.get(tenantId) === pending) this.deferred.delete(tenantId);
  }

  private scheduleRecovery(): void {
    if (this.recoveryScheduled || this.closed) return;
    this.recoveryScheduled = true;
    this.clock.schedule(this.options.probeEveryMs, () => {
      this.recoveryScheduled = false;
      void this.recover();
    });
  }

  private async recover(): Promise<void> {
    if (this.closed) return;
    try {
      await this.breaker.execute(() => this.withinBudget(() => this.store.ping()));
      for (const tenantId of [...this.deferred.keys()]) await this.deliver(tenantId);
    } catch {
      this.scheduleRecovery();
    }
  }

  private async withinBudget<T>(operation: () => Promise<T>): Promise<T> {
    const { budgetMs } = this.options;
    let timer: { cancel(): void } | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = this.clock.schedule(budgetMs, () => reject(new CacheStoreTimeoutError(budgetMs)));
    });
    const answer = operation();
    // A reply after the deadline has nobody left to hear it.
    answer.catch(() => undefined);
    try {
      return await Promise.race([answer, late]);
    } finally {
      timer?.cancel();
    }
  }
}

function apply(store: CacheStore, change: Invalidation): Promise<void> {
  switch (change.kind) {
    case 'keys':
      return store.remove(change, change.keys.map(encodeSegment));
    case 'tags':
      return store.invalidateTags(change, change.tags.map(encodeSegment));
    case 'namespace':
      return store.clear(change.tenantId, change.namespace);
    case 'tenant':
      return store.clear(change.tenantId);
  }
}
