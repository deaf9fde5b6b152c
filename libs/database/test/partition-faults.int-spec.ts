import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { SeededRandom, until } from '@sparkle/contracts/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EmbeddedPostgres } from '../src/embedded/index.js';
import {
  databaseMigrations,
  FolderArchiveStore,
  HashPartitions,
  ListPartitions,
  MemoryArchiveStore,
  MonthlyPartitions,
  migrate,
  openDatabase,
  PartitionRetention,
  parseDatabaseOptions,
  SlowQueryReport,
} from '../src/index.js';
import { archivedIds, RecordTable } from '../src/partitions/testing/record-table.js';
import { createTestDatabase, type TestDatabase } from '../src/testing/index.js';

const ROWS = 3_000;
const KILLS = 6;

describe('a process killed while it archives and restores', { timeout: 240_000 }, () => {
  let db: TestDatabase;
  let folder: string;
  let child: ChildProcess | undefined;

  beforeEach(async () => {
    db = await createTestDatabase();
    folder = await mkdtemp(join(tmpdir(), 'sparkle-killed-'));
  });
  afterEach(async () => {
    if (child) await kill(child);
    await db?.drop();
    await rm(folder, { recursive: true, force: true });
  });

  it('leaves every row in the table or in an archive, and the next one finishes what it began', async () => {
    const random = new SeededRandom(23);
    const table = await RecordTable.create(db.database, 'killed');
    const start = Date.UTC(2026, 0, 1);
    await table.insert(
      1,
      Array.from({ length: ROWS }, (_, index) =>
        new Date(start + ((index * 7919) % ROWS) * 2_400_000).toISOString(),
      ),
      'x'.repeat(200),
    );
    const all = Array.from({ length: ROWS }, (_, index) => index + 1);
    const store = new FolderArchiveStore(folder);
    const retention = new PartitionRetention(
      new MonthlyPartitions(db.database, { table: 'killed', column: 'at' }),
      store,
      { keepMonths: 1 },
    );
    for (let round = 0; round < KILLS; round++) {
      child = startWorker(db.url, folder);
      const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
      // A few turns further each time, then somewhere within the next one.
      for (let line = 0; line <= round % 3; line++) expect((await lines.next()).done).toBe(false);
      await new Promise((resolve) => setTimeout(resolve, random.next() * 400));
      await kill(child);
      const visible = await table.ids();
      expect(new Set(visible).size).toBe(visible.length);
      const found = new Set(visible);
      for (const archive of await retention.archives())
        for (const id of await archivedIds(store, archive)) found.add(id);
      for (const name of await table.detached())
        for (const { id } of await db.database.asSystem((tx) =>
          tx.query<{ id: number }>(`SELECT id FROM ${name}`),
        ))
          found.add(id);
      expect(found.size).toBe(ROWS);
    }
    // The server notices on its own that a killed client's transaction is over.
    await until(async () => {
      const { busy } = await retention.retire();
      return busy.length === 0;
    }, 'the end of what the killed processes held');
    expect(await table.detached()).toEqual([]);
    for (const archive of await retention.archives()) await retention.restore(archive);
    expect(await table.ids()).toEqual(all);
  });
});

describe('partitions of the embedded database', { timeout: 120_000 }, () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sparkle-embedded-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('are made, filled, archived and restored as on a server', async () => {
    const postgres = await EmbeddedPostgres.start({ dataDir: join(folder, 'data') });
    try {
      await migrate(postgres.url, databaseMigrations(8));
      const database = await openDatabase(parseDatabaseOptions({ url: postgres.url }));
      try {
        const table = await RecordTable.create(database, 'records');
        const times = Array.from({ length: 40 }, (_, index) =>
          new Date(Date.UTC(2020, index % 4, 1 + (index % 28))).toISOString(),
        );
        await table.insert(1, times);
        const partitions = new MonthlyPartitions(database, {
          table: 'records',
          column: 'at',
          rowsPerLock: 6,
        });
        const [first, second] = await Promise.all([partitions.ensure(), partitions.ensure()]);
        expect(first.created.length + second.created.length).toBe(4);
        expect(await partitions.moveStrays()).toMatchObject({ moved: 40 });
        expect(Object.values(await table.placement())).toEqual([10, 10, 10, 10]);
        const retention = new PartitionRetention(partitions, new MemoryArchiveStore(), { keepMonths: 1 });
        const { archived } = await retention.retire();
        expect(archived.map(({ rows }) => rows)).toEqual([10, 10, 10, 10]);
        expect(await table.ids()).toEqual([]);
        for (const { archive } of archived) await retention.restore(archive);
        expect(await table.ids()).toHaveLength(40);

        expect(await new SlowQueryReport(database).top()).toMatchObject({ installed: false });
        await database.asSystem(async (tx) => {
          await tx.query('CREATE TABLE listed (tenant_id text, id int) PARTITION BY LIST (tenant_id)');
          await tx.query('CREATE TABLE listed_default PARTITION OF listed DEFAULT');
          await tx.query("INSERT INTO listed VALUES ('acme', 1), ('globex', 2)");
          await tx.query('CREATE TABLE hashed (id int) PARTITION BY HASH (id)');
        });
        const listed = new ListPartitions(database, { table: 'listed', column: 'tenant_id' });
        expect((await listed.ensure(['acme'])).moved).toBe(1);
        const hashed = new HashPartitions(database, { table: 'hashed', column: 'id', modulus: 3 });
        expect((await hashed.ensure()).created).toHaveLength(3);
      } finally {
        await database.close();
      }
    } finally {
      await postgres.stop();
    }
  });
});

function startWorker(url: string, folder: string): ChildProcess {
  return spawn(
    process.execPath,
    [
      '--conditions=@sparkle/source',
      '--import',
      '@swc-node/register/esm-register',
      new URL('./partition-upkeep.fixture.ts', import.meta.url).pathname,
      JSON.stringify({ url, folder, table: 'killed' }),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'], cwd: new URL('..', import.meta.url).pathname },
  );
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
