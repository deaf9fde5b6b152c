import { randomBytes } from 'node:crypto';
import { parseTenantId } from '@sparkle/contracts';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseDatabaseOptions } from '../database.options.js';
import { IdentifierInvalidError, PrivilegedRoleError } from '../errors.js';
import { databaseMigrations } from '../migrations/index.js';
import { createTestDatabase, type TestDatabase } from '../testing/index.js';
import { describeTenantIsolation } from '../testing/tenant-isolation.contract.js';
import type { Database } from './database.service.js';
import { migrate } from './migrate.js';
import { openDatabase } from './open-database.js';
import { enableTenantIsolation } from './tenant-isolation.js';

describe('as a superuser', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createTestDatabase();
  });
  afterAll(() => db.drop());

  describeTenantIsolation(() => db.database);

  it('is refused where an unprivileged login is required', async () => {
    const options = parseDatabaseOptions({ url: db.url, requireUnprivileged: true });
    await expect(openDatabase(options)).rejects.toBeInstanceOf(PrivilegedRoleError);
  });
});

describe('searches under row-level security', () => {
  const acme = parseTenantId('acme');
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createTestDatabase({ dimensions: 4 });
    await db.createTenant(acme);
    await db.database.asSystem(async (tx) => {
      await tx.query(`INSERT INTO documents
        (tenant_id, id, title, format, content, content_hash, byte_size, created_by)
        VALUES ('acme', '00000000-0000-0000-0000-000000000001', 't', 'text', 'c', 'h', 1, 'ada')`);
      await tx.query(`INSERT INTO chunks
        (tenant_id, id, document_id, ordinal, content, start_offset, end_offset, token_count, terms)
        SELECT 'acme', gen_random_uuid(), '00000000-0000-0000-0000-000000000001', n, 'c', 0, 1, 1, 'word' || n
        FROM generate_series(1, 5000) n`);
      await tx.query(`INSERT INTO knowledge_nodes (tenant_id, id, key, name, type)
        SELECT 'acme', gen_random_uuid(), n::text, md5(n::text), 'concept' FROM generate_series(1, 5000) n`);
    });
    await db.dataSource.query('VACUUM ANALYZE chunks');
    await db.dataSource.query('VACUUM ANALYZE knowledge_nodes');
  });
  afterAll(() => db.drop());

  it.each([
    ['chunks_fts', "SELECT 1 FROM chunks WHERE fts @@ to_tsquery('simple', 'word77')"],
    ['knowledge_nodes_name_trgm', "SELECT 1 FROM knowledge_nodes WHERE name % 'c4ca4238a0b9'"],
    ['chunks_embedding', "SELECT 1 FROM chunks ORDER BY embedding <=> '[1,0,0,0]' LIMIT 5"],
  ])('use the index %s', async (index, query) => {
    const plan = await db.database.withTenant(acme, (tx) => tx.query(`EXPLAIN ${query}`));
    expect(JSON.stringify(plan)).toContain(index);
  });
});

describe('as an owner without privileges beyond CREATEROLE', () => {
  const role = `sparkle_owner_${randomBytes(6).toString('hex')}`;
  let admin: pg.Client;
  let database: Database;

  beforeAll(async () => {
    admin = new pg.Client(process.env.TEST_DATABASE_URL);
    await admin.connect();
    await admin.query(`CREATE ROLE ${role} LOGIN CREATEROLE PASSWORD 'secret'`);
    await admin.query(`CREATE DATABASE ${role} OWNER ${role}`);
    const url = new URL(process.env.TEST_DATABASE_URL!);
    url.pathname = `/${role}`;
    // pgvector is not a trusted extension: on a managed server the operator installs it.
    const installer = new pg.Client(url.href);
    await installer.connect();
    await installer.query('CREATE EXTENSION vector');
    await installer.end();
    url.username = role;
    url.password = 'secret';
    await migrate(url.href, databaseMigrations(8));
    database = await openDatabase(parseDatabaseOptions({ url: url.href, requireUnprivileged: true }));
  });
  afterAll(async () => {
    await database?.close();
    await admin.query(`DROP DATABASE IF EXISTS ${role} WITH (FORCE)`);
    await admin.query(`DROP ROLE ${role}`);
    await admin.end();
  });

  describeTenantIsolation(() => database);

  it('sees nothing outside of a tenant or system scope, although the tables are its own', async () => {
    expect(await database.dataSource.query('SELECT 1 FROM users')).toEqual([]);
  });
});

describe('enableTenantIsolation', () => {
  it('refuses a name that is not a plain identifier', () => {
    for (const name of ['Users', 'a b', 'x;DROP TABLE y', ''])
      expect(() => enableTenantIsolation(name)).toThrow(IdentifierInvalidError);
  });
});
