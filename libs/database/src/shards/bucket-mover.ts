import { AsyncLocalStorage } from 'node:async_hooks';
import { type Clock, type Random, SystemClock, SystemRandom } from '@sparkle/contracts';
import { errorCode, isConnectionFailure } from '../core/connection-failure.js';
import type { Database, TransactionOptions } from '../core/database.service.js';
import type { Transaction } from '../core/transaction-scope.js';
import {
  BATCH_ROWS,
  type BucketDigest,
  deleteBucket,
  deleteRows,
  digestBucket,
  insertRows,
  type KeyText,
  prepareTransfer,
  type RowText,
  readBucket,
  readRows,
} from './bucket-rows.js';
import {
  BucketBusyError,
  BucketVerificationError,
  MoveInProgressError,
  MoveTakenOverError,
  ShardNotPreparedError,
} from './errors.js';
import type { BucketMove, ShardCatalogue } from './shard-catalogue.js';
import { MOVER_LOCK } from './shard-migrations.js';
import {
  acceptBucket,
  fenceBucket,
  lockOwnership,
  type Ownership,
  writeOwnership,
} from './shard-ownership.js';
import {
  checkForeignKeys,
  readLayouts,
  type ShardTable,
  type ShardTableLayout,
  unguardedTables,
} from './shard-tables.js';

/** Where a move stands; each one is reported when it has been reached, in this order. */
export type MoveStep =
  /** The move is recorded in the catalogue. */
  | 'begun'
  /** From here on the source notes every change of the bucket. */
  | 'noting'
  /** The target is ready to be filled. */
  | 'receiving'
  /** One batch, or all, of the first copy arrived; `rows` so far. */
  | 'copying'
  | 'copied'
  /** One round of noted changes arrived; `changes` of this round. */
  | 'caught_up'
  /** Copy and original were compared in one snapshot. */
  | 'verified'
  /** Writers of the bucket wait. */
  | 'fenced'
  /** The last changes arrived; writers still wait. */
  | 'drained'
  /** The source has given the bucket up. From here on the move can only go forward. */
  | 'switched'
  /** The target serves the bucket. */
  | 'accepted'
  /** The catalogue points to the target. */
  | 'redirected'
  /** The source has deleted its rows. */
  | 'cleaned';

export interface MoveProgress {
  readonly bucket: number;
  readonly step: MoveStep;
  readonly rows: number;
  readonly changes: number;
}

export interface MoveOptions {
  /** Called at each step; the move waits for it, and fails with what it throws. */
  onProgress?: (progress: MoveProgress) => void | Promise<void>;
  /** Stops the move between two steps; it can be resumed or undone. */
  signal?: AbortSignal;
}

/** A finished move. */
export interface MoveReport {
  readonly bucket: number;
  readonly source: string;
  readonly target: string;
  /** Rows of the first copy; 0 when an earlier mover had made it. */
  readonly rows: number;
  /** Noted changes carried over, those of the fence included. */
  readonly changes: number;
  /** How long writers of the bucket had to wait for the switch, in the attempt that succeeded. */
  readonly fencedMs: number;
  readonly fences: number;
}

export interface MoverSettings {
  /** Longest pause of a bucket's writers. */
  readonly fenceMs: number;
  /** How often the fence is tried before {@link BucketBusyError}. */
  readonly fenceAttempts: number;
}

/** Rounds of catching up before the fence is tried in any case, though writers outpace the copy. */
const MAX_ROUNDS = 30;

/** Changes that are few enough to be carried over inside of a fence. */
const FEW_CHANGES = 50;

/** Changes read at once. */
const CHANGES = 2 * BATCH_ROWS;

/** For statements that scan whole tables. */
const UNLIMITED = { statementTimeoutMs: 0 } as const;

const LOCK_NOT_AVAILABLE = '55P03';
const STATEMENT_TIMEOUT = '57014';
const IDLE_TIMEOUT = '25P03';

/** Both shards of a move. */
interface Ends {
  readonly source: Database;
  readonly target: Database;
  readonly layouts: readonly ShardTableLayout[];
}

type Report = (step: MoveStep, amount?: { rows?: number; changes?: number }) => Promise<void>;

/** One noted change. */
interface Change {
  readonly id: string;
  readonly table: string;
  readonly key: KeyText;
}

/** Thrown inside of a fence that lasts too long, to undo it. */
class FenceTooLong extends Error {}

/**
 * Moves one bucket at a time while it is read and written:
 *
 * 1. Behind a fence, which waits for every transaction that holds the bucket, the source begins to note the
 *    keys of changed rows, in the transactions that change them.
 * 2. One snapshot of the bucket is copied, then noted changes are carried over in rounds: each round replaces
 *    the rows with a noted key by what one snapshot of the source has for that key, so that afterwards the
 *    copy equals the source as of that snapshot. Repeating a round does no harm.
 * 3. Copy and original are compared in such a snapshot.
 * 4. Behind a second fence the last changes are carried over and the source commits that the bucket has moved.
 *    That commit is the decision: before it the source owns the bucket, after it only the target can.
 * 5. The target takes the bucket into service, by this mover or by the first router that was sent on.
 *
 * A mover is identified by its token. Source and target store the newest one and refuse older ones; a mover
 * takes its token to the source first, behind the fence, so it knows there whether the decision has been made
 * before it touches the target.
 */
export class BucketMover {
  private readonly clock: Clock;
  private readonly random: Random;

  constructor(
    private readonly catalogue: ShardCatalogue,
    private readonly shardOf: (name: string) => Promise<Database>,
    private readonly tables: readonly ShardTable[],
    private readonly settings: MoverSettings,
    dependencies: { clock?: Clock; random?: Random } = {},
  ) {
    this.clock = dependencies.clock ?? new SystemClock();
    this.random = dependencies.random ?? new SystemRandom();
  }

  /** Moves the bucket, or finishes its move; undefined when it is on `target` and nothing was left to do. */
  move(bucket: number, target: string, options: MoveOptions = {}): Promise<MoveReport | undefined> {
    return this.alone(bucket, async () => {
      const move = await this.catalogue.begin(bucket, target);
      if (!move) return undefined;
      if (move.phase === 'undoing') throw new MoveInProgressError(bucket, 'an earlier move is being undone');
      if (move.target !== target) throw new MoveInProgressError(bucket, `to shard "${move.target}"`);
      return this.carryOut(move, options);
    });
  }

  /** Finishes the move of a bucket, or its undoing; undefined when there is none, or it was undone. */
  resume(bucket: number, options: MoveOptions = {}): Promise<MoveReport | undefined> {
    return this.alone(bucket, async () => {
      const move = await this.catalogue.begin(bucket);
      if (!move) return undefined;
      if (move.phase !== 'undoing') return this.carryOut(move, options);
      await this.undo(move);
      return undefined;
    });
  }

  /** Undoes a move that has not switched yet. True when the bucket stays on its old shard, false when it moved. */
  abort(bucket: number): Promise<boolean> {
    return this.alone(bucket, async () => {
      const move = await this.catalogue.begin(bucket);
      if (!move) return true;
      await this.catalogue.setPhase(move, 'undoing');
      return this.undo(move);
    });
  }

  /** One mover per bucket. A mover that lost its lock unnoticed is stopped by its token. */
  private async alone<T>(bucket: number, work: () => Promise<T>): Promise<T> {
    const runner = this.catalogue.database.dataSource.createQueryRunner();
    try {
      const [lock] = (await runner.query('SELECT pg_try_advisory_lock($1, $2) AS taken', [
        MOVER_LOCK,
        bucket,
      ])) as { taken: boolean }[];
      if (!lock?.taken) throw new MoveInProgressError(bucket, 'another mover is at it');
      try {
        return await work();
      } finally {
        await runner.query('SELECT pg_advisory_unlock($1, $2)', [MOVER_LOCK, bucket]).catch(() => undefined);
      }
    } finally {
      await runner.release();
    }
  }

  private async carryOut(move: BucketMove, options: MoveOptions): Promise<MoveReport> {
    const { bucket } = move;
    const [source, target] = [await this.shardOf(move.source), await this.shardOf(move.target)];
    const ends = { source, target, layouts: await this.commonLayouts(move, source, target) };
    const total = { rows: 0, changes: 0 };
    // What the caller does there must not become part of the transaction that happens to be open here.
    const asCaller = AsyncLocalStorage.snapshot();
    const report: Report = async (step, { rows = 0, changes = 0 } = {}) => {
      await asCaller(async () => options.onProgress?.({ bucket, step, rows, changes }));
      options.signal?.throwIfAborted();
    };
    await report('begun');
    let fence = { fencedMs: 0, fences: 0 };
    if ((await this.startNoting(move, source)) === 'leaving') {
      await report('noting');
      const copied = await this.startReceiving(move, target);
      await report('receiving');
      if (!copied) {
        await this.copy(move, ends, async (rows) => {
          total.rows += rows;
          await report('copying', { rows: total.rows });
        });
        await report('copied', { rows: total.rows });
      }
      await this.catalogue.setPhase(move, 'catching_up');
      total.changes += await this.catchUp(move, ends, report, { verify: true });
      fence = await this.switchOver(move, ends, total, options, report);
      await report('switched', total);
    }
    await acceptBucket(target, bucket, move.epoch);
    await report('accepted');
    await this.catalogue.redirect(move);
    await this.catalogue.setPhase(move, 'cleaning');
    await report('redirected');
    await this.clean(move, ends);
    await report('cleaned');
    await this.catalogue.end(move);
    return { bucket, source: move.source, target: move.target, ...total, ...fence };
  }

  /** Layouts of the tables, which must be the same on both shards and guarded on both. */
  private async commonLayouts(
    move: BucketMove,
    source: Database,
    target: Database,
  ): Promise<ShardTableLayout[]> {
    const read = (database: Database, shard: string) =>
      database.asSystem(async (tx) => {
        const [unguarded] = await unguardedTables(tx, this.tables);
        if (unguarded) throw new ShardNotPreparedError(shard, `table "${unguarded}" has no shard guard`);
        await checkForeignKeys(tx, shard, this.tables);
        return readLayouts(tx, shard, this.tables);
      });
    const [here, there] = [await read(source, move.source), await read(target, move.target)];
    const different = here.find((layout, index) => JSON.stringify(layout) !== JSON.stringify(there[index]));
    if (different)
      throw new ShardNotPreparedError(
        move.target,
        `table "${different.table}" has other columns or another primary key than on shard "${move.source}"`,
      );
    return here;
  }

  /** Takes the token to the source and has it note changes; tells whether the decision was made already. */
  private async startNoting(move: BucketMove, source: Database): Promise<'leaving' | 'moved'> {
    const { bucket, token } = move;
    const { result } = await this.behindFence(source, bucket, async (tx, ownership) => {
      if (hasMoved(ownership, move)) return 'moved';
      this.checkToken(move, ownership);
      if (ownership.state === 'owned') await this.forgetChanges(tx, bucket);
      await writeOwnership(tx, bucket, { ...ownership, state: 'leaving', token });
      return 'leaving';
    });
    return result;
  }

  private checkToken(move: BucketMove, ownership: Ownership | undefined): asserts ownership is Ownership {
    const expected = ownership?.epoch === move.epoch - 1 && /^(owned|leaving)$/.test(ownership.state);
    if (!expected || ownership.token > move.token) throw new MoveTakenOverError(move.bucket);
  }

  /** Takes the token to the target; true when the first copy had arrived under an earlier token of this move. */
  private startReceiving(move: BucketMove, target: Database): Promise<boolean> {
    const { bucket, epoch, token } = move;
    return target.asSystem(async (tx) => {
      const found = await lockOwnership(tx, bucket);
      if (found && (found.token > token || /^(owned|leaving|moved)$/.test(found.state)))
        throw new MoveTakenOverError(bucket);
      const copied = found?.state === 'incoming' && found.epoch === epoch && found.copied;
      await writeOwnership(tx, bucket, { state: 'incoming', epoch, successor: null, token, copied });
      return copied;
    });
  }

  /** Runs `work` in a transaction of the target, if this mover is still the one that fills it. */
  private filling<T>(
    move: BucketMove,
    target: Database,
    work: (tx: Transaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    return target.asSystem(async (tx) => {
      await prepareForReplica(tx, move.target);
      const found = await lockOwnership(tx, move.bucket);
      if (found?.state !== 'incoming' || found.token !== move.token)
        throw new MoveTakenOverError(move.bucket);
      return work(tx);
    }, options);
  }

  /** Copies one snapshot of the bucket, after deleting what an earlier attempt left. */
  private async copy(
    move: BucketMove,
    { source, target, layouts }: Ends,
    onRows: (rows: number) => Promise<void>,
  ): Promise<void> {
    await this.filling(move, target, (tx) => deleteBucket(tx, layouts, move.bucket), UNLIMITED);
    await source.asSystem(
      async (tx) => {
        await prepareTransfer(tx, 'read');
        for (const layout of layouts)
          for await (const rows of readBucket(tx, layout, move.bucket)) {
            await this.filling(move, target, (inner) => insertRows(inner, layout, rows));
            await onRows(rows.length);
          }
      },
      { ...UNLIMITED, isolation: 'REPEATABLE READ', retries: 0 },
    );
    await this.setCopied(move, target, true);
  }

  private async setCopied(move: BucketMove, target: Database, copied: boolean): Promise<void> {
    await this.filling(move, target, (tx) =>
      tx.query('UPDATE shard_ownership SET copied = $2 WHERE bucket = $1', [move.bucket, copied]),
    );
  }

  /** Carries noted changes over until few are left, comparing copy and original once if asked to. */
  private async catchUp(
    move: BucketMove,
    ends: Ends,
    report: Report,
    { verify }: { verify: boolean },
  ): Promise<number> {
    let total = 0;
    let pending = verify;
    for (let round = 1, last = Number.POSITIVE_INFINITY, near = false; ; round++) {
      const compare: boolean = pending && near;
      const carried = await this.round(move, ends, compare);
      // Once a round is no smaller than the last one, rounds only carry what came in during the round before.
      near = !compare && (carried <= FEW_CHANGES || carried > last / 2 || round >= MAX_ROUNDS);
      last = compare ? Number.POSITIVE_INFINITY : carried;
      total += carried;
      await report('caught_up', { changes: carried });
      if (compare) {
        pending = false;
        await report('verified');
      }
      if (!pending && near) return total;
    }
  }

  /** Brings the copy to one snapshot of the source; returns the number of changes that took. */
  private async round(move: BucketMove, ends: Ends, compare: boolean): Promise<number> {
    const { source, target, layouts } = ends;
    const { carried, original } = await source.asSystem(
      async (tx) => {
        await prepareTransfer(tx, 'read');
        return {
          carried: await this.carryChanges(move, tx, ends),
          original: compare ? await digestBucket(tx, layouts, move.bucket) : undefined,
        };
      },
      { isolation: 'REPEATABLE READ', ...(compare && UNLIMITED) },
    );
    for (let from = 0; from < carried.length; from += CHANGES)
      await source.asSystem((tx) =>
        tx.query('DELETE FROM shard_changes WHERE id = ANY($1)', [carried.slice(from, from + CHANGES)]),
      );
    if (original) {
      const copy = await this.filling(
        move,
        target,
        (tx) => digestBucket(tx, layouts, move.bucket),
        UNLIMITED,
      );
      const wrong = layouts.find((_, index) => !sameDigest(original[index], copy[index]));
      if (wrong) {
        await this.setCopied(move, target, false);
        throw new BucketVerificationError(move.bucket, wrong.table);
      }
    }
    return carried.length;
  }

  /**
   * Replaces, on the target, every row with a noted key by what `tx` sees of it; returns the ids of the notes.
   * Notes are not deleted here: a change that committed later may have a smaller id.
   */
  private async carryChanges(
    move: BucketMove,
    tx: Transaction,
    { target, layouts }: Ends,
    deadline?: AbortSignal,
  ): Promise<string[]> {
    const ids: string[] = [];
    for (;;) {
      const changes = await tx.query<Change>(
        `SELECT id::text AS id, table_name AS "table", row_key AS key FROM shard_changes
         WHERE bucket = $1 AND id > $2 ORDER BY id LIMIT ${CHANGES}`,
        [move.bucket, ids.at(-1) ?? '0'],
      );
      if (changes.length === 0) return ids;
      ids.push(...changes.map(({ id }) => id));
      const replaced: { layout: ShardTableLayout; keys: KeyText[]; rows: RowText[] }[] = [];
      for (const layout of layouts) {
        const own = changes.filter(({ table }) => table === layout.table);
        const keys = [...new Map(own.map(({ key }) => [JSON.stringify(key), key])).values()];
        if (keys.length > 0)
          replaced.push({ layout, keys, rows: await readRows(tx, layout, move.bucket, keys) });
      }
      await this.filling(
        move,
        target,
        async (inner) => {
          for (const { layout, keys, rows } of replaced) {
            await deleteRows(inner, layout, move.bucket, keys);
            await insertRows(inner, layout, rows);
          }
        },
        deadline && { signal: deadline },
      );
    }
  }

  /** Carries the last changes over while no writer of the bucket is at work, and gives the bucket up. */
  private async switchOver(
    move: BucketMove,
    ends: Ends,
    total: { changes: number },
    options: MoveOptions,
    report: Report,
  ): Promise<{ fencedMs: number; fences: number }> {
    const { bucket, token, epoch, target: successor } = move;
    const { fencedMs, fences } = await this.behindFence(
      ends.source,
      bucket,
      async (tx, ownership, deadline) => {
        // A commit whose answer was lost.
        if (hasMoved(ownership, move)) return;
        this.checkToken(move, ownership);
        await report('fenced');
        await prepareTransfer(tx, 'read', this.settings.fenceMs);
        total.changes += (await this.carryChanges(move, tx, ends, deadline)).length;
        await report('drained');
        deadline.throwIfAborted();
        await writeOwnership(tx, bucket, { state: 'moved', epoch, successor, token, copied: false });
      },
      {
        ...options,
        betweenAttempts: async () => {
          total.changes += await this.catchUp(move, ends, report, { verify: false });
        },
      },
    );
    return { fencedMs, fences };
  }

  /**
   * Runs `work` behind a fence, again after one that had to be given up, so that nobody waits longer than
   * `fenceMs`: those who waited get their turn in between.
   * @throws BucketBusyError when no attempt succeeded.
   */
  private async behindFence<T>(
    database: Database,
    bucket: number,
    work: (tx: Transaction, ownership: Ownership | undefined, deadline: AbortSignal) => Promise<T>,
    options: { signal?: AbortSignal; betweenAttempts?: () => Promise<void> } = {},
  ): Promise<{ result: T; fencedMs: number; fences: number }> {
    const { fenceMs, fenceAttempts } = this.settings;
    let failure: unknown;
    for (let fences = 1; fences <= fenceAttempts; fences++) {
      const startedAt = this.clock.monotonic();
      const elapsed = () => this.clock.monotonic() - startedAt;
      const deadline = new AbortController();
      const timer = this.clock.schedule(fenceMs, () => deadline.abort(new FenceTooLong()));
      try {
        const result = await fenceBucket(database, bucket, fenceMs, deadline.signal, (tx, ownership) =>
          work(tx, ownership, deadline.signal),
        );
        return { result, fencedMs: elapsed(), fences };
      } catch (error) {
        if (!endedByFence(error, elapsed() >= fenceMs)) throw error;
        failure = error;
      } finally {
        timer.cancel();
      }
      await this.clock.sleep((0.5 + this.random.next()) * fenceMs * fences, options.signal);
      await options.betweenAttempts?.();
    }
    throw new BucketBusyError(bucket, fenceAttempts, fenceMs, { cause: failure });
  }

  /** Deletes what is left of the bucket on its old shard. */
  private async clean(move: BucketMove, { source, layouts }: Ends): Promise<void> {
    await source.asSystem(async (tx) => {
      await prepareForReplica(tx, move.source);
      const found = await lockOwnership(tx, move.bucket);
      // Cleaned before, and perhaps the bucket has even come back since.
      if (found?.state !== 'moved' || found.epoch !== move.epoch) return;
      await deleteBucket(tx, layouts, move.bucket);
      await this.forgetChanges(tx, move.bucket);
      await writeOwnership(tx, move.bucket, { ...found, state: 'gone' });
    }, UNLIMITED);
  }

  /** Returns the bucket to its old shard; false when it had been given up, and the move is finished instead. */
  private async undo(move: BucketMove): Promise<boolean> {
    const { bucket, token } = move;
    const [source, target] = [await this.shardOf(move.source), await this.shardOf(move.target)];
    const { result: kept } = await this.behindFence(source, bucket, async (tx, ownership) => {
      if (hasMoved(ownership, move)) return false;
      this.checkToken(move, ownership);
      await writeOwnership(tx, bucket, { ...ownership, state: 'owned', token });
      await this.forgetChanges(tx, bucket);
      return true;
    });
    if (!kept) {
      await this.carryOut(move, {});
      return false;
    }
    const layouts = await target.asSystem((tx) => readLayouts(tx, move.target, this.tables));
    await target.asSystem(async (tx) => {
      await prepareForReplica(tx, move.target);
      const found = await lockOwnership(tx, bucket);
      if (found && (found.token > token || !/^(incoming|gone)$/.test(found.state)))
        throw new MoveTakenOverError(bucket);
      await deleteBucket(tx, layouts, bucket);
      // The token stays, so that a mover that was left behind cannot begin to fill it again.
      const epoch = move.epoch - 1;
      await writeOwnership(tx, bucket, {
        state: 'gone',
        epoch,
        successor: move.source,
        token,
        copied: false,
      });
    }, UNLIMITED);
    await this.catalogue.end(move);
    return true;
  }

  private async forgetChanges(tx: Transaction, bucket: number): Promise<void> {
    await tx.query('DELETE FROM shard_changes WHERE bucket = $1', [bucket]);
  }
}

/** The source has committed that the bucket is the target's. */
function hasMoved(ownership: Ownership | undefined, move: BucketMove): boolean {
  return (
    ownership !== undefined &&
    (ownership.state === 'moved' || ownership.state === 'gone') &&
    ownership.epoch === move.epoch
  );
}

/** @throws ShardNotPreparedError when the login may not switch triggers and foreign keys off. */
async function prepareForReplica(tx: Transaction, shard: string): Promise<void> {
  try {
    await prepareTransfer(tx, 'replica');
  } catch (error) {
    if (errorCode(error) !== '42501') throw error;
    throw new ShardNotPreparedError(
      shard,
      'its login may not set session_replication_role; a superuser has to run ' +
        'GRANT SET ON PARAMETER session_replication_role TO the login',
    );
  }
}

function endedByFence(error: unknown, late: boolean): boolean {
  const code = errorCode(error);
  return (
    error instanceof FenceTooLong ||
    code === LOCK_NOT_AVAILABLE ||
    code === STATEMENT_TIMEOUT ||
    code === IDLE_TIMEOUT ||
    (late && isConnectionFailure(error))
  );
}

function sameDigest(a: BucketDigest | undefined, b: BucketDigest | undefined): boolean {
  return a?.rows === b?.rows && a?.sum === b?.sum;
}
