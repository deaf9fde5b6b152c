import { DatabaseError } from '../errors.js';

/** Another live process (or this one) has the data folder open. */
export class DataFolderLockedError extends DatabaseError {
  readonly code = 'DATA_FOLDER_LOCKED';

  constructor(
    readonly folder: string,
    readonly pid: number,
  ) {
    super(
      `The data folder ${folder} is in use by process ${pid}. The embedded database serves one process at a ` +
        'time: stop that one, or choose another folder.',
    );
  }
}

/** The data folder cannot be created or written to. */
export class DataFolderUnwritableError extends DatabaseError {
  readonly code = 'DATA_FOLDER_UNWRITABLE';

  constructor(folder: string, options?: { cause?: unknown }) {
    super(
      `The data folder ${folder} cannot be written to. Check that it can be created and who owns it.`,
      options,
    );
  }
}

/** The data folder is a file, or holds something that is not an embedded database. */
export class DataFolderForeignError extends DatabaseError {
  readonly code = 'DATA_FOLDER_FOREIGN';

  constructor(folder: string) {
    super(`${folder} is not empty and holds no embedded database. Choose an empty or a new folder.`);
  }
}

/** The embedded database did not start. */
export class EmbeddedStartError extends DatabaseError {
  readonly code = 'EMBEDDED_START_FAILED';

  constructor(folder: string, reason: string, options?: { cause?: unknown }) {
    super(`The embedded database in ${folder} did not start: ${reason}`, options);
  }
}
