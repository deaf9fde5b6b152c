import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimDataFolder } from './data-folder.js';
import { DataFolderForeignError, DataFolderLockedError, DataFolderUnwritableError } from './errors.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparkle-folder-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('a data folder', () => {
  it('is created when missing, held once, and free after its release', async () => {
    const path = join(folder, 'deep', 'new');
    const held = await claimDataFolder(path);
    await expect(claimDataFolder(path)).rejects.toBeInstanceOf(DataFolderLockedError);
    await held.release();
    await held.release();
    await (await claimDataFolder(path)).release();
    expect(await readdir(path)).toEqual([]);
  });

  it('is given to one of many that ask at once', async () => {
    const claims = await Promise.allSettled(Array.from({ length: 20 }, () => claimDataFolder(folder)));
    expect(claims.filter((claim) => claim.status === 'fulfilled')).toHaveLength(1);
  });

  it.each([
    ['of a process that is gone', 'lock.999999999.1'],
    ['whose pid belongs to a younger process now', `lock.${process.ppid}.1`],
  ])('is not kept by a lock %s', async (_, name) => {
    await writeFile(join(folder, name), '');
    const held = await claimDataFolder(folder);
    expect(await readdir(folder)).not.toContain(name);
    await held.release();
  });

  it('is refused when it holds something else, and left as it was', async () => {
    const file = join(folder, 'thesis.txt');
    await writeFile(file, 'precious');
    await expect(claimDataFolder(folder)).rejects.toBeInstanceOf(DataFolderForeignError);
    await expect(claimDataFolder(file)).rejects.toBeInstanceOf(DataFolderForeignError);
    await expect(claimDataFolder(join(file, 'below'))).rejects.toBeInstanceOf(DataFolderForeignError);
    expect(await readdir(folder)).toEqual(['thesis.txt']);
  });

  it('is refused when its "pg" is no database', async () => {
    await mkdir(join(folder, 'pg'));
    await writeFile(join(folder, 'pg', 'notes'), '');
    await expect(claimDataFolder(folder)).rejects.toBeInstanceOf(DataFolderForeignError);
  });

  it('is refused when nobody can write to it', async () => {
    // sysfs lets nobody create folders, root included.
    await expect(claimDataFolder('/sys/sparkle')).rejects.toBeInstanceOf(DataFolderUnwritableError);
  });
});
