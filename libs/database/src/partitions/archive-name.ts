import { ArchiveNameInvalidError } from './errors.js';

const NAME = /^[a-z][a-z0-9_.-]{0,199}$/;

/** @throws ArchiveNameInvalidError when `name` could be anything but one plain file. */
export function checkArchiveName(name: string): void {
  if (!NAME.test(name)) throw new ArchiveNameInvalidError();
}
