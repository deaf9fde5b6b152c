import { z } from 'zod';
import {
  type DatabaseOptions,
  parseDatabaseOptions,
  type ResolvedDatabaseOptions,
} from '../database.options.js';
import { DatabaseOptionsInvalidError } from '../errors.js';
import { ShardsOptionsInvalidError } from './errors.js';
import { DEFAULT_BUCKETS, HashPolicy, ModuloPolicy, type ShardPolicy } from './shard-policy.js';

const IDENTIFIER = /^[a-z][a-z0-9_]{0,62}$/;
const milliseconds = z.number().int().positive();

/** Another lib's options within these, with their paths. */
const database = z.unknown().transform((value, context): ResolvedDatabaseOptions => {
  try {
    return parseDatabaseOptions(value);
  } catch (error) {
    if (!(error instanceof DatabaseOptionsInvalidError)) throw error;
    for (const problem of error.problems) context.addIssue({ code: 'custom', message: problem });
    return z.NEVER;
  }
});

const schema = z.strictObject({
  /** The database with the bucket map; it may be one of the shards as well. */
  catalogue: database,
  /** Connection of each shard by its name, 1 to 63 characters of `a-z 0-9 _ -`. */
  shards: z
    .record(z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'is not the name of a shard'), database)
    .refine((shards) => Object.keys(shards).length > 0, 'at least one shard is needed'),
  /** `hash` places any string, `modulo` whole numbers by `key % buckets`. Default `hash`. */
  policy: z.enum(['hash', 'modulo']).default('hash'),
  /** Fixed when the map is made. Default 1024. */
  buckets: z.number().int().min(1).max(65_536).default(DEFAULT_BUCKETS),
  /** Sharded tables and the columns with their keys. Default: every table with tenants' rows. */
  tables: z
    .array(z.strictObject({ table: z.string().regex(IDENTIFIER), key: z.string().regex(IDENTIFIER) }))
    .min(1)
    .optional(),
  /** How long work for a bucket waits while that is between two shards. Default 5,000 ms. */
  moveWaitMs: milliseconds.default(5_000),
  /** Longest time a move may make writers of its bucket wait, per attempt. Default 500 ms. */
  fenceMs: milliseconds.min(50).default(500),
  /** How often a move tries that before it gives up for now. Default 10. */
  fenceAttempts: z.number().int().min(1).max(100).default(10),
});

/** What `ShardsModule.forRoot` takes. */
export interface ShardsOptions extends Omit<z.input<typeof schema>, 'catalogue' | 'shards'> {
  catalogue: DatabaseOptions;
  shards: Readonly<Record<string, DatabaseOptions>>;
}

/** {@link ShardsOptions} with every default filled in. */
export type ResolvedShardsOptions = z.output<typeof schema>;

/**
 * Checks options and fills in defaults.
 * @throws ShardsOptionsInvalidError naming every wrong path at once.
 */
export function parseShardsOptions(options: unknown): ResolvedShardsOptions {
  const result = schema.safeParse(options);
  if (result.success) return result.data;
  throw new ShardsOptionsInvalidError(
    result.error.issues.map((issue) => `${issue.path.join('.') || 'options'}: ${issue.message}`),
  );
}

/** The policy that the options name. */
export function policyOf(options: ResolvedShardsOptions): ShardPolicy {
  return options.policy === 'hash' ? new HashPolicy(options.buckets) : new ModuloPolicy(options.buckets);
}
