import { createHash } from 'node:crypto';
import { PartitionSchemeInvalidError } from './errors.js';

const IDENTIFIER = /^[a-z][a-z0-9_]*$/;
const MAX_TABLE = 40;
const MAX_IDENTIFIER = 63;
const MAX_COLUMN = MAX_IDENTIFIER;
const DIGEST = 12;

/**
 * Names become part of statements, and those of partitions need room behind the table's.
 * @throws PartitionSchemeInvalidError when one is not a plain lower-case name.
 */
export function checkNames(table: string, column: string): void {
  if (!IDENTIFIER.test(table) || table.length > MAX_TABLE)
    throw new PartitionSchemeInvalidError(
      `The name of a partitioned table is 1 to ${MAX_TABLE} characters of a-z, 0-9 and "_", starting with a letter.`,
    );
  if (!IDENTIFIER.test(column) || column.length > MAX_COLUMN)
    throw new PartitionSchemeInvalidError(
      `A partition column's name is 1 to ${MAX_COLUMN} characters of a-z, 0-9 and "_", starting with a letter.`,
    );
}

/** `records_2026_11` for the month that begins at `from`. */
export function monthName(table: string, from: number): string {
  const text = new Date(from).toISOString();
  return `${table}_${text.slice(0, 4)}_${text.slice(5, 7)}`;
}

/**
 * The same name for the same value, and different ones for different values, whatever characters they have:
 * as much of the value as is readable, and a digest of all of it.
 */
export function valueName(table: string, value: string): string {
  const digest = createHash('sha256').update(value).digest('hex').slice(0, DIGEST);
  const room = MAX_IDENTIFIER - table.length - DIGEST - 2;
  const readable = value
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .slice(0, room);
  return `${table}_${readable}_${digest}`;
}

/** `records_h3of8`. */
export function hashName(table: string, modulus: number, remainder: number): string {
  return `${table}_h${remainder}of${modulus}`;
}

/** What a partition is called once it is taken out, so that its name is free again. */
export function retiredName(partition: string, id: string): string {
  const suffix = `_out_${id}`;
  return `${partition.slice(0, MAX_IDENTIFIER - suffix.length)}${suffix}`;
}
