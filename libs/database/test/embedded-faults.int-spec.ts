import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseTenantId } from '@sparkle/contracts';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataFolderLockedError, EmbeddedPostgres } from '../src/embedded/index.js';
import { openDatabase, parseDatabaseOptions, SchemaNotMigratedError } from '../src/index.js';

let folder: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparkle-faults-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) if (child.exitCode === null) await kill(child);
  await rm(folder, { recursive: true, force: true });
});

function startWriter(dataDir: string) {
  const child = spawn(
    process.execPath,
    [
      '--conditions=@sparkle/source',
      '--import',
      '@swc-node/register/esm-register',
      new URL('./embedded-writer.fixture.ts', import.meta.url).pathname,
      dataDir,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'], cwd: new URL('..', import.meta.url).pathname },
  );
  children.push(child);
  return { child, lines: createInterface({ input: child.stdout! })[Symbol.asyncIterator]() };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function query(url: string, text: string) {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

// Each test starts the database several times, some in processes of their own.
describe('the data folder', { timeout: 120_000 }, () => {
  it('is refused to a second start, in this process and in another, and free again after the stop', async () => {
    const first = await EmbeddedPostgres.start({ dataDir: folder });
    try {
      const second = EmbeddedPostgres.start({ dataDir: folder });
      await expect(second).rejects.toBeInstanceOf(DataFolderLockedError);
      await expect(second).rejects.toMatchObject({ code: 'DATA_FOLDER_LOCKED', pid: process.pid });
      await expect(second).rejects.toThrow(folder);
      const { lines } = startWriter(folder);
      expect((await lines.next()).value).toMatch(new RegExp(`^DATA_FOLDER_LOCKED .*${process.pid}`));
    } finally {
      await first.stop();
    }
    await first.stop();
    expect((await readdir(folder)).sort()).toEqual(['pg']);
    const again = await EmbeddedPostgres.start({ dataDir: folder });
    await again.stop();
    expect(await again.exited).toBeUndefined();
  });

  it('keeps every committed row when its process is killed in the middle of writing, again and again', async () => {
    let acknowledged = 0;
    for (const rounds of [25, 40]) {
      const { child, lines } = startWriter(folder);
      for (let row = 0; row < rounds; row++) {
        const { value } = await lines.next();
        expect(value).toMatch(/^\d+$/);
        acknowledged = Number(value);
      }
      await kill(child);
    }
    const postgres = await EmbeddedPostgres.start({ dataDir: folder });
    try {
      const [row] = await query(
        postgres.url,
        'SELECT count(*)::int AS count, max(n) AS last, min(length(padding)) AS padding FROM written',
      );
      expect(row.count).toBe(row.last);
      expect(row.last).toBeGreaterThanOrEqual(acknowledged);
      expect(row.padding).toBe(2000);
    } finally {
      await postgres.stop();
    }
  });

  it('is made anew when its first start was killed half-way, and asks for migrations', async () => {
    await mkdir(join(folder, 'pg', 'base'), { recursive: true });
    await writeFile(join(folder, 'pg', 'PG_VERSION'), '1');
    await writeFile(join(folder, 'incomplete'), '');
    const postgres = await EmbeddedPostgres.start({ dataDir: folder });
    try {
      expect(await query(postgres.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      const database = await openDatabase(parseDatabaseOptions({ url: postgres.url }));
      const early = database.withTenant(parseTenantId('acme'), async () => 'too early');
      await expect(early).rejects.toBeInstanceOf(SchemaNotMigratedError);
      await database.close();
    } finally {
      await postgres.stop();
    }
  });
});
