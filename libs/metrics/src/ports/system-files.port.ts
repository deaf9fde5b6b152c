/** Reads the kernel's small text files, so that tests can stand in for a machine. */
export interface SystemFiles {
  /** Content of the file at an absolute path; `undefined` when it cannot be read. */
  read(path: string): Promise<string | undefined>;

  /** How many entries the folder at an absolute path has; `undefined` when it cannot be read. */
  count(path: string): Promise<number | undefined>;
}

/** Injection token of the {@link SystemFiles} port. */
export const SystemFiles = Symbol('SystemFiles');
