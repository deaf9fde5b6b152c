import type { Clock, Random } from '@sparkle/contracts';
import { BucketMover, type MoveOptions, type MoveReport, type MoverSettings } from './bucket-mover.js';
import {
  MoveInProgressError,
  ShardMapMissingError,
  ShardNotPreparedError,
  ShardSetupInvalidError,
  ShardUnknownError,
} from './errors.js';
import { type PlannedMove, planRebalance } from './plan-rebalance.js';
import type { BucketMove, ShardCatalogue, ShardEntry } from './shard-catalogue.js';
import type { ShardConnections } from './shard-connections.js';
import { MOVER_LOCK } from './shard-migrations.js';
import { giveIdentity } from './shard-ownership.js';
import type { ShardPolicy } from './shard-policy.js';

import {
  checkForeignKeys,
  checkShardTables,
  guardStatements,
  quoted,
  readLayouts,
  type ShardTable,
  tenantShardTables,
} from './shard-tables.js';

export interface ShardAdministrationSettings extends MoverSettings {
  /** The sharded tables. Default: every table with tenants' rows, found by {@link tenantShardTables}. */
  readonly tables?: readonly ShardTable[] | undefined;
}

/** What an operator, or a job, does with shards. Every call can be repeated. */
export class ShardAdministration {
  constructor(
    private readonly catalogue: ShardCatalogue,
    private readonly connections: ShardConnections,
    private readonly policy: ShardPolicy,
    private readonly settings: ShardAdministrationSettings,
    private readonly dependencies: { clock?: Clock; random?: Random } = {},
  ) {}

  /**
   * Makes the map, once: all buckets spread over `shards`, each of which is prepared. A single shard may have
   * data already, that is how an existing database becomes the first shard; further ones are added later.
   * Where there is a map, missing preparations are made up for and nothing changes.
   *
   * @throws ShardNotPreparedError when migrations, a primary key or a table is missing, foreign keys lead out
   *   of the sharded tables, or there are rows of buckets that another shard shall have.
   */
  async createMap(shards: readonly string[]): Promise<void> {
    const { buckets } = this.policy;
    if (!(await this.catalogue.find())) {
      const first = shards[0];
      if (first === undefined) throw new ShardSetupInvalidError('A map needs at least one shard.');
      for (const shard of shards) this.connections.require(shard);
      const owners = new Array<string>(buckets).fill(first);
      for (const { bucket, target } of planRebalance(owners, shards)) owners[bucket] = target;
      await this.catalogue.create(owners, shards);
    }
    const map = await this.catalogue.read();
    const tables = await this.tables();
    for (const { name } of await this.catalogue.shards()) {
      const own = map.buckets.flatMap(({ shard }, bucket) => (shard === name ? [bucket] : []));
      await this.prepare(name, map.id, tables, map.granted ? undefined : own);
    }
    // Grants are given before this is recorded, and never again: a bucket may have moved since.
    if (!map.granted) await this.catalogue.confirmGrants();
  }

  /**
   * Adds an empty shard to the map, or one that was draining; {@link rebalance} gives it its buckets. Every
   * process that routes must know the connection before that.
   * @throws ShardNotPreparedError as {@link createMap}, or when a sharded table has rows.
   */
  async addShard(name: string): Promise<void> {
    const map = await this.catalogue.read();
    const known = (await this.catalogue.shards()).some((shard) => shard.name === name);
    await this.prepare(name, map.id, await this.tables(), known ? undefined : []);
    await this.catalogue.addShard(name);
  }

  /** Installs, or brings up to date, what shards need for the tables: after a migration that adds one. */
  async prepareShards(): Promise<void> {
    const { id } = await this.catalogue.read();
    const tables = await this.tables();
    for (const { name } of await this.catalogue.shards()) await this.prepare(name, id, tables, undefined);
  }

  /** Shards with their numbers of buckets. */
  shards(): Promise<ShardEntry[]> {
    return this.catalogue.shards();
  }

  /** Moves that have begun and not ended. */
  moves(): Promise<BucketMove[]> {
    return this.catalogue.moves();
  }

  /** The moves that {@link rebalance} would make now. */
  async plan(): Promise<PlannedMove[]> {
    const { buckets } = await this.catalogue.read();
    const active = (await this.catalogue.shards()).filter(({ state }) => state === 'active');
    return planRebalance(
      buckets.map(({ shard }) => shard),
      active.map(({ name }) => name),
    );
  }

  /**
   * Finishes moves in progress, then moves buckets one by one until the plan is empty. Several workers may do
   * so at once; a bucket that another one is moving is left to it.
   */
  async rebalance(options: MoveOptions = {}): Promise<MoveReport[]> {
    const reports = await this.resumeMoves(options);
    for (const { bucket, target } of await this.plan()) {
      options.signal?.throwIfAborted();
      const report = await this.moveBucket(bucket, target, options).catch(unlessInProgress);
      if (report) reports.push(report);
    }
    return reports;
  }

  /**
   * Moves one bucket while it is in use; undefined when it is on `target` already.
   * @throws ShardUnknownError when `target` is not an active shard of the map.
   * @throws MoveInProgressError when somebody else moves it, or it is on its way to another shard.
   * @throws BucketBusyError, BucketVerificationError, or the failure of a connection: the bucket stays usable,
   *   and {@link resumeMoves} goes on.
   */
  async moveBucket(
    bucket: number,
    target: string,
    options: MoveOptions = {},
  ): Promise<MoveReport | undefined> {
    if (!Number.isInteger(bucket) || bucket < 0 || bucket >= this.policy.buckets)
      throw new ShardSetupInvalidError(`A bucket is a whole number from 0 to ${this.policy.buckets - 1}.`);
    const active = (await this.catalogue.shards()).some(
      ({ name, state }) => name === target && state === 'active',
    );
    if (!active) throw new ShardUnknownError(target, 'is not an active shard of the map');
    return (await this.mover()).move(bucket, target, options);
  }

  /** Finishes, or undoes, what movers that died have left; leaves alone what is being moved. */
  async resumeMoves(options: MoveOptions = {}): Promise<MoveReport[]> {
    const reports: MoveReport[] = [];
    for (const { bucket } of await this.catalogue.moves()) {
      options.signal?.throwIfAborted();
      const report = await (await this.mover()).resume(bucket, options).catch(unlessInProgress);
      if (report) reports.push(report);
    }
    return reports;
  }

  /** Undoes a move. True when the bucket stays where it was; false when it had been handed over. */
  async abortMove(bucket: number): Promise<boolean> {
    return (await this.mover()).abort(bucket);
  }

  /**
   * Moves every bucket off a shard and takes it out of the map; false when another worker still moves one.
   * Its rows are gone then, its schema stays.
   * @throws ShardUnknownError when the map has no such shard.
   * @throws ShardSetupInvalidError when it is the last active one.
   */
  async removeShard(name: string, options: MoveOptions = {}): Promise<boolean> {
    const rest = (await this.catalogue.shards()).filter((shard) => shard.name !== name);
    if (!rest.some(({ state }) => state === 'active'))
      throw new ShardSetupInvalidError('The last active shard cannot be removed.');
    if (!(await this.catalogue.drainShard(name)))
      throw new ShardUnknownError(name, 'is not a shard of the map');
    await this.rebalance(options);
    return this.catalogue.dropShard(name);
  }

  private async mover(): Promise<BucketMover> {
    const { id } = await this.catalogue.read();
    const shardOf = (name: string) => this.connections.get(name, id);
    return new BucketMover(this.catalogue, shardOf, await this.tables(), this.settings, this.dependencies);
  }

  private async tables(): Promise<readonly ShardTable[]> {
    const [first] = await this.catalogue.shards();
    if (!first) throw new ShardMapMissingError();
    const tables =
      this.settings.tables ?? (await tenantShardTables(await this.connections.connect(first.name)));
    checkShardTables(tables);
    return tables;
  }

  /** @param granted buckets the shard gets now; undefined when it has been granted its buckets before. */
  private async prepare(
    name: string,
    mapId: string,
    tables: readonly ShardTable[],
    granted: readonly number[] | undefined,
  ): Promise<void> {
    const database = await this.connections.connect(name);
    await giveIdentity(database, name, mapId);
    await database.asSystem(
      async (tx) => {
        // Two workers that replace the same function at once would fail each other.
        await tx.query('SELECT pg_advisory_xact_lock($1, -1)', [MOVER_LOCK]);
        await checkForeignKeys(tx, name, tables);
        const layouts = await readLayouts(tx, name, tables);
        for (const statement of guardStatements(this.policy, layouts)) await tx.query(statement);
        if (!granted) return;
        for (const { table, key } of tables) {
          const rows = await tx.query(
            `SELECT FROM ${table} WHERE NOT shard_bucket(${quoted(key)}::text) = ANY($1) LIMIT 1`,
            [granted],
          );
          if (rows.length > 0)
            throw new ShardNotPreparedError(
              name,
              `table "${table}" has rows of buckets that it shall not have`,
            );
        }
        await tx.query(
          `INSERT INTO shard_ownership (bucket, state, epoch) SELECT unnest($1::int[]), 'owned', 1
         ON CONFLICT DO NOTHING`,
          [granted],
        );
      },
      { statementTimeoutMs: 0 },
    );
  }
}

function unlessInProgress(error: unknown): undefined {
  if (!(error instanceof MoveInProgressError)) throw error;
}
