import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../testing/index.js';
import type { ArchiveStore } from './archive-store.port.js';
import {
  ArchiveDamagedError,
  ArchiveMismatchError,
  ArchiveNotFoundError,
  PartitionKeyMissingError,
  PartitionSchemeInvalidError,
} from './errors.js';
import { FolderArchiveStore } from './folder-archive-store.js';
import { MemoryArchiveStore } from './memory-archive-store.js';
import { MonthlyPartitions } from './monthly-partitions.js';
import { PartitionRetention } from './partition-retention.js';
import type { PartitionDatabase } from './partition-table.js';
import { DateClock } from './testing/date-clock.js';
import { archivedIds, RecordTable } from './testing/record-table.js';

const TODAY = Date.UTC(2026, 10, 23);
const DAY = 24 * 3_600_000;
let db: TestDatabase;
let clock: DateClock;
let table: RecordTable;
let store: ArchiveStore;
let folder: string;
let tables = 0;

beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(() => db.drop());
beforeEach(async () => {
  clock = new DateClock(TODAY);
  table = await RecordTable.create(db.database, `records_${++tables}`);
  folder = await mkdtemp(join(tmpdir(), 'sparkle-archives-'));
  store = new FolderArchiveStore(folder);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function retention(
  keepMonths = 2,
  archives: ArchiveStore = store,
  name = table.name,
  database: PartitionDatabase = db.database,
): PartitionRetention {
  const partitions = new MonthlyPartitions(database, { table: name, column: 'at' }, { clock });
  return new PartitionRetention(partitions, archives, { keepMonths });
}

const run = <Row extends object>(text: string, parameters: unknown[] = []) =>
  db.database.asSystem((tx) => tx.query<Row>(text, parameters));

/** Three rows in each of the months of 2026 up to November. */
async function fillYear(records = table): Promise<void> {
  const times = Array.from({ length: 11 }, (_, month) =>
    [1, 15, 28].map((day) => new Date(Date.UTC(2026, month, day, 12)).toISOString()),
  ).flat();
  await records.insert(1, times, 'a\tnote\\with\n"everything"\r\\N');
}

describe('retention', { timeout: 60_000 }, () => {
  it('archives and drops the months that are over, and keeps the others', async () => {
    await fillYear();
    const { archived, busy } = await retention(2).retire();
    expect(busy).toEqual([]);
    expect(archived.map(({ archive }) => archive.replace(/\.20261123000000-[0-9a-f]{8}$/, ''))).toEqual(
      ['01', '02', '03', '04', '05', '06', '07', '08'].map((month) => `${table.name}_2026_${month}`),
    );
    for (const { rows } of archived) expect(rows).toBe(3);
    expect(await table.placement()).toEqual({ default: 9 });
    expect(await table.detached()).toEqual([]);
    const found = await Promise.all(archived.map(({ archive }) => archivedIds(store, archive)));
    expect(found.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 24 }, (_, index) => index + 1));
    expect(await retention(2).retire()).toEqual({ archived: [], busy: [] });
    expect(await retention().archives()).toEqual(archived.map(({ archive }) => archive));
  });

  it('describes an archive so that it can be checked and read without this library', async () => {
    await fillYear();
    const [first] = (await retention(9).retire()).archived;
    const manifest = JSON.parse(await readFile(join(folder, `${first!.archive}.json`), 'utf8'));
    const file = await readFile(join(folder, `${first!.archive}.copy.gz`));
    expect(manifest).toEqual({
      format: 'sparkle-partition-archive',
      version: 1,
      table: table.name,
      column: 'at',
      from: '2026-01-01 00:00:00+00',
      to: '2026-02-01 00:00:00+00',
      columns: [
        { name: 'id', type: 'integer' },
        { name: 'at', type: 'timestamp with time zone' },
        { name: 'note', type: 'text' },
      ],
      rows: 3,
      bytes: file.length,
      sha256: createHash('sha256').update(file).digest('hex'),
      archivedAt: '2026-11-23T00:00:00.000Z',
    });
  });

  it('archives rows that come after their month was archived, in an archive of their own', async () => {
    await fillYear();
    const policy = retention(9);
    const first = await policy.retire();
    await table.insert(100, ['2026-01-20', '2025-05-01']);
    const second = await policy.retire();
    expect(second.archived.map(({ rows }) => rows)).toEqual([1, 1]);
    const ids = await Promise.all(
      [...first.archived, ...second.archived].map(({ archive }) => archivedIds(store, archive)),
    );
    expect(ids.flat().sort((a, b) => a - b)).toEqual([1, 2, 3, 100, 101]);
  });

  it('drops an empty month without an archive', async () => {
    await run(
      `CREATE TABLE ${table.name}_2026_01 PARTITION OF ${table.name} FOR VALUES FROM ('2026-01-01Z') TO ('2026-02-01Z')`,
    );
    expect(await retention(2).retire()).toEqual({ archived: [], busy: [] });
    expect(await table.detached()).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
  });

  it('keeps a table whose archive does not read back as it was written', async () => {
    await fillYear();
    const memory = new MemoryArchiveStore();
    const lossy: ArchiveStore = {
      write: (name, content) => memory.write(name, name.endsWith('.gz') ? withoutLastByte(content) : content),
      read: (name) => memory.read(name),
      names: () => memory.names(),
    };
    await expect(retention(9, lossy).retire()).rejects.toBeInstanceOf(ArchiveDamagedError);
    const [kept] = await table.detached();
    expect(await run(`SELECT id FROM ${kept} ORDER BY id`)).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }]);
    await expect(retention(9, lossy).retire()).rejects.toBeInstanceOf(ArchiveDamagedError);
    expect(await table.detached()).toEqual([kept]);
  });

  it('leaves to another process what that is archiving', async () => {
    await fillYear();
    let goOn = () => {};
    let begun = () => {};
    const hasBegun = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const mayGoOn = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const memory = new MemoryArchiveStore();
    const slow: ArchiveStore = {
      read: (name) => memory.read(name),
      names: () => memory.names(),
      write: async (name, content) => {
        begun();
        await mayGoOn;
        await memory.write(name, content);
      },
    };
    const first = retention(9, slow).retire();
    await hasBegun;
    const second = await retention(9, slow).retire();
    expect(second.archived).toEqual([]);
    expect(second.busy).toEqual([expect.stringContaining(`${table.name}_2026_01_out_`)]);
    goOn();
    expect((await first).archived).toHaveLength(1);
  });

  it('gives one result when several processes retire at once, again and again', async () => {
    for (let round = 0; round < 20; round++) {
      const records = await RecordTable.create(db.database, `shared_${round}`);
      await records.insert(1, ['2026-01-02', '2026-01-03', '2026-02-04', '2026-11-05']);
      const archives = new MemoryArchiveStore();
      const workers = Array.from({ length: 3 }, () => retention(2, archives, records.name));
      const reports = await Promise.all(workers.map((worker) => worker.retire()));
      const archived = [...reports, await workers[0]!.retire()].flatMap((report) => report.archived);
      expect(archived.map(({ rows }) => rows).sort()).toEqual([1, 2]);
      const ids = await Promise.all(archived.map(({ archive }) => archivedIds(archives, archive)));
      expect(ids.flat().sort()).toEqual([1, 2, 3]);
      expect(await records.ids()).toEqual([4]);
      expect(await records.detached()).toEqual([]);
    }
  });

  it('refuses a rule that would archive the month in progress', () => {
    for (const keepMonths of [0, -1, 1.5])
      expect(() => retention(keepMonths)).toThrow(PartitionSchemeInvalidError);
  });
});

describe('restoring', () => {
  it('brings back every row as it was, once, however often it is asked', async () => {
    await fillYear();
    const content = () => run(`SELECT * FROM ${table.name} ORDER BY id`);
    const before = await content();
    const policy = retention(2);
    const { archived } = await policy.retire();
    for (const { archive } of archived)
      expect(await policy.restore(archive)).toEqual({ rows: 3, restored: 3 });
    expect(await content()).toEqual(before);
    for (const { archive } of archived)
      expect(await policy.restore(archive)).toEqual({ rows: 3, restored: 0 });
    expect(await content()).toEqual(before);
    expect((await table.placement())['2026_01']).toBe(3);
  });

  it('keeps the text of every type exactly, for this library and for COPY', async () => {
    await run(
      `CREATE TABLE types_${tables} (
         id bigint, at timestamptz, n numeric, f float8, r real, b bytea, j jsonb, js json, a text[], m int[][], u uuid,
         d date, t timestamp, i interval, c char(8), v varchar, e bool, g int4range, p point, x inet, s vector(3),
         "Odd ""name" text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)`,
    );
    const name = `types_${tables}`;
    await run(`CREATE TABLE ${name}_default PARTITION OF ${name} DEFAULT`);
    await run(
      `INSERT INTO ${name} VALUES
       (9007199254740993, '2026-01-31 23:59:59.999999Z', 1.10, 'NaN', '-Infinity', '\\x00ff5c0a', '{"a":"\\\\t\\n"}',
        '{"b" : 1, "b":2}', ARRAY['x', NULL, '', '\\', E'\\n', '学'], '[2:3][0:0]={{1},{2}}',
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '0044-03-15 BC', 'infinity', '-1 mon +2 days 03:04:05.6', 'pad', '',
        false, '[1,)', '(0.1,1e300)', '::1/128', '[1,2.5,-3]', E'\\b\\f\\v\\r'),
       (2, '2026-01-01', 0.1e-30, 0.1::float8 + 0.2::float8, 3.14159274, '', 'null', 'null', '{}', NULL, NULL,
        NULL, NULL, NULL, NULL, '\\N', NULL, 'empty', NULL, NULL, NULL, '\\.')`,
    );
    const content = () => run(`SELECT t::text AS row FROM ${name} t ORDER BY id`);
    const before = await content();
    const policy = retention(2, store, name);
    const [first] = (await policy.retire()).archived;
    expect(await content()).toEqual([]);
    await run(`CREATE TABLE copy_of_${name} (LIKE ${name})`);
    await copyInto(`copy_of_${name}`, first!.archive);
    expect(await run(`SELECT t::text AS row FROM copy_of_${name} t ORDER BY id`)).toEqual(before);
    expect(await policy.restore(first!.archive)).toEqual({ rows: 2, restored: 2 });
    expect(await content()).toEqual(before);
  });

  it('leaves rows alone that the table has already', async () => {
    await fillYear();
    const policy = retention(9);
    const [first] = (await policy.retire()).archived;
    await table.insert(2, ['2026-01-15T12:00:00Z'], 'newer');
    expect(await policy.restore(first!.archive)).toEqual({ rows: 3, restored: 2 });
    expect(await run(`SELECT note FROM ${table.name} WHERE id = 2`)).toEqual([{ note: 'newer' }]);
  });

  it('keeps a restored month for some days, and then archives it again', async () => {
    await fillYear();
    const policy = retention(9);
    const [first] = (await policy.retire()).archived;
    await policy.restore(first!.archive, { keepDays: 3 });
    expect((await policy.retire()).archived).toEqual([]);
    expect((await table.placement())['2026_01']).toBe(3);
    clock.time = TODAY + 3 * DAY + 1;
    const [again] = (await policy.retire()).archived;
    expect(again!.rows).toBe(3);
    expect(await policy.archives()).toEqual([first!.archive, again!.archive]);
  });

  it('doubles nothing when several processes restore at once', async () => {
    await fillYear();
    const policy = retention(9);
    const [first] = (await policy.retire()).archived;
    const reports = await Promise.all([1, 2, 3].map(() => retention(9).restore(first!.archive)));
    expect(reports.reduce((sum, { restored }) => sum + restored, 0)).toBe(3);
    expect(await table.ids()).toHaveLength(33);
  });

  it('refuses an archive that is not what was written, and changes nothing', async () => {
    await fillYear();
    const policy = retention(9);
    const [first] = (await policy.retire()).archived;
    const archive = first!.archive;
    const [rows, manifest] = ['.copy.gz', '.json'].map((end) => join(folder, archive + end));
    const [goodRows, goodManifest] = await Promise.all([readFile(rows!), readFile(manifest!, 'utf8')]);
    const flipped = Buffer.from(goodRows);
    flipped[5]! ^= 0xff; // A byte of the header that decompressing does not look at.
    const damages: [string, Buffer, string][] = [
      ['flipped', flipped, goodManifest],
      ['truncated', goodRows.subarray(0, -20), goodManifest],
      ['not compressed', Buffer.from('1\t2\t3\n'), goodManifest],
      ['empty', Buffer.alloc(0), goodManifest],
      ['a row less', goodRows, goodManifest.replace('"rows": 3', '"rows": 2')],
      ['not JSON', goodRows, goodManifest.slice(1)],
      ['another version', goodRows, goodManifest.replace('"version": 1', '"version": 2')],
      ['too large', goodRows, goodManifest + ' '.repeat(1_000_000)],
    ];
    for (const [damage, newRows, newManifest] of damages) {
      await writeFile(rows!, newRows);
      await writeFile(manifest!, newManifest);
      await expect(policy.restore(archive), damage).rejects.toBeInstanceOf(ArchiveDamagedError);
    }
    await writeFile(manifest!, goodManifest);
    await rm(rows!);
    await expect(policy.restore(archive)).rejects.toBeInstanceOf(ArchiveNotFoundError);
    await expect(policy.restore('records_nothing')).rejects.toBeInstanceOf(ArchiveNotFoundError);
    expect(await table.placement()).toEqual({ default: 30 });
    await writeFile(rows!, goodRows);
    expect(await policy.restore(archive)).toEqual({ rows: 3, restored: 3 });
  });

  it('refuses an archive that does not fit the table any more, naming every difference', async () => {
    await fillYear();
    const policy = retention(9);
    const [first] = (await policy.retire()).archived;
    await run(`ALTER TABLE ${table.name} DROP COLUMN length, DROP COLUMN note, ADD COLUMN words int NOT NULL DEFAULT 0,
               ALTER COLUMN id TYPE bigint, ADD COLUMN author text`);
    const restored = policy.restore(first!.archive);
    await expect(restored).rejects.toBeInstanceOf(ArchiveMismatchError);
    await expect(restored).rejects.toMatchObject({
      differences: ['column "id" is bigint and was integer', 'column "note" does not exist'],
    });
    const other = await RecordTable.create(db.database, `other_${tables}`);
    const elsewhere = retention(9, store, other.name).restore(first!.archive);
    await expect(elsewhere).rejects.toThrow(`it is of table "${table.name}"`);
    await run(`ALTER TABLE ${table.name} ALTER COLUMN id TYPE int, ADD COLUMN note text`);
    expect(await policy.restore(first!.archive)).toEqual({ rows: 3, restored: 3 });
  });

  it('refuses a table without a primary key, in which rows could double', async () => {
    await run(`CREATE TABLE keyless_${tables} (id int, at timestamptz) PARTITION BY RANGE (at)`);
    await run(`CREATE TABLE keyless_${tables}_default PARTITION OF keyless_${tables} DEFAULT`);
    await run(`INSERT INTO keyless_${tables} VALUES (1, '2026-01-01')`);
    const policy = retention(2, store, `keyless_${tables}`);
    const [first] = (await policy.retire()).archived;
    await expect(policy.restore(first!.archive)).rejects.toBeInstanceOf(PartitionKeyMissingError);
  });
});

// Each moment is a run of its own.
describe('a process that ends at any moment', { timeout: 120_000 }, () => {
  it('of retiring loses and doubles no row, and the next one finishes', async () => {
    let point = 1;
    for (let died = true; died; point++) {
      const records = await RecordTable.create(db.database, `crashed_${point}`);
      const times = ['2026-01-02', '2026-01-03', '2026-03-04', '2026-11-05'];
      await records.insert(1, times);
      await run(
        `CREATE TABLE ${records.name}_2025_12 PARTITION OF ${records.name} FOR VALUES FROM ('2025-12-01Z') TO ('2026-01-01Z')`,
      );
      await records.insert(5, ['2025-12-31']);
      const memory = new MemoryArchiveStore();
      const crash = new Crash(point);
      const mortal = retention(2, crash.store(memory), records.name, crash.database(db.database));
      died = await crash.during(() => mortal.retire());
      const heir = retention(2, memory, records.name);
      await heir.retire();
      const archives = await heir.archives();
      const archived = await Promise.all(archives.map((archive) => archivedIds(memory, archive)));
      expect(archived.flat().sort(), `died at ${point}`).toEqual([1, 2, 3, 5]);
      expect(await records.ids(), `died at ${point}`).toEqual([4]);
      expect(await records.detached(), `died at ${point}`).toEqual([]);
    }
    expect(point).toBeGreaterThan(60);
  });

  it('of restoring leaves all rows or none, and doubles none', async () => {
    await fillYear();
    const policy = retention(9);
    const archive = (await policy.retire()).archived[0]!.archive;
    let point = 1;
    for (let died = true; died; point++) {
      const crash = new Crash(point);
      const mortal = retention(9, store, table.name, crash.database(db.database));
      died = await crash.during(() => mortal.restore(archive));
      expect([30, 33], `died at ${point}`).toContain((await table.ids()).length);
      await policy.restore(archive);
      expect(await table.ids()).toEqual(Array.from({ length: 33 }, (_, index) => index + 1));
      await run(`DROP TABLE ${table.name}_2026_01`);
    }
    expect(point).toBeGreaterThan(15);
  });
});

/**
 * Ends a piece of work at its n-th step: before a statement, after a commit, before or after something is
 * stored. To the database and to the store that is what the end of the process is.
 */
class Crash {
  private readonly reason = new Error('the process ended');
  private dead = false;

  constructor(private remaining: number) {}

  async during(work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
    } catch (error) {
      if (error !== this.reason) throw error;
    }
    return this.dead;
  }

  database(database: PartitionDatabase): PartitionDatabase {
    return {
      asSystem: async (work, options) => {
        const result = await database.asSystem(
          (tx) =>
            work({
              manager: tx.manager,
              signal: tx.signal,
              afterCommit: (hook) => tx.afterCommit(hook),
              query: (text, parameters) => {
                this.step();
                return tx.query(text, parameters);
              },
            }),
          options,
        );
        this.step();
        return result;
      },
    };
  }

  store(archives: ArchiveStore): ArchiveStore {
    return {
      read: (name) => archives.read(name),
      names: () => archives.names(),
      write: async (name, content) => {
        this.step();
        await archives.write(name, content);
        this.step();
      },
    };
  }

  private step(): void {
    if (!this.dead && --this.remaining === 0) this.dead = true;
    if (this.dead) throw this.reason;
  }
}

async function* withoutLastByte(content: AsyncIterable<Uint8Array>) {
  const parts: Uint8Array[] = [];
  for await (const part of content) parts.push(part);
  yield Buffer.concat(parts).subarray(0, -1);
}

/** Loads an archive as an administrator would, with PostgreSQL's own means. */
async function copyInto(name: string, archive: string): Promise<void> {
  const client = new pg.Client(db.url);
  await client.connect();
  try {
    await pipeline(
      Readable.from(store.read(`${archive}.copy.gz`)),
      createGunzip(),
      client.query(copyFrom(`COPY ${name} FROM STDIN`)),
    );
  } finally {
    await client.end();
  }
}
