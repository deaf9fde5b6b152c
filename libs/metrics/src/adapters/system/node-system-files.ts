import { readdir, readFile } from 'node:fs/promises';
import type { SystemFiles } from '../../ports/system-files.port.js';

/** The real files of this machine. */
export class NodeSystemFiles implements SystemFiles {
  async read(path: string): Promise<string | undefined> {
    try {
      return await readFile(path, 'utf8');
    } catch {
      return undefined;
    }
  }

  async count(path: string): Promise<number | undefined> {
    try {
      return (await readdir(path)).length;
    } catch {
      return undefined;
    }
  }
}
