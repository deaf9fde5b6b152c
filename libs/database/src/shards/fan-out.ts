import type { Clock, TenantId } from '@sparkle/contracts';
import type { Database } from '../core/database.service.js';
import type { Transaction } from '../core/transaction-scope.js';
import { FanOutError, FanOutUnstableError, ShardSetupInvalidError, ShardTimeoutError } from './errors.js';
import { acceptBucket, type Ownership } from './shard-ownership.js';

export interface FanOutOptions {
  /** Run as this tenant. Default: as the system, over the rows of all tenants; for operators and sweeps. */
  tenantId?: TenantId;
  /** Shards asked at once. Default 8. */
  concurrency?: number;
  /** How long one shard may take, connecting included, before it counts as failed. Default 10,000 ms. */
  timeoutMs?: number;
  /** Ends the fan-out: it rejects with the signal's reason. */
  signal?: AbortSignal;
  /**
   * `fail` (default): the first shard that fails ends the others, and the fan-out rejects. `report`: every
   * shard has its own outcome in the result.
   */
  partial?: 'fail' | 'report';
}

/** What work on one shard gets. */
export interface ShardScope {
  /** Read-only, with one snapshot for all statements. */
  readonly tx: Transaction;
  readonly shard: string;
  /**
   * An SQL condition that leaves out rows which are on this shard only because their bucket is on its way:
   * `WHERE ${owned('tenant_id')}`. Without it such rows are seen on two shards.
   * @param column the shard key's column, `alias.column` at most.
   */
  owned(column: string): string;
}

/** Reads from one shard. It may run again when buckets moved in the meantime. */
export type FanOutWork<T> = (scope: ShardScope) => Promise<T>;

/** What became of one shard. */
export type ShardResult<T> = { readonly shard: string; readonly durationMs: number } & (
  | { readonly status: 'fulfilled'; readonly value: T }
  | { readonly status: 'failed' | 'timed_out'; readonly error: unknown }
);

const DEFAULT_CONCURRENCY = 8;
const DEFAULT_TIMEOUT_MS = 10_000;
const ATTEMPTS = 6;
const PAUSE_MS = 20;

const COLUMN = /^([a-z][a-z0-9_]{0,62}\.)?[a-z][a-z0-9_]{0,62}$/;

type BucketState = Pick<Ownership, 'state' | 'epoch' | 'successor'> & { readonly bucket: number };

/** The outcome of a shard with the ownership its snapshot had. */
interface Answer<T> {
  readonly result: ShardResult<T>;
  readonly buckets: readonly BucketState[];
}

/** One fan-out; see `ShardRouter.fanOut`. */
export class FanOut<T> {
  constructor(
    private readonly shardOf: (name: string) => Promise<Database>,
    private readonly work: FanOutWork<T>,
    private readonly options: FanOutOptions,
    private readonly clock: Clock,
  ) {
    const { concurrency = 1, timeoutMs = 1 } = options;
    if (!Number.isInteger(concurrency) || concurrency < 1 || !(timeoutMs > 0))
      throw new ShardSetupInvalidError('A fan-out needs a concurrency and a timeoutMs above 0.');
  }

  /** Asks the shards, and those that turn out to have taken buckets over; outcomes in order of their names. */
  async run(shards: readonly string[], buckets: number): Promise<ShardResult<T>[]> {
    const answers = new Map<string, Answer<T>>();
    let asked = shards;
    for (let attempt = 1; ; attempt++) {
      await this.askAll(asked, answers);
      const unstable = await this.reconcile(answers, buckets);
      if (unstable.shards.size === 0) break;
      if (attempt === ATTEMPTS) throw new FanOutUnstableError(unstable.buckets);
      asked = [...unstable.shards];
      await this.clock.sleep(PAUSE_MS * attempt, this.options.signal);
    }
    return [...answers].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { result }]) => result);
  }

  private async askAll(names: readonly string[], answers: Map<string, Answer<T>>): Promise<void> {
    const { concurrency = DEFAULT_CONCURRENCY, partial = 'fail', signal } = this.options;
    signal?.throwIfAborted();
    const others = new AbortController();
    const abort = () => others.abort(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    const queue = names.values();
    const ask = async () => {
      for (const name of queue) {
        if (others.signal.aborted) return;
        const answer = await this.ask(name, others.signal);
        if (others.signal.aborted) return;
        answers.set(name, answer);
        if (answer.result.status === 'fulfilled' || partial === 'report') continue;
        const { shard, status, error } = answer.result;
        others.abort(new FanOutError([{ shard, status, error }]));
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(concurrency, names.length) }, ask));
    } finally {
      signal?.removeEventListener('abort', abort);
    }
    others.signal.throwIfAborted();
  }

  /** Asks one shard; settles when the time is over even if the shard lets nothing be cancelled. */
  private async ask(shard: string, others: AbortSignal): Promise<Answer<T>> {
    const timeoutMs = this.options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const startedAt = this.clock.monotonic();
    const stop = new AbortController();
    const late = new ShardTimeoutError(shard, timeoutMs);
    const timer = this.clock.schedule(timeoutMs, () => stop.abort(late));
    const onAbort = () => stop.abort(others.reason);
    others.addEventListener('abort', onAbort, { once: true });
    const stopped = new Promise<never>((_, reject) => {
      stop.signal.addEventListener('abort', () => reject(stop.signal.reason), { once: true });
    });
    const took = () => ({ shard, durationMs: this.clock.monotonic() - startedAt });
    try {
      const { value, buckets } = await Promise.race([this.read(shard, stop.signal), stopped]);
      return { result: { ...took(), status: 'fulfilled', value }, buckets };
    } catch (error) {
      const status = stop.signal.reason === late ? 'timed_out' : 'failed';
      return { result: { ...took(), status, error }, buckets: [] };
    } finally {
      timer.cancel();
      others.removeEventListener('abort', onAbort);
    }
  }

  private async read(shard: string, signal: AbortSignal): Promise<{ value: T; buckets: BucketState[] }> {
    const database = await this.shardOf(shard);
    const inTransaction = async (tx: Transaction) => {
      const buckets = await tx.query<BucketState>(
        'SELECT bucket, state, epoch::int AS epoch, successor FROM shard_ownership',
      );
      const passing = buckets.filter(({ state }) => state === 'incoming' || state === 'moved');
      const hidden = passing.map(({ bucket }) => bucket).join(', ');
      const owned = (column: string) => {
        if (!COLUMN.test(column))
          throw new ShardSetupInvalidError('A shard key is named as "column" or "alias.column".');
        return hidden === '' ? 'true' : `(shard_bucket(${column}::text) NOT IN (${hidden}))`;
      };
      return { value: await this.work({ tx, shard, owned }), buckets };
    };
    const options = { signal, isolation: 'REPEATABLE READ', readOnly: true } as const;
    return this.options.tenantId === undefined
      ? database.asSystem(inTransaction, options)
      : database.withTenant(this.options.tenantId, inTransaction, options);
  }

  /**
   * Shards whose snapshots do not fit to the others': they still had a bucket that another one had already got,
   * or had not got one yet that another one had already given up.
   */
  private async reconcile(
    answers: ReadonlyMap<string, Answer<T>>,
    buckets: number,
  ): Promise<{ shards: Set<string>; buckets: number[] }> {
    const owners = new Map<number, { shard: string; epoch: number }>();
    const former = new Map<number, { epoch: number; successor: string }>();
    const unstable = { shards: new Set<string>(), buckets: [] as number[] };
    const ask = (shard: string, bucket: number) => {
      unstable.shards.add(shard);
      unstable.buckets.push(bucket);
    };
    for (const [shard, answer] of answers)
      for (const { bucket, state, epoch, successor } of answer.buckets) {
        if (state === 'owned' || state === 'leaving') {
          const other = owners.get(bucket);
          if (other) ask(other.epoch < epoch ? other.shard : shard, bucket);
          if (!other || other.epoch < epoch) owners.set(bucket, { shard, epoch });
        } else if (successor !== null && (former.get(bucket)?.epoch ?? -1) < epoch) {
          former.set(bucket, { epoch, successor });
        }
      }
    if (owners.size === buckets) return unstable;
    for (const [bucket, { epoch, successor }] of former) {
      const found = answers.get(successor);
      if (owners.has(bucket) || (found && found.result.status !== 'fulfilled')) continue;
      // As a router does: whoever put the bucket on its way may have died before the last step.
      if (found) await acceptBucket(await this.shardOf(successor), bucket, epoch);
      ask(successor, bucket);
    }
    return unstable;
  }
}
