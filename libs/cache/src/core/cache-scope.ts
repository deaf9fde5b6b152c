import { createHash } from 'node:crypto';
import { parseTenantId, type TenantId } from '@sparkle/contracts';
import { LRUCache } from 'lru-cache';
import { CacheKeyInvalidError } from '../errors.js';

/** Whose entries (`tenantId`), and which family of them (`namespace`). No call is made without one. */
export interface CacheScope {
  readonly tenantId: TenantId;
  /** 1–64 characters of `A-Z a-z 0-9 _ . -`. */
  readonly namespace: string;
}

const NAMESPACE = /^[A-Za-z0-9_.-]{1,64}$/;
/** Printable ASCII without spaces and braces. */
const SAFE_SEGMENT = /^[!-z|~]{1,96}$/;

/** @throws TenantIdInvalidError, CacheKeyInvalidError */
export function checkScope(scope: CacheScope): CacheScope {
  return { tenantId: parseTenantId(scope?.tenantId), namespace: checkNamespace(scope.namespace) };
}

export function checkNamespace(namespace: unknown): string {
  if (typeof namespace !== 'string' || !NAMESPACE.test(namespace))
    throw new CacheKeyInvalidError(
      'A cache namespace is 1 to 64 characters of letters, digits, "_", "." and "-".',
    );
  return namespace;
}

/** Any non-empty string is a key or tag. */
export function checkKey(key: unknown, what: 'key' | 'tag' = 'key'): asserts key is string {
  if (typeof key !== 'string' || key.length === 0)
    throw new CacheKeyInvalidError(`A cache ${what} is a string of at least one character.`);
}

/** Keys and tags that were hashed lately, by their hash; the other way round costs a hash each time, too. */
const hashed = new LRUCache<string, string>({ max: 10_000, maxSize: 4_000_000, sizeCalculation: sizeOf });
const hashes = new LRUCache<string, string>({ max: 10_000, maxSize: 4_000_000, sizeCalculation: sizeOf });

/**
 * A key or tag as stores see it: short harmless ones as they are, all others as a SHA-256 of their UTF-16 code
 * units, so that two different strings never meet, whatever they contain.
 */
export function encodeSegment(text: string): string {
  if (SAFE_SEGMENT.test(text)) return `r.${text}`;
  let segment = hashes.get(text);
  if (segment === undefined) {
    segment = `h.${createHash('sha256').update(text, 'utf16le').digest('base64url')}`;
    hashes.set(text, segment);
    hashed.set(segment, text);
  }
  return segment;
}

/** What {@link encodeSegment} made a segment of; `undefined` when that cannot be told any more. */
export function decodeSegment(segment: string): string | undefined {
  return segment.startsWith('r.') ? segment.slice(2) : hashed.get(segment);
}

function sizeOf(value: string, key: string): number {
  return value.length + key.length;
}
