import { z } from 'zod';
import { CacheOptionsInvalidError } from './errors.js';

const milliseconds = z.number().int().positive();
const policyFields = {
  /** How long a value is fresh, milliseconds. Zero: not kept at all. The first tier keeps it no longer. */
  ttlMs: z.number().nonnegative().default(300_000),
  /** The same for `undefined` and `null`, which say that the thing does not exist. Zero: not kept. */
  negativeTtlMs: z.number().nonnegative().default(10_000),
  /**
   * How long after its freshness a value is kept for bad times. It is served when the loader fails or exceeds
   * `softTimeoutMs`, and to those who would otherwise wait for someone else's rebuild. Zero: never.
   */
  graceMs: z.number().nonnegative().default(0),
  /** In the grace period, serve the old value at once to everyone and rebuild in the background. */
  staleWhileRevalidate: z.boolean().default(false),
  /** How long to leave a failing loader alone while a value in its grace period can be served. */
  graceRetryMs: z.number().nonnegative().default(1_000),
  /** Spread of TTLs: each is shortened by a random share up to this. */
  jitter: z.number().min(0).max(0.5).default(0.15),
  /** Eagerness of probabilistic early refresh (XFetch). Zero: off; above 1: earlier. */
  earlyRefreshBeta: z.number().nonnegative().default(1),
  /** After this, a caller gets the value in its grace period, if there is one; the load goes on. */
  softTimeoutMs: milliseconds.optional(),
  /** After this, the load fails with LoaderTimeoutError and its signal aborts. */
  hardTimeoutMs: milliseconds.default(30_000),
  /** A rebuilder that died is replaced after this; one that lives renews its lease at half of it. */
  leaseMs: milliseconds.default(5_000),
};

export const cachePolicySchema = z.strictObject(policyFields);

/** How values are kept. Set for the module, refined by namespace, refined by call. */
export type CachePolicy = z.output<typeof cachePolicySchema>;

export const cacheCoreOptionsSchema = z.strictObject({
  policy: cachePolicySchema.prefault({}),
  l1: z
    .strictObject({
      ttlMs: z.number().nonnegative().default(60_000),
      maxEntries: z.number().int().positive().default(50_000),
      /** Estimated bytes of keys and values in memory. */
      maxBytes: z
        .number()
        .int()
        .positive()
        .default(64 * 1024 * 1024),
      /** Pairs of tenant and namespace kept track of. */
      maxScopes: z.number().int().positive().default(10_000),
      /**
       * `frozen`: callers share one deeply frozen value. `copied`: each caller gets a copy of its own, which
       * costs a decode per hit.
       */
      values: z.enum(['frozen', 'copied']).default('frozen'),
    })
    .prefault({}),
  l2: z
    .strictObject({
      /** Longest time any call waits for the store. */
      budgetMs: milliseconds.default(50),
      /** Failures in a row after which the store is left alone. */
      breakerFailures: z.number().int().positive().default(5),
      /** How often a store that is left alone is asked whether it is back. */
      probeEveryMs: milliseconds.default(500),
      /**
       * Compresses encoded values of at least `minBytes` with Brotli at `level`, from 0 (fast) to 11 (small).
       * Without it nothing is compressed; what was is read either way.
       */
      compression: z
        .strictObject({
          minBytes: z
            .number()
            .int()
            .positive()
            .default(4 * 1024),
          level: z.number().int().min(0).max(11).default(1),
        })
        .optional(),
    })
    .prefault({}),
  /** Encoded values above this are handed to the caller and not kept. */
  maxValueBytes: z
    .number()
    .int()
    .positive()
    .default(1024 * 1024),
});

export type CacheCoreOptions = z.output<typeof cacheCoreOptionsSchema>;
export type CacheCoreOptionsInput = z.input<typeof cacheCoreOptionsSchema>;

/**
 * Parses options, filling in defaults.
 * @throws CacheOptionsInvalidError naming every wrong path at once, never a value.
 */
export function parseOptions<Schema extends z.ZodType>(schema: Schema, input: unknown): z.output<Schema> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new CacheOptionsInvalidError(
    parsed.error.issues.flatMap((issue) => {
      const path = issue.path.map(String).join('.') || '(root)';
      return issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => `${issue.path.length > 0 ? `${path}.` : ''}${key}: unknown option`)
        : [`${path}: ${issue.message}`];
    }),
  );
}
