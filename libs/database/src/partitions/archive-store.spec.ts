import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FolderArchiveStore } from './folder-archive-store.js';
import { MemoryArchiveStore } from './memory-archive-store.js';
import { describeArchiveStore } from './testing/archive-store.contract.js';
import { DateClock } from './testing/date-clock.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparkle-archives-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describeArchiveStore('memory', async () => new MemoryArchiveStore());
describeArchiveStore('folder', async () => new FolderArchiveStore(join(folder, 'made', 'on', 'demand')));

describe('the folder of archives', () => {
  const content = async function* () {
    yield Buffer.from('rows');
  };

  it('lists no file that is not complete, and removes those of processes that died a day ago', async () => {
    const now = Date.UTC(2026, 10, 23);
    const [old, recent, foreign] = ['.a.1.partial', '.a.2.partial', '.keep'].map((name) =>
      join(folder, name),
    );
    for (const path of [old!, recent!, foreign!]) await writeFile(path, 'half');
    await utimes(old!, (now - 25 * 3_600_000) / 1000, (now - 25 * 3_600_000) / 1000);
    await utimes(recent!, now / 1000, now / 1000);
    await utimes(foreign!, 0, 0);
    const store = new FolderArchiveStore(folder, new DateClock(now));
    expect(await store.names()).toEqual([]);
    await store.write('a', content());
    expect((await readdir(folder)).sort()).toEqual(['.a.2.partial', '.keep', 'a']);
  });

  it('keeps archives from other users of the machine', async () => {
    const store = new FolderArchiveStore(folder);
    await store.write('a', content());
    expect((await stat(join(folder, 'a'))).mode & 0o077).toBe(0);
  });
});
