import type { SystemFiles } from '../ports/system-files.port.js';

/** A machine's system files as a plain object, by absolute path. */
export class FakeSystemFiles implements SystemFiles {
  constructor(readonly files: Record<string, string>) {}

  async read(path: string): Promise<string | undefined> {
    return this.files[path];
  }

  async count(path: string): Promise<number | undefined> {
    const entries = new Set<string>();
    for (const file of Object.keys(this.files))
      if (file.startsWith(`${path}/`)) entries.add(file.slice(path.length + 1).split('/', 1)[0]!);
    return entries.size === 0 ? undefined : entries.size;
  }
}
