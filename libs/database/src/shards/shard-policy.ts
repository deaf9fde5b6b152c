import { hash } from 'node:crypto';
import { ShardKeyInvalidError, ShardSetupInvalidError } from './errors.js';

/** What rows are placed by: a tenant, or a user. Integers of the database arrive as strings or bigint. */
export type ShardKey = string | number | bigint;

/**
 * Places keys in buckets. The same key must be in the same bucket for ever, here and in SQL: a policy is
 * recorded with the map by `name` and `buckets`, and a map is never opened with another one.
 */
export interface ShardPolicy {
  readonly name: string;
  /** How many buckets there are, 1 to 65,536. */
  readonly buckets: number;
  /**
   * The bucket of a key, from 0 to `buckets - 1`.
   * @throws ShardKeyInvalidError when the policy cannot place the key.
   */
  bucketOf(key: ShardKey): number;
  /** The same as an immutable SQL expression over the SQL expression `key` of type text. */
  bucketSql(key: string): string;
}

export const DEFAULT_BUCKETS = 1024;

const MAX_BUCKETS = 65_536;
const MAX_BIGINT = 2n ** 63n - 1n;

function checkBuckets(buckets: number): number {
  if (!Number.isInteger(buckets) || buckets < 1 || buckets > MAX_BUCKETS)
    throw new ShardSetupInvalidError(`The number of buckets is a whole number from 1 to ${MAX_BUCKETS}.`);
  return buckets;
}

/**
 * Any non-empty string, by its hash: the first 48 bits of the SHA-256 of its UTF-8 bytes, big-endian, modulo
 * the number of buckets. PostgreSQL computes the same without an extension. The key counts as the database
 * prints it: a UUID in lower case, an integer in decimal digits.
 */
export class HashPolicy implements ShardPolicy {
  readonly name = 'sha256-48';

  /** @throws ShardSetupInvalidError when `buckets` is out of range. Default 1024. */
  constructor(readonly buckets: number = DEFAULT_BUCKETS) {
    checkBuckets(buckets);
  }

  bucketOf(key: ShardKey): number {
    const text = typeof key === 'number' && !Number.isSafeInteger(key) ? '' : String(key);
    if (text === '' || text.includes('\0'))
      throw new ShardKeyInvalidError('A shard key is a non-empty string without NUL, or a whole number.');
    return hash('sha256', text, 'buffer').readUIntBE(0, 6) % this.buckets;
  }

  bucketSql(key: string): string {
    const bits = `('x' || encode(substr(sha256(convert_to(${key}, 'UTF8')), 1, 6), 'hex'))::bit(48)::bigint`;
    return `(${bits} % ${this.buckets})::integer`;
  }
}

/**
 * Integer keys, by `key % buckets`: the simplest policy. With as many buckets as shards it is `user_id % n`;
 * with more, shards can be added later.
 */
export class ModuloPolicy implements ShardPolicy {
  readonly name = 'modulo';

  /** @throws ShardSetupInvalidError when `buckets` is out of range. Default 1024. */
  constructor(readonly buckets: number = DEFAULT_BUCKETS) {
    checkBuckets(buckets);
  }

  bucketOf(key: ShardKey): number {
    const whole = typeof key === 'number' ? Number.isSafeInteger(key) : true;
    const digits = whole && /^(0|[1-9][0-9]{0,18})$/.test(String(key)) ? BigInt(key) : undefined;
    if (digits === undefined || digits > MAX_BIGINT)
      throw new ShardKeyInvalidError('A shard key of this policy is a whole number from 0 to 2^63 - 1.');
    return Number(digits % BigInt(this.buckets));
  }

  bucketSql(key: string): string {
    return `((${key})::bigint % ${this.buckets})::integer`;
  }
}
