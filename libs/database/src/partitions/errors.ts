import { DatabaseError } from '../errors.js';

/** The table is not partitioned at all, or in another way than the program describes it. */
export class PartitionSchemeMismatchError extends DatabaseError {
  readonly code = 'DATABASE_PARTITION_SCHEME_MISMATCH';

  constructor(table: string, expected: string, actual: string) {
    super(`Table "${table}" must be partitioned by ${expected}; it is ${actual}.`);
  }
}

/** A description of partitions that cannot be carried out. */
export class PartitionSchemeInvalidError extends DatabaseError {
  readonly code = 'DATABASE_PARTITION_SCHEME_INVALID';
}

/** A partition that exists covers a part of what the new one would hold. */
export class PartitionOverlapError extends DatabaseError {
  readonly code = 'DATABASE_PARTITION_OVERLAP';

  constructor(
    readonly partition: string,
    readonly existing: string,
  ) {
    super(`Partition "${partition}" cannot be made: "${existing}" already holds a part of its rows.`);
  }
}

/** The name a partition should get belongs to another table. */
export class PartitionNameTakenError extends DatabaseError {
  readonly code = 'DATABASE_PARTITION_NAME_TAKEN';

  constructor(readonly partition: string) {
    super(`Partition "${partition}" cannot be made: another table or index has its name. Rename that one.`);
  }
}

/** Partitions by hash exist with another modulus; changing it means to store every row anew. */
export class PartitionModulusChangedError extends DatabaseError {
  readonly code = 'DATABASE_PARTITION_MODULUS_CHANGED';

  constructor(
    readonly table: string,
    readonly requested: number,
    readonly existing: readonly number[],
  ) {
    super(
      `Table "${table}" has partitions of modulus ${existing.join(', ')}; ${requested} was asked for. ` +
        'Keep the modulus, or copy the rows into a new table.',
    );
  }
}

/** The locks a change of partitions needs were not free in time. Nothing is half done; try again later. */
export class PartitionLockedError extends DatabaseError {
  readonly code = 'DATABASE_PARTITION_LOCKED';

  constructor(table: string, attempts: number, options?: { cause?: unknown }) {
    super(
      `The partitions of "${table}" could not be changed: its locks were not free in ${attempts} attempts.`,
      options,
    );
  }
}

/** Archived rows can be loaded twice without doubling only if something tells which rows are the same. */
export class PartitionKeyMissingError extends DatabaseError {
  readonly code = 'DATABASE_PARTITION_KEY_MISSING';

  constructor(table: string, purpose: string) {
    super(`Table "${table}" has no primary key, which ${purpose} needs.`);
  }
}

/** There is no archive of this name, or it was never finished. */
export class ArchiveNotFoundError extends DatabaseError {
  readonly code = 'DATABASE_ARCHIVE_NOT_FOUND';

  constructor(readonly archive: string) {
    super(`There is no archive "${archive}".`);
  }
}

/** A name an archive store cannot have. */
export class ArchiveNameInvalidError extends DatabaseError {
  readonly code = 'DATABASE_ARCHIVE_NAME_INVALID';

  constructor() {
    super(
      'The name of an archive is 1 to 200 characters of a-z, 0-9, "_", "-" and ".", and starts with a-z.',
    );
  }
}

/** What is stored is not what was archived. Nothing was loaded and nothing was dropped. */
export class ArchiveDamagedError extends DatabaseError {
  readonly code = 'DATABASE_ARCHIVE_DAMAGED';

  constructor(
    readonly archive: string,
    reason: string,
    options?: { cause?: unknown },
  ) {
    super(`Archive "${archive}" cannot be used: ${reason}.`, options);
  }
}

/** The archive does not fit the table any more. */
export class ArchiveMismatchError extends DatabaseError {
  readonly code = 'DATABASE_ARCHIVE_MISMATCH';

  constructor(
    readonly archive: string,
    readonly differences: readonly string[],
  ) {
    super(`Archive "${archive}" does not fit its table: ${differences.join('; ')}.`);
  }
}

/** A value has more rows in the default partition than may move while that is locked. Nothing was changed. */
export class PartitionSplitTooLargeError extends DatabaseError {
  readonly code = 'DATABASE_PARTITION_SPLIT_TOO_LARGE';

  constructor(
    readonly partition: string,
    readonly rows: number,
    readonly limit: number,
  ) {
    super(
      `Partition "${partition}" was not made: ${rows} rows would have to move while nobody can use the default ` +
        `partition, and ${limit} may. Ask for it with { anySize: true } at a quiet hour.`,
    );
  }
}
