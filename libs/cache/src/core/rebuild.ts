import { LoadAbandonedError, LoaderFailedElsewhereError, LoaderTimeoutError } from '../errors.js';
import type { EntryToWrite, LeaseOutcome, StoredEntry } from '../ports/cache-store.port.js';
import type { BusMessage } from '../ports/invalidation-bus.port.js';
import type { Loader, ResolvedCall } from './cache-call.js';
import { type Adoption, adopt, type CacheParts, decodeEntry, publishEvent } from './cache-parts.js';
import { encodeSegment } from './cache-scope.js';
import { CachedValue } from './cached-value.js';
import { Flight } from './flight.js';
import { jittered } from './freshness.js';
import type { MemoryEntry, ScopeState } from './memory-tier.js';

/** What the store said about who loads: this caller, nobody (the flight has landed), or someone else. */
export type Contention = 'load' | 'done' | { readonly busyForMs: number };

const NOTHING_NEWER = 0;
const MAX_REASON_LENGTH = 300;

/**
 * The way of one missing entry through the cache: ask the second tier, take the lease or wait for whoever has
 * it, load, write under the lease, wake the others. One per key and process at a time; callers wait on its
 * flight, which settles whatever happens.
 *
 * Without the second tier the load goes ahead alone and its value stays in this process.
 */
export class Rebuild {
  readonly flight: Flight;
  private readonly adoption: Adoption;
  private readonly storeKey: string;
  private readonly deadline: number;
  /** The tenant's version counter when this call began: later failures concern it too. */
  private since: number | undefined = 0;
  private newerThan = NOTHING_NEWER;
  private lease: number | undefined;
  /** Set when the second tier is out of reach: this load neither waits for it again nor writes to it. */
  private alone = false;
  private stale:
    | { value: CachedValue; goneAt: number; tags: readonly string[]; sequence: number }
    | undefined;

  constructor(
    private readonly parts: CacheParts,
    private readonly scope: ScopeState,
    readonly key: string,
    private readonly call: ResolvedCall,
  ) {
    this.flight = new Flight(call.knownTags, parts.link.generation);
    scope.flights.set(key, this.flight);
    this.adoption = {
      scope,
      key,
      watch: parts.memory.watch(scope),
      trust: parts.link.generation,
      earlyRefreshBeta: call.earlyRefreshBeta,
    };
    this.storeKey = encodeSegment(key);
    this.deadline = parts.clock.monotonic() + call.hardTimeoutMs + call.leaseMs;
  }

  /** The whole way. Never rejects; the flight tells. */
  async run(loader: Loader<unknown>): Promise<void> {
    await this.guarded(async () => {
      if (this.parts.gateway.expectsMiss(this.scope)) this.since = undefined;
      else if (await this.consult()) return;
      await this.contendAndLoad(loader);
    });
  }

  /** A refresh of a value that is still fresh. */
  async refresh(current: Pick<MemoryEntry, 'sequence'>, loader: Loader<unknown>): Promise<void> {
    this.newerThan = current.sequence;
    await this.guarded(() => this.contendAndLoad(loader));
  }

  /** Runs a part of the way; if it throws, the flight crashes rather than hangs. */
  async guarded(part: () => Promise<void>): Promise<void> {
    try {
      await part();
    } catch (error) {
      this.crash(error);
    }
  }

  /** Asks the second tier. True when the flight has landed. */
  async consult(): Promise<boolean> {
    const started = this.parts.clock.monotonic();
    try {
      const reading = await this.parts.gateway.read(this.scope, this.key);
      this.since = reading.sequence;
      const durationMs = this.parts.clock.monotonic() - started;
      if (reading.entry && this.offer(reading.entry, durationMs)) return true;
      if (!reading.entry) publishEvent(this.scope, 'l2', 'miss', { durationMs });
      return false;
    } catch {
      publishEvent(this.scope, 'l2', 'error', { durationMs: this.parts.clock.monotonic() - started });
      this.alone = true;
      return this.fallBackToMemory();
    }
  }

  async contendAndLoad(loader: Loader<unknown>): Promise<void> {
    const { clock, wakeUps } = this.parts;
    for (;;) {
      const wakeUp = wakeUps.register(`${this.scope.id}\0${this.key}`);
      const contention = await this.contend();
      if (contention === 'done' || contention === 'load') {
        wakeUp.cancel();
        if (contention === 'load') await this.load(loader);
        return;
      }
      const patience = this.deadline - clock.monotonic();
      if (patience <= 0) {
        wakeUp.cancel();
        await this.load(loader);
        return;
      }
      await wakeUp.within(Math.min(patience, contention.busyForMs + 1));
    }
  }

  /** Tries to take the lease once. */
  async contend(): Promise<Contention> {
    if (this.alone) return 'load';
    const started = this.parts.clock.monotonic();
    try {
      const outcome = await this.acquire();
      return await this.accept(outcome, this.parts.clock.monotonic() - started);
    } catch {
      const durationMs = this.parts.clock.monotonic() - started;
      publishEvent(this.scope, 'l2', 'error', { durationMs });
      if (this.since !== undefined) return 'load';
      this.alone = true;
      return this.fallBackToMemory() ? 'done' : 'load';
    }
  }

  /** Calls the loader and settles the flight. */
  async load(loader: Loader<unknown>): Promise<void> {
    const { clock } = this.parts;
    const started = clock.monotonic();
    const stopRenewing = this.keepLease();
    if (this.stale && this.call.staleWhileRevalidate) {
      publishEvent(this.scope, 'l2', 'stale');
      this.flight.offerStale(this.stale.value, true);
    }
    try {
      const value = await this.runLoader(loader);
      const loadMs = clock.monotonic() - started;
      publishEvent(this.scope, 'loader', 'miss', { durationMs: loadMs });
      await this.keep(value, loadMs);
    } catch (error) {
      const abandoned = error instanceof LoadAbandonedError;
      if (!abandoned)
        publishEvent(this.scope, 'loader', 'error', { durationMs: clock.monotonic() - started });
      // Without a failure, whoever waits elsewhere takes the lease and loads.
      await this.giveLeaseBack(abandoned ? undefined : error);
      this.fail(error);
    } finally {
      stopRenewing();
    }
  }

  private acquire() {
    const { scope, storeKey, call, since, newerThan } = this;
    const tags = call.knownTags ?? [];
    return this.parts.gateway.acquireLease(scope, storeKey, {
      leaseMs: call.leaseMs,
      tags,
      since,
      newerThan,
    });
  }

  private async accept(outcome: LeaseOutcome<string>, durationMs: number): Promise<Contention> {
    const { scope, storeKey, call, parts } = this;
    switch (outcome.kind) {
      case 'leased':
        this.lease = outcome.token;
        this.noteMiss(outcome.stale, durationMs);
        return 'load';
      case 'failed':
        this.fail(new LoaderFailedElsewhereError(outcome.reason));
        return 'done';
      case 'busy':
        this.noteMiss(outcome.stale, durationMs);
        this.since ??= outcome.sequence;
        if (!this.stale) return { busyForMs: outcome.remainingMs };
        publishEvent(scope, 'l2', 'stale');
        this.land(this.stale.value);
        return 'done';
      case 'hit':
        if (outcome.entry && this.offer(outcome.entry, durationMs)) return 'done';
        // Only removing it lets anyone rebuild.
        await parts.gateway.call(scope.tenantId, (store) => store.remove(scope, [storeKey]));
        return { busyForMs: Math.min(10, call.leaseMs) };
    }
  }

  /** What a first look would have found, when asking for the lease was the first look. */
  private noteMiss(stale: StoredEntry | undefined, durationMs: number): void {
    if (this.since !== undefined) return;
    if (stale) this.offer(stale);
    else publishEvent(this.scope, 'l2', 'miss', { durationMs });
  }

  /** Lands on a fresh entry; remembers a stale one. */
  private offer(entry: StoredEntry, durationMs?: number): boolean {
    const value = decodeEntry(this.parts, this.scope, entry);
    if (!value) return false;
    if (entry.freshMs <= 0) {
      this.stale = {
        value,
        goneAt: this.parts.clock.monotonic() + entry.goneMs,
        tags: entry.tags,
        sequence: entry.sequence,
      };
      this.flight.offerStale(value, false);
      return false;
    }
    publishEvent(this.scope, 'l2', entry.negative ? 'negative' : 'hit', { durationMs });
    adopt(this.parts, this.adoption, value, entry);
    this.land(value);
    return true;
  }

  /** The second tier is out of reach: what memory still holds will do for its time. */
  private fallBackToMemory(): boolean {
    const now = this.parts.clock.monotonic();
    const entry = this.parts.memory.lookup(this.scope, this.key, now, true);
    if (!entry) return false;
    if (now < entry.confirmedUntil) {
      publishEvent(this.scope, 'l1', entry.value.negative ? 'negative' : 'hit');
      this.land(entry.value);
      return true;
    }
    this.stale = entry;
    this.flight.offerStale(entry.value, false);
    return false;
  }

  private async runLoader(loader: Loader<unknown>): Promise<unknown> {
    const { clock } = this.parts;
    const { hardTimeoutMs, softTimeoutMs } = this.call;
    const controller = new AbortController();
    let reject: (error: unknown) => void = () => undefined;
    const timedOut = new Promise<never>((_, onTimeout) => {
      reject = onTimeout;
    });
    const hard = clock.schedule(hardTimeoutMs, () => {
      const error = new LoaderTimeoutError(hardTimeoutMs);
      controller.abort(error);
      reject(error);
    });
    const soft =
      softTimeoutMs === undefined
        ? undefined
        : clock.schedule(softTimeoutMs, () => {
            if (!this.stale) return;
            publishEvent(this.scope, 'l2', 'stale');
            this.flight.offerStale(this.stale.value, true);
          });
    try {
      const work = (async () => loader({ key: this.key, signal: controller.signal }))();
      return await Promise.race([work, timedOut]);
    } finally {
      hard.cancel();
      soft?.cancel();
    }
  }

  private async keep(value: unknown, loadMs: number): Promise<void> {
    const { parts, scope, call } = this;
    const negative = value === undefined || value === null;
    const payload = parts.codec.encode(value);
    const shared = CachedValue.decode(payload, negative, parts.options.l1.values === 'copied', parts.codec);
    const wanted = negative ? call.negativeTtlMs : call.ttlOf(value);
    const tags = call.tagsOf(value);
    if (wanted === 0 || Buffer.byteLength(payload) > parts.options.maxValueBytes) {
      if (wanted > 0) publishEvent(scope, 'l2', 'rejected');
      await this.giveLeaseBack();
      this.land(shared);
      return;
    }
    const ttlMs = jittered(wanted, call.jitter, parts.random);
    const graceMs = negative ? 0 : call.graceMs;
    const sequence = await this.write({ payload, ttlMs, graceMs, loadMs, negative, tags });
    if (sequence !== undefined)
      adopt(parts, this.adoption, shared, {
        sequence,
        loadMs,
        tags,
        freshMs: ttlMs,
        goneMs: ttlMs + graceMs,
      });
    this.land(shared);
  }

  /** The sequence of the entry if it may be kept in memory; zero if only there. */
  private async write(entry: EntryToWrite): Promise<number | undefined> {
    const { parts, scope, storeKey, lease } = this;
    if (lease === undefined) return 0;
    try {
      const outcome = await parts.gateway.write(scope, storeKey, entry, {
        token: lease,
        announcing: this.end(),
      });
      this.wakeOwn();
      if (outcome.kind === 'overtaken') {
        publishEvent(scope, 'l2', 'rejected');
        return undefined;
      }
      publishEvent(scope, 'l2', 'set', { ttlMs: entry.ttlMs });
      return outcome.sequence;
    } catch {
      publishEvent(scope, 'l2', 'error');
      return 0;
    }
  }

  private async giveLeaseBack(error?: unknown): Promise<void> {
    const { parts, scope, storeKey, lease, call } = this;
    if (lease === undefined) return;
    const failure = error === undefined ? undefined : { reason: reasonOf(error), keepMs: call.leaseMs };
    try {
      await parts.gateway.releaseLease(scope, storeKey, lease, this.end(), failure);
      this.wakeOwn();
    } catch {
      // The lease runs out by itself.
      publishEvent(scope, 'l2', 'error');
    }
  }

  /** What the other processes are told when this rebuild ends. */
  private end(): BusMessage {
    const { tenantId, namespace } = this.scope;
    return { kind: 'settled', tenantId, namespace, key: this.key };
  }

  /** A load that came after an invalidation may be waiting for this one in the same process. */
  private wakeOwn(): void {
    this.parts.wakeUps.wake(`${this.scope.id}\0${this.key}`);
  }

  /** Renews the lease at half its life while the loader runs, so that a long load is not taken for a dead one. */
  private keepLease(): () => void {
    const { parts, scope, storeKey, lease, call } = this;
    if (lease === undefined) return () => undefined;
    let stopped = false;
    let timer = parts.clock.schedule(call.leaseMs / 2, renew);
    function renew(): void {
      parts.gateway
        .call(scope.tenantId, (store) => store.renewLease(scope, storeKey, lease as number, call.leaseMs))
        .catch(() => true)
        .then((held) => {
          if (held && !stopped) timer = parts.clock.schedule(call.leaseMs / 2, renew);
        });
    }
    return () => {
      stopped = true;
      timer.cancel();
    };
  }

  private fail(error: unknown): void {
    const { stale, parts, scope, call } = this;
    const now = parts.clock.monotonic();
    if (!stale || now >= stale.goneAt) {
      this.crash(error);
      return;
    }
    publishEvent(scope, 'l2', 'stale');
    const freshMs = Math.min(call.graceRetryMs, stale.goneAt - now);
    adopt(parts, { ...this.adoption, earlyRefreshBeta: 0 }, stale.value, {
      sequence: stale.sequence,
      tags: stale.tags,
      loadMs: 0,
      freshMs,
      goneMs: stale.goneAt - now,
    });
    this.land(stale.value);
  }

  private land(value: CachedValue): void {
    this.close();
    this.flight.land(value);
  }

  private crash(error: unknown): void {
    this.close();
    this.flight.crash(error);
  }

  private close(): void {
    this.adoption.watch.close();
    if (this.scope.flights.get(this.key) === this.flight) this.scope.flights.delete(this.key);
  }
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.slice(0, MAX_REASON_LENGTH);
}
