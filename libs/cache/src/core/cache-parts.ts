import { type CacheEvent, type Clock, channels, type Random } from '@sparkle/contracts';
import type { CacheCoreOptions } from '../cache.options.js';
import type { StoredEntry } from '../ports/cache-store.port.js';
import type { BusLink } from './bus-link.js';
import type { CacheScope } from './cache-scope.js';
import { CachedValue } from './cached-value.js';
import { earlyWindow } from './freshness.js';
import type { InvalidationWatch, MemoryTier, ScopeState } from './memory-tier.js';
import type { StoreGateway } from './store-gateway.js';
import type { ValueCodec } from './value-codec.js';
import type { WakeUps } from './wake-ups.js';

/** What the parts of the cache share. */
export interface CacheParts {
  readonly options: CacheCoreOptions;
  readonly memory: MemoryTier;
  readonly gateway: StoreGateway;
  readonly link: BusLink;
  readonly wakeUps: WakeUps;
  readonly clock: Clock;
  readonly random: Random;
  readonly codec: ValueCodec;
}

export function publishEvent(
  scope: CacheScope,
  tier: CacheEvent['tier'],
  outcome: CacheEvent['outcome'],
  details?: Pick<CacheEvent, 'durationMs' | 'ttlMs'>,
): void {
  if (!channels.cache.hasSubscribers) return;
  channels.cache.publish({
    tenantId: scope.tenantId,
    namespace: scope.namespace,
    tier,
    outcome,
    ...details,
  });
}

/** Decodes a stored entry; one that cannot be read counts as missing. */
export function decodeEntry(
  parts: CacheParts,
  scope: CacheScope,
  entry: StoredEntry,
): CachedValue | undefined {
  try {
    const copies = parts.options.l1.values === 'copied';
    return CachedValue.decode(entry.payload, entry.negative, copies, parts.codec);
  } catch {
    publishEvent(scope, 'l2', 'error');
    return undefined;
  }
}

/** Where a value for the first tier comes from, and what it was read under. */
export interface Adoption {
  readonly scope: ScopeState;
  readonly key: string;
  readonly watch: InvalidationWatch;
  /** Generation of the bus link when the read or load began. */
  readonly trust: number;
  readonly earlyRefreshBeta: number;
}

/** Puts a value into the first tier, unless it was invalidated while on its way. */
export function adopt(
  parts: CacheParts,
  { scope, key, watch, trust, earlyRefreshBeta }: Adoption,
  value: CachedValue,
  entry: Omit<StoredEntry, 'payload' | 'negative'>,
): void {
  if (parts.options.l1.ttlMs === 0 || scope.retired || !watch.allows(key, entry.tags)) return;
  const now = parts.clock.monotonic();
  const freshUntil = now + entry.freshMs;
  parts.memory.put(scope, key, {
    value,
    trust,
    sequence: entry.sequence,
    loadMs: entry.loadMs,
    tags: entry.tags,
    freshUntil,
    goneAt: now + entry.goneMs,
    confirmedUntil: Math.min(freshUntil, now + parts.options.l1.ttlMs),
    earlyFrom: freshUntil - earlyWindow(entry.loadMs, earlyRefreshBeta),
  });
}
