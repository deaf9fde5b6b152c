/** Which rows a partition holds. Times are as PostgreSQL writes them, in UTC. */
export type PartitionBound =
  | { readonly kind: 'default' }
  | {
      readonly kind: 'range';
      /** Inclusive; `undefined` is unbounded. */
      readonly from: string | undefined;
      /** Exclusive; `undefined` is unbounded. */
      readonly to: string | undefined;
    }
  | { readonly kind: 'list'; readonly values: readonly (string | null)[] }
  | { readonly kind: 'hash'; readonly modulus: number; readonly remainder: number };

const RANGE = /^FOR VALUES FROM \((.+)\) TO \((.+)\)$/s;
const LIST = /^FOR VALUES IN \((.+)\)$/s;
const HASH = /^FOR VALUES WITH \(modulus (\d+), remainder (\d+)\)$/i;
const LITERAL = /NULL|-?[\d.]+|true|false|E?'(?:[^']|'')*'/g;

/** Reads a bound of one column as `pg_get_expr(relpartbound, oid)` prints it. */
export function parseBound(text: string): PartitionBound {
  const range = RANGE.exec(text);
  if (range) return { kind: 'range', from: limit(range[1]!), to: limit(range[2]!) };
  const hash = HASH.exec(text);
  if (hash) return { kind: 'hash', modulus: Number(hash[1]), remainder: Number(hash[2]) };
  const list = LIST.exec(text);
  if (list)
    return { kind: 'list', values: [...list[1]!.matchAll(LITERAL)].map(([literal]) => value(literal)) };
  return { kind: 'default' };
}

function limit(literal: string): string | undefined {
  return literal === 'MINVALUE' || literal === 'MAXVALUE' ? undefined : value(literal)!;
}

function value(literal: string): string | null {
  if (literal === 'NULL') return null;
  const quote = literal.indexOf("'");
  if (quote < 0) return literal;
  const text = literal.slice(quote + 1, -1).replaceAll("''", "'");
  return quote > 0 ? text.replaceAll('\\\\', '\\') : text;
}

/** The start of a range in milliseconds since the epoch, rounded down; -Infinity when unbounded. */
export function startOf(bound: PartitionBound & { kind: 'range' }): number {
  return bound.from === undefined ? Number.NEGATIVE_INFINITY : parseTime(bound.from);
}

/** The end of a range, as {@link startOf}; Infinity when unbounded. */
export function endOf(bound: PartitionBound & { kind: 'range' }): number {
  return bound.to === undefined ? Number.POSITIVE_INFINITY : parseTime(bound.to);
}

/** A date, or a timestamp with or without time zone, printed by a session whose time zone is UTC. */
export function parseTime(text: string): number {
  if (text === 'infinity') return Number.POSITIVE_INFINITY;
  if (text === '-infinity') return Number.NEGATIVE_INFINITY;
  const [date, time = '00:00:00'] = text.replace(/\+00$/, '').split(' ');
  return Date.parse(`${date}T${time.slice(0, 12)}Z`);
}
