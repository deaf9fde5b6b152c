import { DatabaseError } from '../errors.js';

/** A key that the sharding policy cannot place. The key itself is not told. */
export class ShardKeyInvalidError extends DatabaseError {
  readonly code = 'SHARD_KEY_INVALID';
}

/** A policy, a list of tables or a plan that cannot be used for sharding. */
export class ShardSetupInvalidError extends DatabaseError {
  readonly code = 'SHARD_SETUP_INVALID';
}

/** The options of the shards are wrong; every wrong path is named, no value is. */
export class ShardsOptionsInvalidError extends DatabaseError {
  readonly code = 'SHARDS_OPTIONS_INVALID';

  constructor(readonly problems: readonly string[]) {
    super(`The shards options are not valid: ${problems.join('; ')}.`);
  }
}

/** The catalogue has no bucket map yet. */
export class ShardMapMissingError extends DatabaseError {
  readonly code = 'SHARD_MAP_MISSING';

  constructor() {
    super('The catalogue has no shard map. Create it once with ShardAdministration.createMap().');
  }
}

/** The map was made for another policy or another number of buckets, and neither can change. */
export class ShardMapMismatchError extends DatabaseError {
  readonly code = 'SHARD_MAP_MISMATCH';
}

/** A shard that the map or the caller names has no connection in the configuration, or is not in the map. */
export class ShardUnknownError extends DatabaseError {
  readonly code = 'SHARD_UNKNOWN';

  constructor(
    readonly shard: string,
    reason: string,
  ) {
    super(`Shard "${shard}" ${reason}.`);
  }
}

/** A server is not the shard that the configuration says it is. */
export class ShardIdentityError extends DatabaseError {
  readonly code = 'SHARD_IDENTITY_WRONG';

  constructor(
    readonly shard: string,
    found: string,
  ) {
    super(`The server configured as shard "${shard}" ${found}.`);
  }
}

/** A shard, or the catalogue, lacks what moving buckets needs, or its tables differ from those of the other shard. */
export class ShardNotPreparedError extends DatabaseError {
  readonly code = 'SHARD_NOT_PREPARED';

  constructor(
    readonly shard: string,
    reason: string,
  ) {
    super(`${shard === 'catalogue' ? 'The catalogue' : `Shard "${shard}"`} is not prepared: ${reason}.`);
  }
}

/**
 * The server asked does not own the bucket, and the owner could not be reached in time. Nothing was read or
 * written.
 */
export class BucketMovedError extends DatabaseError {
  readonly code = 'SHARD_BUCKET_MOVED';

  constructor(
    readonly bucket: number,
    readonly shard: string,
  ) {
    super(`Bucket ${bucket} is not served by shard "${shard}" any more.`);
  }
}

/** A statement touched a row whose key belongs to a bucket of another shard; the transaction is undone. */
export class ForeignBucketError extends DatabaseError {
  readonly code = 'SHARD_FOREIGN_BUCKET';

  constructor(options?: { cause?: unknown }) {
    super(
      'A row belongs to a bucket that this shard does not serve. Work for one key must not write rows of another.',
      options,
    );
  }
}

/** Work for one key was started inside of work for another one. */
export class NestedShardKeyError extends DatabaseError {
  readonly code = 'SHARD_NESTED_KEY';

  constructor() {
    super(
      'Work for one shard key is in progress; work for another key may live on another server and cannot be ' +
        'part of its transaction. Finish the first one before starting the second.',
    );
  }
}

/** Somebody else moves this bucket at the moment, or it is being moved to another shard. */
export class MoveInProgressError extends DatabaseError {
  readonly code = 'SHARD_MOVE_IN_PROGRESS';

  constructor(
    readonly bucket: number,
    detail: string,
  ) {
    super(`Bucket ${bucket} is being moved: ${detail}.`);
  }
}

/** Another mover has taken this move over; nothing that this one does afterwards has an effect. */
export class MoveTakenOverError extends DatabaseError {
  readonly code = 'SHARD_MOVE_TAKEN_OVER';

  constructor(readonly bucket: number) {
    super(`The move of bucket ${bucket} has been taken over or undone by somebody else.`);
  }
}

/**
 * Every attempt to stop writers of the bucket for a moment met a transaction that lasted longer than the
 * fence may. Writers were not harmed; the move can be resumed or undone.
 */
export class BucketBusyError extends DatabaseError {
  readonly code = 'SHARD_BUCKET_BUSY';

  constructor(
    readonly bucket: number,
    attempts: number,
    fenceMs: number,
    options?: { cause?: unknown },
  ) {
    super(
      `Bucket ${bucket} could not be handed over within ${fenceMs} ms in ${attempts} attempts: ` +
        'a transaction holds it, or it is written to faster than it is copied. Resume the move later.',
      options,
    );
  }
}

/** The copy of a bucket differs from the original. The original stays in service; the move starts anew. */
export class BucketVerificationError extends DatabaseError {
  readonly code = 'SHARD_VERIFICATION_FAILED';

  constructor(
    readonly bucket: number,
    readonly table: string,
  ) {
    super(`The copy of bucket ${bucket} differs from the original in table "${table}".`);
  }
}

/** Some shards did not answer a fan-out that needs all of them. `failures` has what happened to each. */
export class FanOutError extends DatabaseError {
  readonly code = 'SHARD_FAN_OUT_FAILED';

  constructor(readonly failures: readonly { shard: string; status: string; error: unknown }[]) {
    super(
      `${failures.length} shards did not answer: ${failures.map((one) => `${one.shard} (${one.status})`).join(', ')}.`,
      { cause: failures[0]?.error },
    );
  }
}

/** A shard did not answer a fan-out within the time given to it. */
export class ShardTimeoutError extends DatabaseError {
  readonly code = 'SHARD_TIMEOUT';

  constructor(
    readonly shard: string,
    timeoutMs: number,
  ) {
    super(`Shard "${shard}" did not answer within ${timeoutMs} ms.`);
  }
}

/** Buckets kept changing their shard while a fan-out looked at them, so no answer counts each row once. */
export class FanOutUnstableError extends DatabaseError {
  readonly code = 'SHARD_FAN_OUT_UNSTABLE';

  constructor(readonly buckets: readonly number[]) {
    super(`Buckets ${buckets.slice(0, 10).join(', ')} were changing their shard during the fan-out.`);
  }
}
