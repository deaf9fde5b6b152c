import type { SystemFiles } from '../ports/system-files.port.js';

/** A machine's system files as a plain object, by absolute path. */
export class FakeSystemFiles implements SystemFiles {
  constructor(readonly files: Record<string, string>) {}

  async read(path: string): Promise<string | undefined> {
    return this.files[path];
  }
}
