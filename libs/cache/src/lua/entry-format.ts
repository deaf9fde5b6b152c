import type { StoredEntry, StoredPayload } from '../ports/cache-store.port.js';

const NEWLINE = 10;
const SPACE = 32;
const ZERO = 48;
const NINE = 57;
const TEXT = 116;
const DETACHED = /^([TB])(\d{1,15})\.([A-Za-z0-9._-]{1,64})$/;
const TAG = /^[rh]\.[!-z|~]{1,98}$/;

/** A non-negative safe integer in digits from `start` to `end`, or -1. */
function parseDigits(text: Buffer, start: number, end: number): number {
  if (end <= start || end - start > 16) return -1;
  let number = 0;
  for (let index = start; index < end; index++) {
    const code = text[index] as number;
    if (code < ZERO || code > NINE) return -1;
    number = number * 10 + (code - ZERO);
  }
  return number;
}

/** What a tenant's counter says: `undefined` where it is lost. */
export function parseCounter(
  text: Buffer | null | undefined,
): { readonly sequence: number; readonly cleared: number } | undefined {
  if (!text) return undefined;
  let first = 0;
  while (first < text.length && text[first] !== SPACE) first++;
  let last = text.length - 1;
  while (last > first && text[last] !== SPACE) last--;
  const sequence = parseDigits(text, 0, first);
  const cleared = parseDigits(text, last + 1, text.length);
  return sequence < 0 || cleared < 0 ? undefined : { sequence, cleared };
}

/** The number of a mark: `undefined` where it is lost. */
export function parseMark(text: Buffer | null | undefined): number | undefined {
  const number = text ? parseDigits(text, 0, text.length) : -1;
  return number < 0 ? undefined : number;
}

/** Positions in {@link header}. */
const [SEQUENCE, WRITTEN_AT, TTL, GRACE, LOAD, NEGATIVE] = [0, 1, 2, 3, 4, 5] as const;
const NO_TAGS: readonly string[] = [];

/** Numbers at the start of an entry; reused, because every hit of the second tier passes here. */
const header = new Float64Array(6);

/** Reads the numbers of the header. Returns where the rest begins, or -1. */
function parseHeader(text: Buffer): number {
  const { length } = text;
  let at = 0;
  for (let field = 0; field < header.length; field++) {
    let number = 0;
    const start = at;
    for (; at < length; at++) {
      const code = text[at] as number;
      if (code < ZERO || code > NINE) break;
      number = number * 10 + (code - ZERO);
    }
    if (at === start || text[at] !== SPACE) return -1;
    header[field] = number;
    at++;
  }
  return at;
}

/**
 * Reads an entry as the script `write-entry-5` lays it out. By hand rather than by expression or schema: this is
 * the path of every hit of the second tier, where those cost more than the read.
 * @param now the server's time, milliseconds
 * @returns `undefined` for anything else than an entry
 */
export function parseStoredEntry(text: Buffer, now: number): StoredEntry<StoredPayload> | undefined {
  const at = parseHeader(text);
  const sequence = header[SEQUENCE] as number;
  const negative = header[NEGATIVE] as number;
  if (at < 0 || !Number.isSafeInteger(sequence) || negative > 1) return undefined;
  let payload: StoredPayload | undefined;
  let tags = NO_TAGS;
  if (text[at] === TEXT && text[at + 1] === NEWLINE) payload = text.toString('utf8', at + 2);
  else {
    const end = text.indexOf(NEWLINE, at);
    const [form = '', ...found] = end < 0 ? [] : text.toString('latin1', at, end).split(' ');
    if (!found.every((tag) => TAG.test(tag))) return undefined;
    tags = found;
    payload = parsePayload(form, text, end + 1);
    if (payload === undefined) return undefined;
  }
  // A server clock that was set back does not make anything fresher than it was when written.
  const age = Math.max(0, now - (header[WRITTEN_AT] as number));
  const freshMs = (header[TTL] as number) - age;
  return {
    payload,
    sequence,
    freshMs,
    goneMs: freshMs + (header[GRACE] as number),
    loadMs: header[LOAD] as number,
    negative: negative === 1,
    tags,
  };
}

function parsePayload(form: string, text: Buffer, start: number): StoredPayload | undefined {
  if (form === 't') return text.toString('utf8', start);
  if (form === 'b') return text.subarray(start);
  const [, kind, bytes, ref] = DETACHED.exec(form) ?? [];
  return ref === undefined ? undefined : { text: kind === 'T', bytes: Number(bytes), ref };
}
