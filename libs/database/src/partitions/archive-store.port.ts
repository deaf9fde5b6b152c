/**
 * Where archives of partitions are kept: a folder, object storage. Names are 1 to 200 characters of `a-z 0-9 _ - .`
 * and start with a letter; every method throws `ArchiveNameInvalidError` for another one.
 */
export interface ArchiveStore {
  /**
   * Stores `content` under `name`, replacing what was there. When it resolves, the whole content survives a
   * crash; when it rejects, or the process dies, what was there before is there still, or nothing is.
   */
  write(name: string, content: AsyncIterable<Uint8Array>): Promise<void>;
  /** What is stored under `name`; the iteration throws `ArchiveNotFoundError` when nothing is. */
  read(name: string): AsyncIterable<Uint8Array>;
  /** The names of what is stored completely, in order. */
  names(): Promise<string[]>;
}

/** Injection token of the {@link ArchiveStore} port. */
export const ArchiveStore = Symbol('ArchiveStore');
