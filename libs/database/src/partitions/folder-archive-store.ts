import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, SystemClock } from '@sparkle/contracts';
import { checkArchiveName } from './archive-name.js';
import type { ArchiveStore } from './archive-store.port.js';
import { ArchiveNotFoundError } from './errors.js';

/** An unfinished file of this age belongs to a process that died. */
const ABANDONED_AFTER_MS = 24 * 3_600_000;
const UNFINISHED = '.partial';

/**
 * Archives as files of one folder, which is made when it is first written to. A file gets its name when it is
 * complete and on disk; until then its name starts with a dot.
 */
export class FolderArchiveStore implements ArchiveStore {
  constructor(
    private readonly folder: string,
    private readonly clock: Clock = new SystemClock(),
  ) {}

  async write(name: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    checkArchiveName(name);
    await mkdir(this.folder, { recursive: true });
    await this.removeAbandoned();
    const unfinished = join(this.folder, `.${name}.${randomUUID()}${UNFINISHED}`);
    try {
      const file = await open(unfinished, 'wx', 0o600);
      try {
        for await (const chunk of content) await file.appendFile(chunk);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(unfinished, join(this.folder, name));
    } catch (error) {
      await rm(unfinished, { force: true });
      throw error;
    }
    await syncFolder(this.folder);
  }

  async *read(name: string): AsyncIterable<Uint8Array> {
    checkArchiveName(name);
    try {
      yield* createReadStream(join(this.folder, name));
    } catch (error) {
      throw isMissing(error) ? new ArchiveNotFoundError(name) : error;
    }
  }

  async names(): Promise<string[]> {
    const files = await this.files();
    return files.filter((file) => !file.startsWith('.')).sort();
  }

  private async removeAbandoned(): Promise<void> {
    for (const file of await this.files()) {
      if (!file.startsWith('.') || !file.endsWith(UNFINISHED)) continue;
      const path = join(this.folder, file);
      const age = this.clock.now() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? Number.NaN);
      if (age > ABANDONED_AFTER_MS) await rm(path, { force: true });
    }
  }

  private async files(): Promise<string[]> {
    try {
      return await readdir(this.folder);
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  }
}

/** A new name is on disk only once its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
