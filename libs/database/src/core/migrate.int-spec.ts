import { randomBytes } from 'node:crypto';
import type { SchemaMigration } from '@sparkle/contracts';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  DatabaseUnreachableError,
  EmbeddingDimensionsInvalidError,
  EmbeddingDimensionsMismatchError,
  MigrationChangedError,
  MigrationFailedError,
  MigrationListInvalidError,
} from '../errors.js';
import { databaseMigrations } from '../migrations/index.js';
import { migrate } from './migrate.js';

let admin: pg.Client;
let name: string;
let url: string;

beforeAll(async () => {
  admin = new pg.Client(process.env.TEST_DATABASE_URL);
  await admin.connect();
});
afterAll(() => admin.end());
beforeEach(async () => {
  name = `sparkle_migrate_${randomBytes(6).toString('hex')}`;
  await admin.query(`CREATE DATABASE ${name}`);
  url = Object.assign(new URL(process.env.TEST_DATABASE_URL!), { pathname: `/${name}` }).href;
});
afterEach(async () => {
  await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
});

const query = async (text: string) => {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
};
const step = (migration: string, ...statements: string[]): SchemaMigration => ({
  name: migration,
  statements,
});

describe('migrate', () => {
  it('applies each migration once, in order of name', async () => {
    const migrations = databaseMigrations(4);
    expect(await migrate(url, [...migrations].reverse())).toEqual(
      migrations.map((migration) => migration.name).sort(),
    );
    expect(await migrate(url, migrations)).toEqual([]);
    const added = step('0100-other-library', 'CREATE TABLE other (id int)');
    expect(await migrate(url, [...migrations, added])).toEqual(['0100-other-library']);
  });

  it('applies each migration exactly once when several processes start together', async () => {
    const applied = await Promise.all(Array.from({ length: 6 }, () => migrate(url, databaseMigrations(4))));
    expect(applied.flat().sort()).toEqual(databaseMigrations(4).map((migration) => migration.name));
  });

  it('creates the application role for several databases at once', async () => {
    const second = `${name}_b`;
    await admin.query(`CREATE DATABASE ${second}`);
    try {
      const other = Object.assign(new URL(url), { pathname: `/${second}` }).href;
      await Promise.all([migrate(url, databaseMigrations(4)), migrate(other, databaseMigrations(4))]);
    } finally {
      await admin.query(`DROP DATABASE ${second} WITH (FORCE)`);
    }
  });

  it('leaves nothing of a migration that fails, and keeps the earlier ones', async () => {
    const work = migrate(url, [
      step('01-good', 'CREATE TABLE good (id int)'),
      step('02-bad', 'CREATE TABLE half (id int)', 'SELECT broken'),
    ]);
    await expect(work).rejects.toMatchObject({ code: 'DATABASE_MIGRATION_FAILED', migration: '02-bad' });
    await expect(work).rejects.toBeInstanceOf(MigrationFailedError);
    expect(
      await query("SELECT to_regclass('good') IS NOT NULL AS good, to_regclass('half') AS half"),
    ).toEqual([{ good: true, half: null }]);
    expect(await migrate(url, [step('01-good', 'CREATE TABLE good (id int)')])).toEqual([]);
  });

  it('refuses a migration that was changed after it had been applied', async () => {
    await migrate(url, [step('01-a', 'CREATE TABLE a (id int)')]);
    const changed = migrate(url, [step('01-a', 'CREATE TABLE a (id bigint)')]);
    await expect(changed).rejects.toBeInstanceOf(MigrationChangedError);
  });

  it('says which embedding dimension the database has when asked for another', async () => {
    await migrate(url, databaseMigrations(4));
    const work = migrate(url, databaseMigrations(8));
    await expect(work).rejects.toBeInstanceOf(EmbeddingDimensionsMismatchError);
    await expect(work).rejects.toMatchObject({ stored: 4, requested: 8 });
  });

  it('refuses dimensions that no index can hold and two migrations of one name', async () => {
    for (const dimensions of [0, -1, 1.5, 2001, Number.NaN])
      expect(() => databaseMigrations(dimensions)).toThrow(EmbeddingDimensionsInvalidError);
    await expect(migrate(url, [step('a'), step('a')])).rejects.toBeInstanceOf(MigrationListInvalidError);
  });

  it('names the unreachable server without the password', async () => {
    const work = migrate('postgres://ada:hunter2@127.0.0.1:1/app', []);
    await expect(work).rejects.toBeInstanceOf(DatabaseUnreachableError);
    await expect(work).rejects.toThrow(/127\.0\.0\.1:1\/app as ada/);
    await expect(work).rejects.not.toThrow(/hunter2/);
  });
});
