import type { Clock, Random, TenantId } from '@sparkle/contracts';
import { channels, parseTenantId, SystemClock, SystemRandom } from '@sparkle/contracts';
import {
  type CacheCoreOptionsInput,
  type CachePolicy,
  cacheCoreOptionsSchema,
  cachePolicySchema,
  parseOptions,
} from '../cache.options.js';
import type { CacheStore } from '../ports/cache-store.port.js';
import type { BusMessage, InvalidationBus } from '../ports/invalidation-bus.port.js';
import { BusLink } from './bus-link.js';
import {
  type BatchLoader,
  type CacheCallOptions,
  encodeTags,
  type Loader,
  type ResolvedCall,
  resolveCall,
} from './cache-call.js';
import { type Adoption, adopt, type CacheParts, decodeEntry, publishEvent } from './cache-parts.js';
import { type CacheScope, checkKey, checkNamespace, checkScope, encodeSegment } from './cache-scope.js';
import { CachedValue } from './cached-value.js';
import type { Flight } from './flight.js';
import { jittered, refreshesEarly } from './freshness.js';
import { type HeldEntry, type MemoryEntry, MemoryTier, type ScopeState } from './memory-tier.js';
import { Rebuild } from './rebuild.js';
import { type Invalidation, type InvalidationOutcome, StoreGateway } from './store-gateway.js';
import { TouchedEntries } from './touched-entries.js';
import { jsonCodec, type ValueCodec } from './value-codec.js';
import { WakeUps } from './wake-ups.js';

/** What {@link CacheNamespace.peek} finds. */
export interface CachePeek<T> {
  readonly value: T;
  readonly tier: 'l1' | 'l2';
  /** `stale`: past its time to live, in its grace period. `negative`: known not to exist. */
  readonly state: 'fresh' | 'stale' | 'negative';
  /** Milliseconds of freshness left; zero when stale. */
  readonly remainingMs: number;
}

export interface CacheServiceDependencies {
  readonly store: CacheStore;
  readonly bus: InvalidationBus;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Default: JSON extended by the types JSON lacks. */
  readonly codec?: ValueCodec;
}

/**
 * A cache of two tiers. Every operation names its tenant and namespace: either through a handle from
 * {@link CacheService.namespace}, or as the first argument. Values are shared by their readers and deeply frozen
 * (see `l1.values`). An outage of the second tier is never an error of a read: the cache goes on with memory
 * and the loader.
 */
export class CacheService {
  private readonly parts: CacheParts;
  private readonly touched: TouchedEntries;
  private readonly handles = new WeakMap<ScopeState, CacheNamespace>();
  /** Defaults of namespaces, parsed once per object given. */
  private readonly policies = new WeakMap<Partial<CachePolicy>, CachePolicy>();

  /** @throws CacheOptionsInvalidError */
  constructor(dependencies: CacheServiceDependencies, options: CacheCoreOptionsInput = {}) {
    const parsed = parseOptions(cacheCoreOptionsSchema, options);
    const clock = dependencies.clock ?? new SystemClock();
    const random = dependencies.random ?? new SystemRandom();
    const link = new BusLink(dependencies.bus, (message) => this.hear(message));
    this.parts = {
      options: parsed,
      link,
      clock,
      random,
      codec: dependencies.codec ?? jsonCodec,
      memory: new MemoryTier(parsed.l1, clock, random, (scope) => publishEvent(scope, 'l1', 'evicted')),
      gateway: new StoreGateway(dependencies.store, link, clock, {
        ...parsed.l2,
        maxValueBytes: parsed.maxValueBytes,
      }),
      wakeUps: new WakeUps(clock),
    };
    this.touched = new TouchedEntries(this.parts, dependencies.bus);
  }

  /**
   * A handle for one tenant's namespace, with defaults of its own.
   * @throws TenantIdInvalidError, CacheKeyInvalidError, CacheOptionsInvalidError
   */
  namespace(scope: CacheScope, defaults?: Partial<CachePolicy>): CacheNamespace {
    if (defaults) return new CacheNamespace(this.parts, checkScope(scope), this.policyOf(defaults));
    // A scope that is known was checked when it became so.
    const state = this.parts.memory.known(scope) ?? this.parts.memory.scope(checkScope(scope));
    let handle = this.handles.get(state);
    if (!handle) {
      handle = new CacheNamespace(this.parts, state, this.parts.options.policy);
      this.handles.set(state, handle);
    }
    return handle;
  }

  /** {@link CacheNamespace.get} */
  get<T>(scope: CacheScope, key: string): Promise<T | undefined> {
    return this.namespace(scope).get(key);
  }

  /** {@link CacheNamespace.peek} */
  peek<T>(scope: CacheScope, key: string): Promise<CachePeek<T> | undefined> {
    return this.namespace(scope).peek(key);
  }

  /** {@link CacheNamespace.set} */
  set<T>(scope: CacheScope, key: string, value: T, options?: CacheCallOptions<T>): Promise<void> {
    return this.namespace(scope).set(key, value, options);
  }

  /** {@link CacheNamespace.getOrSet} */
  getOrSet<T>(scope: CacheScope, key: string, loader: Loader<T>, options?: CacheCallOptions<T>): Promise<T> {
    return this.namespace(scope).getOrSet(key, loader, options);
  }

  /** {@link CacheNamespace.getMany} */
  getMany<T>(
    scope: CacheScope,
    keys: readonly string[],
    batchLoader: BatchLoader<T>,
    options?: CacheCallOptions<T>,
  ): Promise<Map<string, T>> {
    return this.namespace(scope).getMany(keys, batchLoader, options);
  }

  /** {@link CacheNamespace.delete} */
  delete(scope: CacheScope, keys: string | readonly string[]): Promise<InvalidationOutcome> {
    return this.namespace(scope).delete(keys);
  }

  /** {@link CacheNamespace.deleteByTag} */
  deleteByTag(scope: CacheScope, tags: string | readonly string[]): Promise<InvalidationOutcome> {
    return this.namespace(scope).deleteByTag(tags);
  }

  /** Invalidates one namespace of a tenant, or, without `namespace`, everything of the tenant. */
  clear(scope: { readonly tenantId: TenantId; readonly namespace?: string }): Promise<InvalidationOutcome> {
    const tenantId = parseTenantId(scope.tenantId);
    return scope.namespace === undefined
      ? invalidate(this.parts, { kind: 'tenant', tenantId })
      : invalidate(this.parts, { kind: 'namespace', tenantId, namespace: checkNamespace(scope.namespace) });
  }

  /** What the first tier holds now, over all tenants. */
  get memoryUse(): { readonly entries: number; readonly bytes: number } {
    return { entries: this.parts.memory.entries, bytes: this.parts.memory.bytes };
  }

  /** Whether the second tier is being asked; `false` while the breaker keeps away from it. */
  get storeAvailable(): boolean {
    return this.parts.gateway.available;
  }

  /** TTL of values for which neither namespace nor call gives one. */
  get defaultTtlMs(): number {
    return this.parts.options.policy.ttlMs;
  }

  /** Stops listening and probing. Connections belong to whoever opened them. */
  close(): void {
    this.touched.close();
    this.parts.link.close();
    this.parts.gateway.close();
  }

  private policyOf(defaults: Partial<CachePolicy>): CachePolicy {
    let policy = this.policies.get(defaults);
    if (!policy) {
      policy = parseOptions(cachePolicySchema, { ...this.parts.options.policy, ...defaults });
      this.policies.set(defaults, policy);
    }
    return policy;
  }

  private hear(message: BusMessage): void {
    if (message.kind === 'settled')
      this.parts.wakeUps.wake(`${message.tenantId}\0${message.namespace}\0${message.key}`);
    else invalidateMemory(this.parts, message);
  }
}

/** The cache of one tenant's namespace. */
export class CacheNamespace {
  private state: ScopeState;

  constructor(
    private readonly parts: CacheParts,
    scope: CacheScope,
    private readonly policy: CachePolicy,
  ) {
    this.state = parts.memory.scope(scope);
  }

  get tenantId(): TenantId {
    return this.state.tenantId;
  }

  get name(): string {
    return this.state.namespace;
  }

  /** The fresh value, or `undefined`: not cached, or known not to exist. Never calls a loader. */
  get<T>(key: string): Promise<T | undefined> {
    const now = this.parts.clock.monotonic();
    const held = this.usable(key, now);
    return (held ? held.answerPromise() : this.readStore(key, now)) as Promise<T | undefined>;
  }

  /** What is cached, fresh or stale, without moving, filling or counting anything. */
  async peek<T>(key: string): Promise<CachePeek<T> | undefined> {
    checkKey(key);
    const now = this.parts.clock.monotonic();
    const held = this.parts.memory.lookup(this.scope(), key, now, true);
    if (held && now < held.confirmedUntil && this.parts.link.trusts(held.trust))
      return peekOf('l1', held.value, held.freshUntil - now);
    try {
      const { entry } = await this.parts.gateway.read(this.state, key);
      const value = entry && decodeEntry(this.parts, this.state, entry);
      return value && peekOf('l2', value, entry.freshMs);
    } catch {
      return held && peekOf('l1', held.value, held.freshUntil - now);
    }
  }

  /**
   * Stores a value in both tiers and overtakes rebuilds in progress. When the second tier is out of reach, the
   * value lives in this process, and the old one is removed there as soon as it is back.
   * @throws ValueNotSerializableError
   */
  async set<T>(key: string, value: T, options?: CacheCallOptions<T>): Promise<void> {
    checkKey(key);
    const { parts, policy } = this;
    const scope = this.scope();
    const call = resolveCall(policy, options);
    const negative = value === undefined || value === null;
    const payload = parts.codec.encode(value);
    const tags = call.tagsOf(value);
    const wanted = negative ? call.negativeTtlMs : call.ttlOf(value);
    const change: Invalidation = { kind: 'keys', ...identify(scope), keys: [key] };
    if (wanted === 0 || Buffer.byteLength(payload) > parts.options.maxValueBytes) {
      if (wanted > 0) publishEvent(scope, 'l2', 'rejected');
      await invalidate(parts, change);
      return;
    }
    const shared = CachedValue.decode(payload, negative, parts.options.l1.values === 'copied', parts.codec);
    const ttlMs = jittered(wanted, call.jitter, parts.random);
    const graceMs = negative ? 0 : call.graceMs;
    parts.memory.invalidateKeys(scope, [key]);
    const adoption = this.adoption(scope, key, call);
    let sequence = 0;
    try {
      const entry = { payload, ttlMs, graceMs, loadMs: 0, negative, tags };
      const outcome = await parts.gateway.write(scope, encodeSegment(key), entry, { announcing: change });
      if (outcome.kind === 'written') sequence = outcome.sequence;
      publishEvent(scope, 'l2', 'set', { ttlMs });
    } catch {
      publishEvent(scope, 'l2', 'error');
      parts.gateway.defer(change);
    } finally {
      adoption.watch.close();
    }
    const undisturbed = adoption.watch.allows(key, tags);
    // Readers that asked the store before this write must not bring the old value back.
    parts.memory.invalidateKeys(scope, [key]);
    if (undisturbed)
      adopt(parts, adoption, shared, { sequence, tags, loadMs: 0, freshMs: ttlMs, goneMs: ttlMs + graceMs });
  }

  /**
   * The cached value, or what `loader` returns, which is cached then. However many callers and processes ask at
   * once, one loads. An error of the loader reaches all who wait and is not cached.
   * @throws what the loader throws, LoaderTimeoutError, LoaderFailedElsewhereError, ValueNotSerializableError
   */
  getOrSet<T>(key: string, loader: Loader<T>, options?: CacheCallOptions<T>): Promise<T> {
    const now = this.parts.clock.monotonic();
    const held = this.usable(key, now);
    if (held) {
      if (now > held.earlyFrom) this.refreshMaybe(key, held, held.freshUntil - now, loader, options);
      return held.answerPromise() as Promise<T>;
    }
    const value = this.joined(key, loader, options) ?? this.rebuilt(key, loader, options);
    return value.then((found) => found.read() as T);
  }

  /**
   * The values of many keys, by key; those that do not exist are left out. What is missing is loaded with one
   * call of `batchLoader`, except keys someone else is loading already.
   * @throws as {@link getOrSet}; one failing load fails the call
   */
  async getMany<T>(
    keys: readonly string[],
    batchLoader: BatchLoader<T>,
    options?: CacheCallOptions<T>,
  ): Promise<Map<string, T>> {
    for (const key of keys) checkKey(key);
    const now = this.parts.clock.monotonic();
    const found = new Map<string, Promise<CachedValue> | CachedValue>();
    const rebuilds: Rebuild[] = [];
    let call: ResolvedCall | undefined;
    for (const key of new Set(keys)) {
      const held = this.usable(key, now);
      const joined = held ? undefined : this.joined(key, singly(batchLoader), options);
      if (held) found.set(key, held.value);
      else if (joined) found.set(key, joined);
      else {
        call ??= resolveCall(this.policy, options);
        const rebuild = new Rebuild(this.parts, this.state, key, call);
        found.set(key, rebuild.flight.forStarter);
        rebuilds.push(rebuild);
      }
    }
    void this.rebuildTogether(rebuilds, batchLoader);
    const settled = await Promise.all(found.values());
    const values = new Map<string, T>();
    let index = 0;
    for (const key of found.keys()) {
      const value = settled[index++];
      if (value && !value.negative) values.set(key, value.read() as T);
    }
    return values;
  }

  /** Removes entries everywhere; rebuilds in progress do not bring them back. */
  delete(keys: string | readonly string[]): Promise<InvalidationOutcome> {
    const list = typeof keys === 'string' ? [keys] : keys;
    for (const key of list) checkKey(key);
    return invalidate(this.parts, { kind: 'keys', ...identify(this.scope()), keys: list });
  }

  /** Invalidates every entry of this namespace that carries one of the tags, at a cost per tag, not per entry. */
  deleteByTag(tags: string | readonly string[]): Promise<InvalidationOutcome> {
    const list = typeof tags === 'string' ? [tags] : tags;
    for (const tag of list) checkKey(tag, 'tag');
    return invalidate(this.parts, { kind: 'tags', ...identify(this.scope()), tags: list });
  }

  /** Invalidates the namespace. */
  clear(): Promise<InvalidationOutcome> {
    return invalidate(this.parts, { kind: 'namespace', ...identify(this.scope()) });
  }

  private scope(): ScopeState {
    if (this.state.retired) this.state = this.parts.memory.scope(this.state);
    return this.state;
  }

  /**
   * The entry in memory, if it may be served without asking anyone.
   * @throws CacheKeyInvalidError
   */
  private usable(key: string, now: number): HeldEntry | undefined {
    const { state, parts } = this;
    const held = state.entries.get(key);
    if (
      held !== undefined &&
      now < held.confirmedUntil &&
      !held.isOutdated &&
      parts.link.trusts(held.trust)
    ) {
      state.usedIn = parts.memory.epoch;
      parts.memory.noteHit(held);
      if (channels.cache.hasSubscribers) publishEvent(state, 'l1', held.value.negative ? 'negative' : 'hit');
      return held;
    }
    // What is no key is never held, so hits need no check.
    checkKey(key);
    if (state.retired) {
      this.scope();
      return this.usable(key, now);
    }
    state.usedIn = parts.memory.epoch;
    parts.memory.lookup(state, key, now);
    publishEvent(state, 'l1', 'miss');
    return undefined;
  }

  private rebuilt<T>(
    key: string,
    loader: Loader<T>,
    options: CacheCallOptions<T> | undefined,
  ): Promise<CachedValue> {
    const rebuild = new Rebuild(this.parts, this.scope(), key, resolveCall(this.policy, options));
    void rebuild.run(loader);
    return rebuild.flight.forStarter;
  }

  /** The load in progress, if it began under the bus's present state. */
  private inProgress(key: string): Flight | undefined {
    const flight = this.state.flights.get(key);
    return flight?.trust === this.parts.link.generation ? flight : undefined;
  }

  /**
   * The result of the load in progress. While the bus is cut nobody tells whether that was overtaken: once it has
   * ended without an error, what is there by then counts, and of all who waited one has to look.
   */
  private joined<T>(
    key: string,
    loader: Loader<T>,
    options: CacheCallOptions<T> | undefined,
  ): Promise<CachedValue> | undefined {
    const flight = this.inProgress(key);
    if (flight === undefined || this.parts.link.trusts(flight.trust)) return flight?.forJoiners;
    return flight.forStarter.then(() => {
      const next = this.scope().flights.get(key);
      return next && next !== flight ? next.forJoiners : this.rebuilt(key, loader, options);
    });
  }

  private adoption(scope: ScopeState, key: string, call: Pick<CachePolicy, 'earlyRefreshBeta'>): Adoption {
    return {
      scope,
      key,
      watch: this.parts.memory.watch(scope),
      trust: this.parts.link.generation,
      earlyRefreshBeta: call.earlyRefreshBeta,
    };
  }

  private async readStore(key: string, started: number): Promise<unknown> {
    const { parts, state: scope } = this;
    const adoption = this.adoption(scope, key, this.policy);
    try {
      const { reading, index } = parts.gateway.join(scope, key);
      const found = (await reading).entries[index];
      const entry = found instanceof Promise ? await found : found;
      const value = entry && entry.freshMs > 0 ? decodeEntry(parts, scope, entry) : undefined;
      if (!entry || !value) {
        this.noteRead('miss', started);
        return undefined;
      }
      this.noteRead(value.negative ? 'negative' : 'hit', started);
      adopt(parts, adoption, value, entry);
      return value.read();
    } catch {
      this.noteRead('error', started);
      const now = parts.clock.monotonic();
      const held = parts.memory.lookup(scope, key, now, true);
      return held && now < held.confirmedUntil ? held.value.read() : undefined;
    } finally {
      adoption.watch.close();
    }
  }

  private noteRead(outcome: 'hit' | 'negative' | 'miss' | 'error', started: number): void {
    if (!channels.cache.hasSubscribers) return;
    publishEvent(this.state, 'l2', outcome, { durationMs: this.parts.clock.monotonic() - started });
  }

  private refreshMaybe<T>(
    key: string,
    held: MemoryEntry,
    remainingMs: number,
    loader: Loader<T>,
    options: CacheCallOptions<T> | undefined,
  ): void {
    const scope = this.state;
    const call = resolveCall(this.policy, options);
    if (this.inProgress(key)) return;
    if (!refreshesEarly(remainingMs, held.loadMs, call.earlyRefreshBeta, this.parts.random)) return;
    void new Rebuild(this.parts, scope, key, call).refresh(held, loader);
  }

  private async rebuildTogether<T>(rebuilds: readonly Rebuild[], batchLoader: BatchLoader<T>): Promise<void> {
    if (rebuilds.length === 0) return;
    const missing: Rebuild[] = [];
    await Promise.all(
      rebuilds.map((rebuild) =>
        rebuild.guarded(async () => {
          if (!(await rebuild.consult())) missing.push(rebuild);
        }),
      ),
    );
    const single = singly(batchLoader);
    const own: Rebuild[] = [];
    const others: Rebuild[] = [];
    await Promise.all(
      missing.map((rebuild) =>
        rebuild.guarded(async () => {
          const contention = await rebuild.contend();
          if (contention === 'load') own.push(rebuild);
          else if (contention !== 'done') others.push(rebuild);
        }),
      ),
    );
    let batch: Promise<ReadonlyMap<string, T>> | undefined;
    const keys = own.map((rebuild) => rebuild.key);
    const fromBatch: Loader<unknown> = async ({ key, signal }) => {
      batch ??= (async () => batchLoader(keys, { signal }))();
      return (await batch).get(key);
    };
    await Promise.all([
      ...own.map((rebuild) => rebuild.guarded(() => rebuild.load(fromBatch))),
      ...others.map((rebuild) => rebuild.guarded(() => rebuild.contendAndLoad(single))),
    ]);
  }
}

/** A loader of one key; undefined when the batch loader leaves it out. */
function singly<T>(batchLoader: BatchLoader<T>): Loader<T> {
  return async ({ key, signal }) => (await batchLoader([key], { signal })).get(key) as T;
}

/** In this process at once and again once the store has it, so that nothing read in between stays. */
async function invalidate(parts: CacheParts, change: Invalidation): Promise<InvalidationOutcome> {
  invalidateMemory(parts, change);
  const outcome = await parts.gateway.invalidate(change);
  invalidateMemory(parts, change);
  publishEvent(
    { tenantId: change.tenantId, namespace: change.kind === 'tenant' ? '*' : change.namespace },
    'l2',
    outcome === 'applied' ? 'invalidated' : 'error',
  );
  return outcome;
}

function invalidateMemory({ memory }: CacheParts, change: Invalidation): void {
  if (change.kind === 'tenant') {
    memory.clear(change.tenantId);
    return;
  }
  const scope = memory.known(change);
  if (!scope) return;
  if (change.kind === 'keys') memory.invalidateKeys(scope, change.keys);
  else if (change.kind === 'tags') memory.invalidateTags(scope, encodeTags(change.tags));
  else memory.clear(change.tenantId, change.namespace);
}

function identify({ tenantId, namespace }: ScopeState): CacheScope {
  return { tenantId, namespace };
}

function peekOf<T>(tier: 'l1' | 'l2', value: CachedValue, remainingMs: number): CachePeek<T> {
  return {
    value: value.read() as T,
    tier,
    state: value.negative ? 'negative' : remainingMs > 0 ? 'fresh' : 'stale',
    remainingMs: Math.max(0, remainingMs),
  };
}
