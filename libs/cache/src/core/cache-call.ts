import type { CachePolicy } from '../cache.options.js';
import { CacheOptionsInvalidError } from '../errors.js';
import { checkKey, encodeSegment } from './cache-scope.js';

/** How one call keeps what it stores. What is left out comes from the namespace, then from the module. */
export interface CacheCallOptions<T = unknown> extends Partial<Omit<CachePolicy, 'ttlMs'>> {
  /** Milliseconds, or a function of the value. Zero: not kept. */
  readonly ttlMs?: number | ((value: T) => number);
  /** Tags by which the entry can be invalidated. Known beforehand, or a function of the value. */
  readonly tags?: readonly string[] | ((value: T) => readonly string[]);
}

export interface LoaderContext {
  readonly key: string;
  /** Aborts when the load exceeds its hard timeout. */
  readonly signal: AbortSignal;
}

/** Fetches a value that is not cached. `undefined` and `null` mean that the thing does not exist. */
export type Loader<T> = (context: LoaderContext) => Promise<T> | T;

export interface BatchLoaderContext {
  readonly signal: AbortSignal;
}

/** Fetches several values at once. Keys left out of the result do not exist. */
export type BatchLoader<T> = (
  keys: readonly string[],
  context: BatchLoaderContext,
) => Promise<ReadonlyMap<string, T>> | ReadonlyMap<string, T>;

/** A call's options with every default filled in and tags encoded. */
export interface ResolvedCall extends Omit<CachePolicy, 'ttlMs'> {
  readonly ttlOf: (value: unknown) => number;
  /** Encoded tags if they are known before the value is; otherwise `undefined`. */
  readonly knownTags: readonly string[] | undefined;
  readonly tagsOf: (value: unknown) => readonly string[];
}

const DURATIONS = ['negativeTtlMs', 'graceMs', 'graceRetryMs', 'earlyRefreshBeta'] as const;
const TIMEOUTS = ['hardTimeoutMs', 'softTimeoutMs', 'leaseMs'] as const;

/** @throws CacheOptionsInvalidError, CacheKeyInvalidError */
export function resolveCall<T>(policy: CachePolicy, options: CacheCallOptions<T> | undefined): ResolvedCall {
  const { ttlMs: ownTtl, tags = [], ...own } = options ?? {};
  const merged = { ...policy, ...definedOnly(own) };
  const ttlMs = ownTtl ?? policy.ttlMs;
  const problems = [
    ...(typeof ttlMs === 'function' || isDuration(ttlMs) ? [] : ['ttlMs: must be zero or more milliseconds']),
    ...DURATIONS.filter((name) => !isDuration(merged[name])).map((name) => `${name}: must be zero or more`),
    ...TIMEOUTS.filter((name) => merged[name] !== undefined && !(Number(merged[name]) > 0)).map(
      (name) => `${name}: must be more than zero milliseconds`,
    ),
    ...(merged.jitter >= 0 && merged.jitter <= 0.5 ? [] : ['jitter: must be from 0 to 0.5']),
  ];
  if (problems.length > 0) throw new CacheOptionsInvalidError(problems);
  const knownTags = typeof tags === 'function' ? undefined : encodeTags(tags);
  return {
    ...merged,
    ttlOf: typeof ttlMs === 'function' ? (value) => checkTtl(ttlMs(value as T)) : () => ttlMs,
    knownTags,
    tagsOf: typeof tags === 'function' ? (value) => encodeTags(tags(value as T)) : () => knownTags ?? [],
  };
}

export function encodeTags(tags: readonly string[]): readonly string[] {
  for (const tag of tags) checkKey(tag, 'tag');
  return [...new Set(tags)].map(encodeSegment);
}

function checkTtl(ttlMs: number): number {
  if (!isDuration(ttlMs)) throw new CacheOptionsInvalidError(['ttlMs: must be zero or more milliseconds']);
  return ttlMs;
}

function isDuration(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function definedOnly<Fields extends object>(fields: Fields): Partial<Fields> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Partial<Fields>;
}
