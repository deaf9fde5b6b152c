import type { LeaseOutcome, WriteOutcome } from '../ports/cache-store.port.js';
import { parseStoredEntry } from './entry-format.js';
import { defineScript } from './redis-script.js';

/** A reply's item as text, if it is a bulk string. */
const textOf = (item: unknown) => (Buffer.isBuffer(item) ? item.toString() : undefined);

/** A reply's item as a number of a counter. */
function numberOf(item: unknown): number | undefined {
  const number = Number(textOf(item));
  return Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

const flagOf = (reply: unknown) => (reply === 0 || reply === 1 ? reply === 1 : undefined);

/** KEYS: any of the tenant's. The server's time, milliseconds. */
export const readTime = defineScript<[], number>('read-time-1', (reply) =>
  typeof reply === 'number' ? reply : undefined,
);

function parseLeaseReply(reply: unknown): LeaseOutcome | undefined {
  if (!Array.isArray(reply)) return undefined;
  const items: readonly unknown[] = reply;
  const entryAt = (index: number) => {
    const text = items[index];
    const now = items[index + 1];
    return Buffer.isBuffer(text) && typeof now === 'number' ? parseStoredEntry(text, now) : undefined;
  };
  switch (textOf(items[0])) {
    case 'hit':
      return { kind: 'hit', entry: entryAt(1) };
    case 'failed': {
      const reason = textOf(items[1]);
      return reason === undefined ? undefined : { kind: 'failed', reason };
    }
    case 'busy': {
      const [, remainingMs, counter] = items;
      const sequence = numberOf(counter);
      if (typeof remainingMs !== 'number' || sequence === undefined) return undefined;
      return { kind: 'busy', remainingMs: Math.max(0, remainingMs), sequence, stale: entryAt(3) };
    }
    case 'leased': {
      const token = numberOf(items[1]);
      return token === undefined ? undefined : { kind: 'leased', token, stale: entryAt(2) };
    }
    default:
      return undefined;
  }
}

/** KEYS: counter, namespace mark, entry, lease. Arguments: lease ms, since or '', newer than, tags… */
export const acquireLease = defineScript<[number, number | '', number, ...string[]], LeaseOutcome>(
  'acquire-lease-4',
  parseLeaseReply,
);

/** KEYS: counter, namespace mark, lease. Arguments: token, lease ms. */
export const renewLease = defineScript<[number, number], boolean>('renew-lease-3', flagOf);

/** KEYS: counter, lease. Arguments: token, ms to keep a failure (0: none), its reason, channel, news. */
export const releaseLease = defineScript<[number, number, string, string, string], boolean>(
  'release-lease-2',
  flagOf,
);

/**
 * KEYS: counter, namespace mark, entry, lease, detached payload. Arguments: token or '', ttl, grace, load ms,
 * negative, form, payload, channel, news, tags…
 */
export const writeEntry = defineScript<
  [number | '', number, number, number, 0 | 1, string, string | Buffer, string, string, ...string[]],
  WriteOutcome
>('write-entry-5', (reply) => {
  if (!Array.isArray(reply)) return undefined;
  const items: readonly unknown[] = reply;
  const kind = textOf(items[0]);
  if (kind === 'overtaken') return { kind };
  const sequence = numberOf(items[1]);
  return kind === 'written' && sequence !== undefined ? { kind, sequence } : undefined;
});

/** KEYS: entries, leases, detached payloads. Arguments: channel, news. */
export const removeEntries = defineScript<[string, string], number>('remove-entries-n', (reply) =>
  typeof reply === 'number' ? reply : undefined,
);

/** KEYS: counter, namespace mark. Arguments: ms to keep a new counter, channel, news, tags… */
export const invalidateTags = defineScript<[number, string, string, ...string[]], number>(
  'invalidate-tags-2',
  numberOf,
);

/**
 * KEYS: counter, namespace mark (for a tenant: counter again). Arguments: ms to keep a new counter, which,
 * channel, news.
 */
export const clearScope = defineScript<[number, 'namespace' | 'tenant', string, string], number>(
  'clear-scope-2',
  numberOf,
);

/** Every script, for tests that check files against descriptors. */
export const scripts = {
  readTime,
  acquireLease,
  renewLease,
  releaseLease,
  writeEntry,
  removeEntries,
  invalidateTags,
  clearScope,
} as const;
