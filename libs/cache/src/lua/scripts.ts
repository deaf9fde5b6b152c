import { z } from 'zod';
import { CacheStoreError } from '../errors.js';
import type { LeaseOutcome, StoredEntry, StoreReading, WriteOutcome } from '../ports/cache-store.port.js';
import { defineScript } from './redis-script.js';

const safeInteger = z.coerce.number().int().nonnegative();
const HEADER = /^(\d+) (\d+) (\d+) (\d+) ([01])((?: [rh]\.[^ ]+)*)$/;

function parser<Schema extends z.ZodType>(name: string, schema: Schema) {
  return (reply: unknown): z.output<Schema> => {
    const parsed = schema.safeParse(reply);
    if (parsed.success) return parsed.data;
    throw new CacheStoreError(`Script ${name} gave an unexpected reply.`);
  };
}

function parseEntry(text: string, goneMs: number): StoredEntry {
  const end = text.indexOf('\n');
  const header = HEADER.exec(text.slice(0, end));
  if (end < 0 || !header) throw new CacheStoreError('A stored entry has an unexpected form.');
  const [, sequence, , graceMs, loadMs, negative, tags = ''] = header;
  return {
    payload: text.slice(end + 1),
    sequence: Number(sequence),
    goneMs,
    freshMs: goneMs - Number(graceMs),
    loadMs: Number(loadMs),
    negative: negative === '1',
    tags: tags.split(' ').filter(Boolean),
  };
}

/**
 * KEYS: versions, namespace mark, entries…
 *
 * Parsed by hand: this is the path of every hit of the second tier, where a schema costs more than the call.
 */
export const readEntries = defineScript<[], StoreReading>('read-entries-n', (reply) => {
  const unexpected = () => new CacheStoreError('Script read-entries-n gave an unexpected reply.');
  if (!Array.isArray(reply) || reply.length % 2 === 0) throw unexpected();
  const fields: readonly unknown[] = reply;
  const sequence = Number(fields[0]);
  if (!Number.isSafeInteger(sequence)) throw unexpected();
  const entries: (StoredEntry | undefined)[] = [];
  for (let index = 1; index < fields.length; index += 2) {
    const text = fields[index];
    const goneMs = fields[index + 1];
    if (typeof text !== 'string' || typeof goneMs !== 'number') throw unexpected();
    entries.push(text !== '' && goneMs > 0 ? parseEntry(text, goneMs) : undefined);
  }
  return { sequence, entries };
});

const leaseReply = z.union([
  z.tuple([z.literal('hit'), z.string(), z.number()]),
  z.tuple([z.literal('failed'), z.string()]),
  z.tuple([z.literal('busy'), z.number()]),
  z.tuple([z.literal('leased'), safeInteger]),
]);

/** KEYS: versions, namespace mark, entry, lease. Arguments: lease ms, since, newer than, tags… */
export const acquireLease = defineScript<[number, number, number, ...string[]], LeaseOutcome>(
  'acquire-lease-4',
  (reply) => {
    const parsed = parser('acquire-lease-4', leaseReply)(reply);
    switch (parsed[0]) {
      case 'hit':
        return { kind: 'hit', entry: parseEntry(parsed[1], parsed[2]) };
      case 'failed':
        return { kind: 'failed', reason: parsed[1] };
      case 'busy':
        return { kind: 'busy', remainingMs: Math.max(0, parsed[1]) };
      case 'leased':
        return { kind: 'leased', token: parsed[1] };
    }
  },
);

const flag = z.union([z.literal(0), z.literal(1)]);

/** KEYS: versions, namespace mark, lease. Arguments: token, lease ms. */
export const renewLease = defineScript<[number, number], boolean>(
  'renew-lease-3',
  (reply) => parser('renew-lease-3', flag)(reply) === 1,
);

/** KEYS: versions, lease. Arguments: token, ms to keep a failure (0: none), its reason. */
export const releaseLease = defineScript<[number, number, string], boolean>(
  'release-lease-2',
  (reply) => parser('release-lease-2', flag)(reply) === 1,
);

const writeReply = z.union([z.tuple([z.literal('written'), safeInteger]), z.tuple([z.literal('overtaken')])]);

/** KEYS: versions, namespace mark, entry, lease. Arguments: token or '', ttl, grace, load ms, negative, payload, tags… */
export const writeEntry = defineScript<
  [number | '', number, number, number, 0 | 1, string, ...string[]],
  WriteOutcome
>('write-entry-4', (reply) => {
  const parsed = parser('write-entry-4', writeReply)(reply);
  return parsed[0] === 'written' ? { kind: 'written', sequence: parsed[1] } : { kind: 'overtaken' };
});

/** KEYS: versions, namespace mark. Arguments: ms to keep a new counter, tags… */
export const invalidateTags = defineScript<[number, ...string[]], number>(
  'invalidate-tags-2',
  parser('invalidate-tags-2', safeInteger),
);

/** KEYS: versions, namespace mark (for a tenant: versions again). Arguments: ms to keep a new counter, which. */
export const clearScope = defineScript<[number, 'namespace' | 'tenant'], number>(
  'clear-scope-2',
  parser('clear-scope-2', safeInteger),
);

/** Every script, for tests that check files against descriptors. */
export const scripts = {
  readEntries,
  acquireLease,
  renewLease,
  releaseLease,
  writeEntry,
  invalidateTags,
  clearScope,
} as const;
