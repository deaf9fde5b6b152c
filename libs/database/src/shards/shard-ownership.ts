import type { SqlClient } from '@sparkle/contracts';
import { errorCode } from '../core/connection-failure.js';
import type { Database } from '../core/database.service.js';
import type { Transaction } from '../core/transaction-scope.js';
import { MoveTakenOverError, ShardIdentityError, ShardNotPreparedError } from './errors.js';
import { BUCKET_LOCK } from './shard-migrations.js';

/** What a shard knows of a bucket; see `shardMigrations` for the states. */
export interface Ownership {
  readonly state: 'owned' | 'leaving' | 'moved' | 'gone' | 'incoming';
  readonly epoch: number;
  /** The shard that has the bucket now, for `moved` and `gone`. */
  readonly successor: string | null;
  /** The newest mover that touched it. */
  readonly token: number;
  /** The first copy of every row has arrived; for `incoming`. */
  readonly copied: boolean;
}

const COLUMNS = 'state, epoch::int AS epoch, successor, token::int AS token, copied';

/** The bucket's ownership, locked against other movers until the transaction ends. */
export async function lockOwnership(sql: SqlClient, bucket: number): Promise<Ownership | undefined> {
  const [row] = await sql.query<Ownership>(
    `SELECT ${COLUMNS} FROM shard_ownership WHERE bucket = $1 FOR UPDATE`,
    [bucket],
  );
  return row;
}

/**
 * Sets the bucket's ownership, whether or not the shard knew the bucket.
 * @throws MoveTakenOverError when a newer mover has set it.
 */
export async function writeOwnership(sql: SqlClient, bucket: number, ownership: Ownership): Promise<void> {
  const { state, epoch, successor, token, copied } = ownership;
  const written = await sql.query(
    `INSERT INTO shard_ownership AS known (bucket, state, epoch, successor, token, copied)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (bucket) DO UPDATE SET state = excluded.state, epoch = excluded.epoch,
       successor = excluded.successor, token = excluded.token, copied = excluded.copied
     WHERE known.token <= excluded.token
     RETURNING 1`,
    [bucket, state, epoch, successor, token, copied],
  );
  if (written.length === 0) throw new MoveTakenOverError(bucket);
}

/**
 * Runs `work` while no transaction holds the bucket and none can begin to. Waiting for those that do, and any
 * pause in between, last `fenceMs` at most: after that the server itself ends the transaction, also when this
 * process hangs or is cut off. Aborting `deadline` ends it at once.
 */
export function fenceBucket<T>(
  database: Database,
  bucket: number,
  fenceMs: number,
  deadline: AbortSignal,
  work: (tx: Transaction, ownership: Ownership | undefined) => Promise<T>,
): Promise<T> {
  return database.asSystem(
    async (tx) => {
      await tx.query(
        `SELECT set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $1, true)`,
        [String(fenceMs)],
      );
      await tx.query('SELECT pg_advisory_xact_lock($1, $2)', [BUCKET_LOCK, bucket]);
      return work(tx, await lockOwnership(tx, bucket));
    },
    { isolation: 'READ COMMITTED', retries: 0, signal: deadline, statementTimeoutMs: fenceMs },
  );
}

/** What became of an attempt to hold a bucket. */
export interface Claim {
  /** Null when the shard never heard of the bucket. */
  readonly state: Ownership['state'] | null;
  readonly epoch: number | null;
  readonly successor: string | null;
}

/** Holds the bucket for the transaction if the shard owns it. */
export async function claimBucket(sql: SqlClient, bucket: number, key: string): Promise<Claim> {
  const [claim] = await sql.query<Claim>(
    'SELECT state, epoch::int AS epoch, successor FROM shard_claim($1, $2)',
    [bucket, key],
  );
  return claim!;
}

/**
 * Puts a bucket into service that has been handed over completely: its former shard has committed that it
 * moved here in `epoch`. True when the bucket is in service with that epoch afterwards.
 */
export async function acceptBucket(database: Database, bucket: number, epoch: number): Promise<boolean> {
  const rows = await database.asSystem((tx) =>
    tx.query(
      `UPDATE shard_ownership SET state = 'owned', copied = false
       WHERE bucket = $1 AND epoch = $2 AND state = 'incoming' RETURNING 1`,
      [bucket, epoch],
    ),
  );
  return rows.length > 0;
}

/**
 * Makes sure that a server is the shard it is configured as.
 * @throws ShardIdentityError when it is another one, or belongs to another map.
 * @throws ShardNotPreparedError when it was never prepared.
 */
export async function checkIdentity(database: Database, shard: string, mapId: string): Promise<void> {
  const identity = await readIdentity(database, shard);
  if (!identity) throw new ShardNotPreparedError(shard, 'it belongs to no map yet');
  assertIdentity(identity, shard, mapId);
}

/** Names the server, unless it has that name already; throws what {@link checkIdentity} throws. */
export async function giveIdentity(database: Database, shard: string, mapId: string): Promise<void> {
  const known = await readIdentity(database, shard);
  if (!known)
    await database.asSystem((tx) =>
      tx.query('INSERT INTO shard_identity (name, map_id) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
        shard,
        mapId,
      ]),
    );
  await checkIdentity(database, shard, mapId);
}

interface Identity {
  readonly name: string;
  readonly mapId: string;
}

async function readIdentity(database: Database, shard: string): Promise<Identity | undefined> {
  try {
    const [row] = await database.asSystem((tx) =>
      tx.query<Identity>('SELECT name, map_id AS "mapId" FROM shard_identity'),
    );
    return row;
  } catch (error) {
    if (errorCode(error) === '42P01')
      throw new ShardNotPreparedError(shard, 'the shard migrations have not been applied');
    throw error;
  }
}

function assertIdentity(identity: Identity, shard: string, mapId: string): void {
  if (identity.mapId !== mapId) throw new ShardIdentityError(shard, 'belongs to another shard map');
  if (identity.name !== shard) throw new ShardIdentityError(shard, `is shard "${identity.name}"`);
}
