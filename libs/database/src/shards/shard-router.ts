import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type Clock,
  type Random,
  SystemClock,
  SystemRandom,
  type TenantDatabase,
  type TenantId,
} from '@sparkle/contracts';
import { errorCode } from '../core/connection-failure.js';
import type { Database, TransactionOptions } from '../core/database.service.js';
import type { Transaction } from '../core/transaction-scope.js';
import { DatabaseUnreachableError } from '../errors.js';
import { BucketMovedError, ForeignBucketError, NestedShardKeyError } from './errors.js';
import { FanOut, type FanOutOptions, type FanOutWork, type ShardResult } from './fan-out.js';
import type { BucketEntry, ShardCatalogue } from './shard-catalogue.js';
import type { ShardConnections } from './shard-connections.js';
import { FOREIGN_BUCKET } from './shard-migrations.js';
import { acceptBucket, type Claim, claimBucket } from './shard-ownership.js';
import type { ShardKey, ShardPolicy } from './shard-policy.js';

export interface RouterSettings {
  /** How long work for a bucket waits for its shard while the bucket is between two. Default 5,000 ms. */
  readonly moveWaitMs: number;
}

export interface ShardRouterDependencies {
  clock?: Clock;
  random?: Random;
}

const RETRY_BASE_MS = 5;
const RETRY_CAP_MS = 200;

/** A shard's refusal, thrown through the transaction that found out. */
class Refusal extends Error {
  constructor(readonly claim: Claim) {
    super('the shard does not own the bucket');
  }
}

/**
 * Runs work on the shard that owns the bucket of its key. The map is read once and then corrected: a shard
 * that has given a bucket up says to whom, and the catalogue is asked when that does not help. Neither a map
 * of any age nor a catalogue that is down leads to the wrong shard, because the transaction itself holds the
 * bucket, and the shard refuses that when it does not own it.
 */
export class ShardRouter {
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly keys = new AsyncLocalStorage<string>();
  /** Where each bucket was last known to be; nothing until the map has been read. */
  private map: { readonly id: string; readonly buckets: BucketEntry[] } | undefined;
  private refreshing: Promise<void> | undefined;

  constructor(
    private readonly catalogue: ShardCatalogue,
    private readonly connections: ShardConnections,
    readonly policy: ShardPolicy,
    private readonly settings: RouterSettings,
    dependencies: ShardRouterDependencies = {},
  ) {
    this.clock = dependencies.clock ?? new SystemClock();
    this.random = dependencies.random ?? new SystemRandom();
  }

  /**
   * Where this router believes a key to be; a hint, for logs and tests.
   * @throws ShardKeyInvalidError when the policy cannot place the key.
   */
  async locate(key: ShardKey): Promise<{ readonly bucket: number; readonly shard: string }> {
    const bucket = this.policy.bucketOf(key);
    const { buckets } = await this.known();
    return { bucket, shard: buckets[bucket]!.shard };
  }

  /** The connection to a shard of the map; throws what `ShardConnections.get` throws. */
  async shard(name: string): Promise<Database> {
    return this.connections.get(name, (await this.known()).id);
  }

  /**
   * Runs `work` in one transaction of `tenantId` on the shard of `key`: a user of that tenant, or the tenant
   * itself. Throws what `Database.withTenant` throws, and:
   * @throws ShardMapMissingError when no map has been made.
   * @throws ShardMapMismatchError when it was made for another policy.
   * @throws ShardKeyInvalidError when the policy cannot place the key.
   * @throws BucketMovedError when no shard serves the bucket within `moveWaitMs`.
   * @throws ForeignBucketError when `work` writes rows of a bucket that is not on this shard.
   * @throws NestedShardKeyError inside of work for another key.
   */
  withKey<T>(
    key: ShardKey,
    tenantId: TenantId,
    work: (tx: Transaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    return this.route(key, work, options, (database, claimed) =>
      database.withTenant(tenantId, claimed, options),
    );
  }

  /**
   * Runs `work` over the rows of all tenants on the shard of `key`, for operators: to create the tenant, for
   * example. Throws what {@link withKey} throws.
   */
  asSystem<T>(
    key: ShardKey,
    work: (tx: Transaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    return this.route(key, work, options, (database, claimed) => database.asSystem(claimed, options));
  }

  /**
   * Runs `work` on every shard, each in a transaction with one snapshot, and returns what became of each. The
   * snapshots are of different moments, but together they have each bucket exactly once, as far as shards
   * answered; where they have not, because a bucket was handed over in between, the work runs again.
   * @throws FanOutError when a shard failed and `partial` is `fail`.
   * @throws FanOutUnstableError when buckets keep moving.
   */
  async fanOut<T>(work: FanOutWork<T>, options: FanOutOptions = {}): Promise<ShardResult<T>[]> {
    const { buckets } = await this.known();
    const names = [...new Set(buckets.map(({ shard }) => shard))];
    return new FanOut((name) => this.shard(name), work, options, this.clock).run(names, buckets.length);
  }

  /** Reads the map anew; once for any number of callers at a time. Entries never go back to an older epoch. */
  refresh(): Promise<void> {
    this.refreshing ??= this.catalogue
      .read()
      .then(({ id, buckets }) => {
        this.map ??= { id, buckets: [...buckets] };
        for (const [bucket, entry] of buckets.entries()) learn(this.map.buckets, bucket, entry);
      })
      .finally(() => {
        this.refreshing = undefined;
      });
    return this.refreshing;
  }

  private async known(): Promise<{ readonly id: string; readonly buckets: BucketEntry[] }> {
    if (!this.map) await this.refresh();
    return this.map!;
  }

  private async route<T>(
    key: ShardKey,
    work: (tx: Transaction) => Promise<T>,
    options: TransactionOptions,
    run: (database: Database, claimed: (tx: Transaction) => Promise<T>) => Promise<T>,
  ): Promise<T> {
    const bucket = this.policy.bucketOf(key);
    const name = String(key);
    const outer = this.keys.getStore();
    if (outer !== undefined && outer !== name) throw new NestedShardKeyError();
    const { buckets } = await this.known();
    const deadline = this.clock.monotonic() + this.settings.moveWaitMs;
    for (let attempt = 0; ; attempt++) {
      const entry = buckets[bucket]!;
      let began = false;
      const claimed = async (tx: Transaction) => {
        // The database may run the work again, after a deadlock for example.
        began = false;
        const claim = await claimBucket(tx, bucket, name);
        if (claim.state !== 'owned' && claim.state !== 'leaving') throw new Refusal(claim);
        began = true;
        return this.keys.run(name, () => work(tx));
      };
      try {
        return await run(await this.shard(entry.shard), claimed);
      } catch (error) {
        if (errorCode(error) === FOREIGN_BUCKET) throw new ForeignBucketError({ cause: error });
        const refused = error instanceof Refusal;
        // Only what has not begun is routed anew, and nothing that is part of an outer transaction.
        const reroutable = !began && outer === undefined && !options.signal?.aborted;
        const known = refused || error instanceof DatabaseUnreachableError;
        if (reroutable && known && (await this.correct(buckets, bucket, entry, error))) continue;
        if (!refused) throw error;
        if (!reroutable || this.clock.monotonic() >= deadline)
          throw new BucketMovedError(bucket, entry.shard);
      }
      const ceiling = Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** attempt);
      await this.clock.sleep(this.random.next() * ceiling, options.signal);
    }
  }

  /** Learns from a failure where the bucket is; true when that is news, so that trying again makes sense. */
  private async correct(
    buckets: BucketEntry[],
    bucket: number,
    tried: BucketEntry,
    error: unknown,
  ): Promise<boolean> {
    const { state, successor, epoch } = error instanceof Refusal ? error.claim : NOTHING;
    if ((state === 'moved' || state === 'gone') && successor !== null && epoch !== null) {
      // The mover may have died between giving the bucket up and putting it into service; see BucketMover.
      if (state === 'moved') await acceptBucket(await this.shard(successor), bucket, epoch);
      learn(buckets, bucket, { shard: successor, epoch });
    }
    if (buckets[bucket] === tried) await this.refresh().catch(() => undefined);
    return buckets[bucket] !== tried;
  }
}

function learn(buckets: BucketEntry[], bucket: number, entry: BucketEntry): void {
  if (entry.epoch > buckets[bucket]!.epoch) buckets[bucket] = entry;
}

const NOTHING: Claim = { state: null, epoch: null, successor: null };

/** The `TenantDatabase` port over shards, for rows that are placed by tenant. */
export class ShardedDatabase implements TenantDatabase {
  constructor(private readonly router: ShardRouter) {}

  /** Runs `work` on the tenant's shard; throws what {@link ShardRouter.withKey} throws. */
  withTenant<T>(
    tenantId: TenantId,
    work: (tx: Transaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    return this.router.withKey(tenantId, tenantId, work, options);
  }
}
