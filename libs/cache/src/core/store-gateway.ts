import type { Clock, TenantId } from '@sparkle/contracts';
import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleAll } from 'cockatiel';
import type { CacheCoreOptions } from '../cache.options.js';
import { CacheStoreOpenError, CacheStoreTimeoutError, StoredValueCorruptError } from '../errors.js';
import type {
  Announcement,
  CacheStore,
  EntryToWrite,
  LeaseOutcome,
  LeaseRequest,
  StoredEntry,
  StoredPayload,
  StoreScope,
  WriteOutcome,
} from '../ports/cache-store.port.js';
import type { BusMessage } from '../ports/invalidation-bus.port.js';
import type { BusLink } from './bus-link.js';
import { publishEvent } from './cache-parts.js';
import { encodeSegment } from './cache-scope.js';
import { Deadlines } from './deadlines.js';
import { PayloadPacking } from './payload-packing.js';

/** What invalidates: every message except the end of a rebuild. */
export type Invalidation = Exclude<BusMessage, { kind: 'settled' }>;

/** `deferred`: the store could not be reached and gets the invalidation before anything else once it can. */
export type InvalidationOutcome = 'applied' | 'deferred';

export type StoreGatewayOptions = CacheCoreOptions['l2'] & Pick<CacheCoreOptions, 'maxValueBytes'>;

export interface KeyReading {
  readonly entry: StoredEntry | undefined;
  readonly sequence: number;
}

/** What one batch of reads found. An entry that has to be fetched or unpacked first is on its way. */
export interface BatchReading {
  readonly entries: readonly (StoredEntry | Promise<StoredEntry | undefined> | undefined)[];
  readonly sequence: number;
}

/** One read of a batch: where to find its entry in the batch's reading. */
export interface JoinedRead {
  readonly reading: Promise<BatchReading>;
  readonly index: number;
}

/** Reads of one scope that travel together. They share one promise: a tick may bring many. */
class ReadBatch {
  /** Keys as the store knows them. */
  readonly keys: string[] = [];
  readonly reading: Promise<BatchReading>;
  resolve!: (reading: BatchReading) => void;
  reject!: (error: unknown) => void;
  private readonly positions = new Map<string, number>();

  constructor(readonly scope: StoreScope) {
    this.reading = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  join(key: string): JoinedRead {
    let index = this.positions.get(key);
    if (index === undefined) {
      index = this.keys.push(encodeSegment(key)) - 1;
      this.positions.set(key, index);
    }
    return { reading: this.reading, index };
  }
}

/** What fails together: the whole store, or one of its parts, such as a node of a cluster. */
class StorePart {
  readonly breaker;
  /** Whether the latest call failed: successes in a row are nothing to the breaker. */
  failing = false;
  /** Some tenant whose entries are there; tells a probe where to go. */
  latestTenant: TenantId | undefined;
  readonly noteFailure = (error: unknown, passOn: (error: unknown) => void) => {
    this.failing = true;
    this.breaker.execute(() => Promise.reject(error)).catch(passOn);
  };

  constructor(breakerFailures: number, onBreak: () => void) {
    this.breaker = circuitBreaker(handleAll, {
      breaker: new ConsecutiveBreaker(breakerFailures),
      // `recover` alone calls an open breaker, in its own rhythm.
      halfOpenAfter: 0,
    });
    this.breaker.onBreak(onBreak);
  }

  get available(): boolean {
    return this.breaker.state === CircuitState.Closed;
  }
}

/** Invalidations kept per tenant during an outage; beyond it the whole tenant is cleared instead. */
const MAX_DEFERRED = 1000;
/** Keys asked for with one call. */
const MAX_BATCH = 256;
/** Payloads above this get more than the plain budget. */
const PLAIN_BUDGET_BYTES = 64 * 1024;
/** What a slow network and a busy process still manage together. */
const BYTES_PER_MS = 25 * 1024;
/** How much the latest read counts for what is expected of the next. */
const LATEST_SHARE = 0.2;
/** Above this share of misses, a load asks for the lease at once instead of looking first. */
const EXPECTS_MISS = 0.7;

/**
 * The second tier as the core sees it: every call ends within its budget, a store that keeps failing is left
 * alone until it answers a probe (callers never pay for probing), reads of one tick travel together, payloads
 * are compressed and checked, changes and the news of them leave together where they can, and invalidations that
 * could not be delivered are delivered before anything else is read.
 *
 * The budget is `budgetMs`. A payload above 64 KiB whose size is known (it is being written, or its entry told)
 * gets another millisecond for every 25 KiB.
 */
export class StoreGateway {
  private readonly whole: StorePart;
  /** Parts of a store that has several, by name. */
  private readonly parts = new Map<string, StorePart>();
  private readonly deadlines: Deadlines;
  private readonly packing: PayloadPacking;
  /** Batches of this tick. Most ticks have one, which needs no map. */
  private firstBatch: ReadBatch | undefined;
  private readonly otherBatches = new Map<StoreScope, ReadBatch>();
  private readonly missShares = new WeakMap<StoreScope, { share: number }>();
  private readonly deferred = new Map<TenantId, Invalidation[]>();
  private recoveryScheduled = false;
  private closed = false;
  private readonly flush = () => this.flushReads();

  constructor(
    private readonly store: CacheStore,
    private readonly link: Pick<BusLink, 'publish' | 'announcementFor'>,
    private readonly clock: Clock,
    private readonly options: StoreGatewayOptions,
  ) {
    this.whole = this.newPart();
    this.deadlines = new Deadlines(
      clock,
      options.budgetMs,
      () => new CacheStoreTimeoutError(options.budgetMs),
    );
    this.packing = new PayloadPacking({ compression: options.compression, maxBytes: options.maxValueBytes });
  }

  /** Whether all of the store is being asked. */
  get available(): boolean {
    for (const part of this.parts.values()) if (!part.available) return false;
    return this.whole.available;
  }

  /**
   * Runs one operation of the store within the budget.
   * @param bytes size of a payload it carries
   * @throws CacheStoreError, or what the store threw
   */
  call<T>(tenantId: TenantId, operation: (store: CacheStore) => Promise<T>, bytes = 0): Promise<T> {
    const part = this.partOf(tenantId);
    if (!part.available) return Promise.reject(new CacheStoreOpenError());
    if (this.deferred.size === 0 || !this.deferred.has(tenantId)) return this.guarded(part, operation, bytes);
    return this.deliver(tenantId).then(() => this.guarded(part, operation, bytes));
  }

  /** Reads one entry, together with all others asked for in the same tick. */
  async read(scope: StoreScope, key: string): Promise<KeyReading> {
    const { reading, index } = this.join(scope, key);
    const { entries, sequence } = await reading;
    return { entry: await entries[index], sequence };
  }

  /** As {@link read}, for callers who find their entry themselves and save a promise each. */
  join(scope: StoreScope, key: string): JoinedRead {
    if (!this.partOf(scope.tenantId).available)
      return { reading: Promise.reject(new CacheStoreOpenError()), index: 0 };
    if (!this.firstBatch) {
      this.firstBatch = new ReadBatch(scope);
      // Runs after every promise callback of this tick.
      queueMicrotask(() => process.nextTick(this.flush));
    }
    if (this.firstBatch.scope === scope && this.firstBatch.keys.length < MAX_BATCH)
      return this.firstBatch.join(key);
    let batch = this.otherBatches.get(scope);
    if (batch && batch.keys.length >= MAX_BATCH) {
      this.readBatch(batch);
      batch = undefined;
    }
    if (!batch) {
      batch = new ReadBatch(scope);
      this.otherBatches.set(scope, batch);
    }
    return batch.join(key);
  }

  /** Whether most of what was asked of this scope lately was not there. */
  expectsMiss(scope: StoreScope): boolean {
    return (this.missShares.get(scope)?.share ?? 0) > EXPECTS_MISS;
  }

  /** As {@link CacheStore.acquireLease}, with payloads as they were before {@link write}. */
  async acquireLease(scope: StoreScope, key: string, request: LeaseRequest): Promise<LeaseOutcome<string>> {
    const outcome = await this.call(scope.tenantId, (store) => store.acquireLease(scope, key, request));
    if (request.since === undefined) this.noteMisses(scope, outcome.kind === 'hit' ? 0 : 1);
    switch (outcome.kind) {
      case 'failed':
        return outcome;
      case 'hit':
        return { kind: 'hit', entry: outcome.entry && (await this.open(scope, key, outcome.entry)) };
      default:
        return { ...outcome, stale: outcome.stale && (await this.open(scope, key, outcome.stale)) };
    }
  }

  /** Ends a lease without a value, and says so. */
  releaseLease(
    scope: StoreScope,
    key: string,
    token: number,
    announcing: BusMessage,
    failure?: { readonly reason: string; readonly keepMs: number },
  ): Promise<void> {
    return this.change(scope.tenantId, announcing, (store, announcement) =>
      store.releaseLease(scope, key, token, failure, announcement),
    );
  }

  /** Writes an entry, under a lease or without, and says so. */
  async write(
    scope: StoreScope,
    key: string,
    entry: EntryToWrite,
    { token, announcing }: { readonly token?: number; readonly announcing: BusMessage },
  ): Promise<WriteOutcome> {
    if (!this.partOf(scope.tenantId).available) throw new CacheStoreOpenError();
    const packed = this.packing.pack(entry.payload);
    const payload = packed instanceof Promise ? await packed : packed;
    return this.change(
      scope.tenantId,
      announcing,
      (store, announcement) => store.write(scope, key, { ...entry, payload }, token, announcement),
      typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length,
    );
  }

  /** Invalidates in the store and tells the other processes. Never throws for an outage. */
  async invalidate(change: Invalidation): Promise<InvalidationOutcome> {
    try {
      await this.change(change.tenantId, change, (store, announcement) => apply(store, change, announcement));
      return 'applied';
    } catch {
      this.defer(change);
      return 'deferred';
    }
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

  private flushReads(): void {
    const first = this.firstBatch;
    this.firstBatch = undefined;
    if (first) this.readBatch(first);
    if (this.otherBatches.size === 0) return;
    const others = [...this.otherBatches.values()];
    this.otherBatches.clear();
    for (const batch of others) this.readBatch(batch);
  }

  private readBatch({ scope, keys, resolve, reject }: ReadBatch): void {
    this.call(scope.tenantId, (store) => store.read(scope, keys)).then(
      ({ entries, sequence, unreadable }) => {
        for (let count = 0; count < unreadable; count++) publishEvent(scope, 'l2', 'error');
        const opened: (StoredEntry | Promise<StoredEntry | undefined> | undefined)[] = [];
        let misses = 0;
        for (let index = 0; index < keys.length; index++) {
          const entry = entries[index];
          if (!entry) misses++;
          opened.push(
            !entry || isPlain(entry, this.options.maxValueBytes)
              ? entry
              : this.open(scope, keys[index] as string, entry),
          );
        }
        this.noteMisses(scope, misses / keys.length);
        resolve({ entries: opened, sequence });
      },
      reject,
    );
  }

  /** An entry with its payload unpacked; one that is not what it claims to be counts as missing. */
  private async open(
    scope: StoreScope,
    key: string,
    found: StoredEntry<StoredPayload>,
  ): Promise<StoredEntry | undefined> {
    try {
      let { payload } = found;
      if (typeof payload === 'object' && 'ref' in payload) {
        const detached = payload;
        if (detached.bytes > this.options.maxValueBytes) throw new StoredValueCorruptError();
        const fetched = await this.call(
          scope.tenantId,
          (store) => store.readDetached(scope, key, detached),
          detached.bytes,
        );
        if (fetched === undefined) return undefined;
        payload = fetched;
      }
      return { ...found, payload: await this.packing.unpack(payload) };
    } catch (error) {
      if (!(error instanceof StoredValueCorruptError)) throw error;
      publishEvent(scope, 'l2', 'error');
      return undefined;
    }
  }

  private noteMisses(scope: StoreScope, share: number): void {
    const known = this.missShares.get(scope);
    if (known) known.share += LATEST_SHARE * (share - known.share);
    else this.missShares.set(scope, { share: LATEST_SHARE * share });
  }

  /** A change and the news of it: in one step where store and bus share a connection, else one after the other. */
  private async change<T>(
    tenantId: TenantId,
    message: BusMessage,
    operation: (store: CacheStore, announcement: Announcement | undefined) => Promise<T>,
    bytes = 0,
  ): Promise<T> {
    let announced = false;
    const result = await this.call(
      tenantId,
      (store) => {
        // Made only now that it is sent: others would miss one that never is.
        const announcement = this.link.announcementFor(store, message);
        announced = announcement !== undefined;
        return operation(store, announcement);
      },
      bytes,
    );
    if (!announced) await this.announce(message);
    return result;
  }

  private async announce(message: BusMessage): Promise<void> {
    const published = this.link.publish(message);
    // Who waits for a rebuild looks again in time anyway; nobody waits for this.
    if (message.kind === 'settled') published.catch(() => undefined);
    else await this.withinBudget(published, 0);
  }

  private async deliver(tenantId: TenantId): Promise<void> {
    const pending = this.deferred.get(tenantId);
    if (!pending) return;
    for (let change = pending[0]; change !== undefined; change = pending[0]) {
      const next = change;
      const announcement = this.link.announcementFor(this.store, next);
      await this.guarded(this.partOf(tenantId), (store) => apply(store, next, announcement));
      if (!announcement) await this.announce(next);
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
    const troubled = [this.whole, ...this.parts.values()].filter((part) => !part.available);
    const probes = troubled.map((part) => this.guarded(part, (store) => store.ping(part.latestTenant)));
    await Promise.allSettled(probes);
    // What cannot be delivered for one tenant holds up no other.
    for (const tenantId of [...this.deferred.keys()])
      if (this.partOf(tenantId).available) await this.deliver(tenantId).catch(() => undefined);
    if (!this.available || this.deferred.size > 0) this.scheduleRecovery();
  }

  private partOf(tenantId: TenantId): StorePart {
    if (!this.store.partOf) return this.whole;
    const name = this.store.partOf(tenantId);
    let part = this.parts.get(name);
    if (!part) {
      part = this.newPart();
      this.parts.set(name, part);
    }
    part.latestTenant = tenantId;
    return part;
  }

  private newPart(): StorePart {
    return new StorePart(this.options.breakerFailures, () => this.scheduleRecovery());
  }

  /** Within the budget and under the breaker, which only has to be asked from a failure to the next success. */
  private guarded<T>(part: StorePart, operation: (store: CacheStore) => Promise<T>, bytes = 0): Promise<T> {
    if (!part.failing) return this.withinBudget(this.begin(operation), bytes, part.noteFailure);
    return part.breaker
      .execute(() => this.withinBudget(this.begin(operation), bytes))
      .then((result) => {
        // One that began before the breaker opened says nothing of now.
        part.failing = !part.available;
        return result;
      });
  }

  private begin<T>(operation: (store: CacheStore) => Promise<T>): Promise<T> {
    try {
      return operation(this.store);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  private withinBudget<T>(
    answer: Promise<T>,
    bytes: number,
    onFailure?: (error: unknown, passOn: (error: unknown) => void) => void,
  ): Promise<T> {
    if (bytes <= PLAIN_BUDGET_BYTES) return this.deadlines.bound(answer, onFailure);
    const budgetMs = Math.ceil(this.options.budgetMs + bytes / BYTES_PER_MS);
    const deadlines = new Deadlines(this.clock, budgetMs, () => new CacheStoreTimeoutError(budgetMs));
    return deadlines.bound(answer, onFailure);
  }
}

/** Text that can be handed on as it is: the way of nearly every hit. */
function isPlain(found: StoredEntry<StoredPayload>, maxBytes: number): found is StoredEntry {
  return typeof found.payload === 'string' && found.payload.length <= maxBytes;
}

function apply(
  store: CacheStore,
  change: Invalidation,
  announcement: Announcement | undefined,
): Promise<void> {
  switch (change.kind) {
    case 'keys':
      return store.remove(change, change.keys.map(encodeSegment), announcement);
    case 'tags':
      return store.invalidateTags(change, change.tags.map(encodeSegment), announcement);
    case 'namespace':
      return store.clear(change.tenantId, change.namespace, announcement);
    case 'tenant':
      return store.clear(change.tenantId, undefined, announcement);
  }
}
