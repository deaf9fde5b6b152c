import { errorCode } from '../core/connection-failure.js';
import type { Database } from '../core/database.service.js';
import { ShardMapMismatchError, ShardMapMissingError, ShardNotPreparedError } from './errors.js';
import type { ShardPolicy } from './shard-policy.js';

/** Where a bucket lives. The epoch grows with every change of the shard. */
export interface BucketEntry {
  readonly shard: string;
  readonly epoch: number;
}

export interface ShardMap {
  readonly id: string;
  /** False until every shard has been told which buckets it got when the map was made. */
  readonly granted: boolean;
  /** By bucket number. */
  readonly buckets: readonly BucketEntry[];
}

export type MovePhase = 'copying' | 'catching_up' | 'cleaning' | 'undoing';

/** A move that has begun and not ended. */
export interface BucketMove {
  readonly bucket: number;
  readonly source: string;
  readonly target: string;
  /** Epoch of the bucket on its new shard. */
  readonly epoch: number;
  /** Grows with every mover that takes the move on; shards refuse an older one's. */
  readonly token: number;
  readonly phase: MovePhase;
}

export interface ShardEntry {
  readonly name: string;
  /** A `draining` shard gets no buckets and gives up those it has. */
  readonly state: 'active' | 'draining';
  readonly buckets: number;
}

const MOVE_COLUMNS = 'bucket, source, target, epoch::int AS epoch, token::int AS token, phase';

/** The bucket map and the moves in progress, as the catalogue's database has them. */
export class ShardCatalogue {
  constructor(
    readonly database: Database,
    private readonly policy: ShardPolicy,
  ) {}

  /**
   * The whole map.
   * @throws ShardMapMissingError when there is none.
   * @throws ShardNotPreparedError when the catalogue's migrations have not been applied.
   * @throws ShardMapMismatchError when it was made for another policy.
   */
  async read(): Promise<ShardMap> {
    const map = await this.find();
    if (!map) throw new ShardMapMissingError();
    return map;
  }

  /** The map, or nothing when none was made; throws what {@link read} throws otherwise. */
  async find(): Promise<ShardMap | undefined> {
    const [rows, buckets] = await this.database
      .asSystem(
        async (tx) =>
          [
            await tx.query<{ id: string; policy: string; buckets: number; granted: boolean }>(
              'SELECT id, policy, buckets, granted FROM shard_map',
            ),
            await tx.query<BucketEntry>(
              'SELECT shard, epoch::int AS epoch FROM shard_buckets ORDER BY bucket',
            ),
          ] as const,
        { isolation: 'REPEATABLE READ' },
      )
      .catch((error: unknown) => {
        if (errorCode(error) === '42P01')
          throw new ShardNotPreparedError('catalogue', 'the catalogue migrations have not been applied');
        throw error;
      });
    const map = rows[0];
    if (!map) return undefined;
    if (map.policy !== this.policy.name || map.buckets !== this.policy.buckets)
      throw new ShardMapMismatchError(
        `The shard map was made for policy "${map.policy}" with ${map.buckets} buckets, and is opened with ` +
          `"${this.policy.name}" and ${this.policy.buckets}. Neither can be changed.`,
      );
    return { id: map.id, granted: map.granted, buckets };
  }

  /** Makes the map unless there is one. */
  async create(owners: readonly string[], shards: readonly string[]): Promise<void> {
    await this.database.asSystem(async (tx) => {
      const made = await tx.query(
        'INSERT INTO shard_map (policy, buckets) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1',
        [this.policy.name, this.policy.buckets],
      );
      if (made.length === 0) return;
      await tx.query('INSERT INTO shards (name) SELECT unnest($1::text[])', [[...shards]]);
      await tx.query(
        `INSERT INTO shard_buckets (bucket, shard)
         SELECT place - 1, shard FROM unnest($1::text[]) WITH ORDINALITY AS owner(shard, place)`,
        [[...owners]],
      );
    });
  }

  async confirmGrants(): Promise<void> {
    await this.database.asSystem((tx) => tx.query('UPDATE shard_map SET granted = true'));
  }

  shards(): Promise<ShardEntry[]> {
    return this.database.asSystem((tx) =>
      tx.query<ShardEntry>(
        `SELECT name, state, (SELECT count(*)::int FROM shard_buckets WHERE shard = name) AS buckets
         FROM shards ORDER BY name`,
      ),
    );
  }

  async addShard(name: string): Promise<void> {
    await this.database.asSystem((tx) =>
      tx.query(`INSERT INTO shards (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET state = 'active'`, [
        name,
      ]),
    );
  }

  /** True when the shard is known. */
  async drainShard(name: string): Promise<boolean> {
    const rows = await this.database.asSystem((tx) =>
      tx.query(`UPDATE shards SET state = 'draining' WHERE name = $1 RETURNING 1`, [name]),
    );
    return rows.length > 0;
  }

  /** Forgets a draining shard; false while it has buckets or takes part in a move. */
  async dropShard(name: string): Promise<boolean> {
    const rows = await this.database.asSystem((tx) =>
      tx.query(
        `DELETE FROM shards WHERE name = $1 AND state = 'draining'
           AND NOT EXISTS (SELECT FROM shard_buckets WHERE shard = name)
           AND NOT EXISTS (SELECT FROM bucket_moves WHERE name IN (source, target))
         RETURNING 1`,
        [name],
      ),
    );
    return rows.length > 0;
  }

  moves(): Promise<BucketMove[]> {
    return this.database.asSystem((tx) =>
      tx.query<BucketMove>(`SELECT ${MOVE_COLUMNS} FROM bucket_moves ORDER BY bucket`),
    );
  }

  /**
   * Begins the move of a bucket, or takes on the one that is in progress, with a new token. Undefined when
   * the bucket is on `target` already and nothing is in progress, or when `target` is not given and nothing is.
   */
  begin(bucket: number, target?: string): Promise<BucketMove | undefined> {
    return this.database.asSystem(async (tx) => {
      // One row lock per bucket: two movers cannot both begin.
      const [entry] = await tx.query<BucketEntry>(
        'SELECT shard, epoch::int AS epoch FROM shard_buckets WHERE bucket = $1 FOR UPDATE',
        [bucket],
      );
      const [taken] = await tx.query<BucketMove>(
        `UPDATE bucket_moves SET token = nextval('shard_move_tokens') WHERE bucket = $1 RETURNING ${MOVE_COLUMNS}`,
        [bucket],
      );
      if (taken || !entry || target === undefined || entry.shard === target) return taken;
      const [begun] = await tx.query<BucketMove>(
        `INSERT INTO bucket_moves (bucket, source, target, epoch, token)
         VALUES ($1, $2, $3, $4, nextval('shard_move_tokens')) RETURNING ${MOVE_COLUMNS}`,
        [bucket, entry.shard, target, entry.epoch + 1],
      );
      return begun;
    });
  }

  /** Records how far a move is; nothing when another mover has taken it on. */
  async setPhase(move: BucketMove, phase: MovePhase): Promise<void> {
    await this.database.asSystem((tx) =>
      tx.query('UPDATE bucket_moves SET phase = $3 WHERE bucket = $1 AND token = $2', [
        move.bucket,
        move.token,
        phase,
      ]),
    );
  }

  /** Points the bucket to its new shard; does nothing a second time. */
  async redirect(move: BucketMove): Promise<void> {
    await this.database.asSystem((tx) =>
      tx.query('UPDATE shard_buckets SET shard = $2, epoch = $3 WHERE bucket = $1 AND epoch < $3', [
        move.bucket,
        move.target,
        move.epoch,
      ]),
    );
  }

  /** Forgets a move that has ended, or was undone. */
  async end(move: BucketMove): Promise<void> {
    await this.database.asSystem((tx) =>
      tx.query('DELETE FROM bucket_moves WHERE bucket = $1 AND epoch = $2 AND token <= $3', [
        move.bucket,
        move.epoch,
        move.token,
      ]),
    );
  }
}
