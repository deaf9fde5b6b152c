import { mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DataFolderForeignError, DataFolderLockedError, DataFolderUnwritableError } from './errors.js';

const LOCK_NAME = /^lock\.(\d+)\.(\d+)$/;

/** Folder of the database inside the data folder. */
export const CLUSTER = 'pg';
/** File that is there while the database is being made. */
export const CLUSTER_INCOMPLETE = 'incomplete';

/** A data folder held by this process. */
export interface DataFolder {
  /** Absolute path. */
  readonly path: string;
  /** Gives the folder back. Calling it twice does nothing. */
  release(): Promise<void>;
}

/**
 * Takes a data folder for this process, creating it if need be.
 *
 * A lock is an empty file `lock.<pid>.<start time>`, so creating it is atomic and says whose it is. Whoever
 * wants the folder first creates its own file and only then looks for others: of two that try at once, at
 * least one sees the other and withdraws (perhaps both: then neither starts). A file whose process is gone, or whose pid belongs to a younger
 * process now, counts for nothing, so a killed process never keeps the folder. Where the system does not tell
 * start times (no /proc), the pid alone decides. Processes in different PID namespaces do not see each other.
 *
 * @throws DataFolderLockedError when a live process has it.
 * @throws DataFolderForeignError when it holds something else.
 * @throws DataFolderUnwritableError when files cannot be created in it.
 */
export async function claimDataFolder(folder: string): Promise<DataFolder> {
  const path = resolve(folder);
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    if (isCode(error, 'EEXIST', 'ENOTDIR')) throw new DataFolderForeignError(path);
    throw new DataFolderUnwritableError(path, { cause: error });
  }
  await refuseForeignContent(path);

  const own = `lock.${process.pid}.${(await processStart(process.pid)) ?? 0}`;
  await createLock(path, own);
  const holder = await liveHolder(path, own);
  if (holder !== undefined) {
    await rm(join(path, own), { force: true });
    throw new DataFolderLockedError(path, holder);
  }
  return { path, release: () => rm(join(path, own), { force: true }) };
}

async function createLock(path: string, name: string): Promise<void> {
  try {
    await (await open(join(path, name), 'wx')).close();
  } catch (error) {
    if (isCode(error, 'EEXIST')) throw new DataFolderLockedError(path, process.pid);
    throw new DataFolderUnwritableError(path, { cause: error });
  }
}

/** The pid of another live process with a lock; locks of dead ones are removed. */
async function liveHolder(path: string, own: string): Promise<number | undefined> {
  for (const name of await readdir(path)) {
    const match = LOCK_NAME.exec(name);
    if (!match || name === own) continue;
    const pid = Number(match[1]);
    if (await isAlive(pid, Number(match[2]))) return pid;
    await rm(join(path, name), { force: true });
  }
  return undefined;
}

async function isAlive(pid: number, startedAt: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (!isCode(error, 'EPERM')) return false;
  }
  const start = await processStart(pid);
  return start === undefined ? !(await hasProc()) : startedAt === 0 || start === startedAt;
}

/** Start time of a running process in clock ticks since boot (proc(5), field 22); a zombie does not run. */
async function processStart(pid: number): Promise<number | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : Number(fields[19]);
  } catch {
    return undefined;
  }
}

async function hasProc(): Promise<boolean> {
  return (await processStart(process.pid)) !== undefined;
}

async function refuseForeignContent(path: string): Promise<void> {
  if (!(await stat(path)).isDirectory()) throw new DataFolderForeignError(path);
  let names: string[];
  try {
    names = await readdir(path);
  } catch (error) {
    throw new DataFolderUnwritableError(path, { cause: error });
  }
  const ownNames = names.filter((name) => LOCK_NAME.test(name) || name === CLUSTER_INCOMPLETE);
  if (ownNames.length === names.length || ownNames.includes(CLUSTER_INCOMPLETE)) return;
  const cluster = await readdir(join(path, CLUSTER)).catch((): string[] => []);
  if (!cluster.includes('PG_VERSION')) throw new DataFolderForeignError(path);
}

function isCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
