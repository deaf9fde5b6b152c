import { AsyncResource } from 'node:async_hooks';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { channels, parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { errorCode } from '../src/core/connection-failure.js';
import {
  type Database,
  databaseMigrations,
  migrate,
  openDatabase,
  parseDatabaseOptions,
  TenantPools,
  TenantRoles,
} from '../src/index.js';
import { PostgresServer } from '../src/testing/index.js';

const SECRET = 'a secret of more than thirty-two characters';
const acme = parseTenantId('acme');
const globex = parseTenantId('globex');

describe('a tenant with a database role of its own', () => {
  let server: PostgresServer;
  let shared: Database;
  let roles: TenantRoles;
  let clock: TestClock;
  let pools: TenantPools;
  let url: string;

  beforeAll(async () => {
    // The product's login is trusted, tenants' have to prove their password.
    server = await PostgresServer.start();
    const hba = join(await server.makeFolder('settings'), 'pg_hba.conf');
    await writeFile(hba, 'host all postgres,sparkle all trust\nhost all all all scram-sha-256\n', {
      mode: 0o644,
    });
    await server.query(`ALTER SYSTEM SET hba_file = '${hba}'`);
    await server.restart();
    await server.query('CREATE ROLE sparkle LOGIN CREATEROLE');
    await server.query('CREATE DATABASE product OWNER sparkle');
    await server.query('CREATE EXTENSION vector', [], 'product');
    await server.query('GRANT SET ON PARAMETER temp_file_limit TO sparkle');
    url = server.urlOf('product', 'sparkle');
    await migrate(url, databaseMigrations(8));
    shared = await openDatabase(parseDatabaseOptions({ url, pool: { size: 2, overflow: 2 } }));
    for (const tenant of [acme, globex])
      await shared.asSystem((tx) => tx.query('INSERT INTO tenants (id, name) VALUES ($1, $1)', [tenant]));
  });

  beforeEach(async () => {
    await pools?.close();
    clock = new TestClock();
    roles = new TenantRoles(shared, SECRET);
    const options = parseDatabaseOptions({ url, pool: { size: 2, overflow: 2, acquireTimeoutMs: 2_000 } });
    pools = new TenantPools(shared, roles, options);
    for (const { tenantId } of await roles.list()) await roles.remove(tenantId);
  });

  afterAll(async () => {
    await pools?.close();
    await shared?.close();
    await server.stop();
  });

  const loginOf = (database: { withTenant: TenantPools['withTenant'] }, tenant = acme) =>
    database.withTenant(tenant, async (tx) => {
      const [row] = await tx.query<{ login: string; role: string; memory: string; timeout: string }>(
        `SELECT session_user AS login, current_user AS role, current_setting('work_mem') AS memory,
           current_setting('statement_timeout') AS timeout`,
      );
      return row!;
    });

  it('works under a login, a memory bound and a time limit of its own, and others go on as before', async () => {
    const { role } = await roles.ensure(acme, { workMemKb: 1024, statementTimeoutMs: 1234 });
    expect(await loginOf(pools)).toEqual({
      login: role,
      role: 'sparkle_app',
      memory: '1MB',
      timeout: '1234ms',
    });
    expect((await loginOf(pools, globex)).login).toBe('sparkle');
  });

  it('sees its own rows only', async () => {
    await roles.ensure(acme);
    await shared.withTenant(globex, (tx) =>
      tx.query(`INSERT INTO users (tenant_id, id) VALUES ('globex', 'g')`),
    );
    const seen = await pools.withTenant(acme, async (tx) => {
      await tx.query(`INSERT INTO users (tenant_id, id) VALUES ('acme', 'a') ON CONFLICT DO NOTHING`);
      return tx.query('SELECT DISTINCT tenant_id AS tenant FROM users');
    });
    expect(seen).toEqual([{ tenant: 'acme' }]);
    await expect(
      pools.withTenant(acme, (tx) => tx.query(`INSERT INTO users (tenant_id, id) VALUES ('globex', 'x')`)),
    ).rejects.toThrow(/row-level security/);
  });

  it('never has more connections than its bound, over two processes, and starves nobody', async () => {
    await roles.ensure(acme, { connections: 2 });
    const options = parseDatabaseOptions({ url, pool: { size: 2, overflow: 2 } });
    const other = new TenantPools(shared, roles, options);
    let most = 0;
    try {
      const flood = Array.from({ length: 40 }, (_, index) =>
        (index % 2 ? pools : other).withTenant(acme, (tx) => tx.query('SELECT pg_sleep(0.02)')),
      );
      for (let look = 0; look < 20; look++) {
        const [row] = await shared.asSystem((tx) =>
          tx.query<{ count: number }>(
            `SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename LIKE 'sparkle\\_t\\_%'`,
          ),
        );
        most = Math.max(most, row!.count);
        expect((await loginOf(pools, globex)).login).toBe('sparkle');
      }
      await Promise.all(flood);
    } finally {
      await other.close();
    }
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(2);
  });

  it('is told when none of its connections becomes free in time', async () => {
    await roles.ensure(acme, { connections: 1 });
    const options = parseDatabaseOptions({ url, pool: { acquireTimeoutMs: 1_000 } });
    const hurried = new TenantPools(shared, roles, options);
    try {
      // As somebody else would: not inside of the transaction that is under way.
      const ask = AsyncResource.bind(() => loginOf(hurried).catch((error: unknown) => error));
      const refusal = await pools.withTenant(acme, () => ask());
      expect(refusal).toMatchObject({ code: 'DATABASE_TENANT_CONNECTIONS_EXHAUSTED' });
    } finally {
      await hurried.close();
    }
  });

  it('is counted with the other tenants of their own pools, and needs no replica of its own', async () => {
    await roles.ensure(acme);
    await roles.ensure(globex);
    const replicas = [{ url: 'postgres://nobody@127.0.0.1:1/nowhere' }];
    const own = new TenantPools(shared, roles, parseDatabaseOptions({ url, replicas }));
    const seen: { checkedOut: number; size: number }[] = [];
    const stop = channels.database.subscribe((event) => {
      if (event.kind === 'pool' && event.pool === 'tenants') seen.push(event);
    });
    try {
      await loginOf(own, acme);
      const other = AsyncResource.bind(() => loginOf(own, globex));
      await own.withTenant(acme, () => other());
    } finally {
      stop();
      await own.close();
    }
    expect(Math.max(...seen.map(({ checkedOut }) => checkedOut))).toBe(2);
    expect(own.poolState).toEqual({ size: 0, checkedOut: 0, overflow: 0, waiting: 0 });
  });

  it('has its statements cancelled when they take too long, and its transaction undone', async () => {
    await roles.ensure(acme, { statementTimeoutMs: 50 });
    const slow = pools.withTenant(acme, async (tx) => {
      await tx.query(`INSERT INTO users (tenant_id, id) VALUES ('acme', 'half-done')`);
      await tx.query('SELECT pg_sleep(30)');
    });
    await expect(slow.catch(errorCode)).resolves.toBe('57014');
    const rows = await shared.withTenant(acme, (tx) => tx.query(`SELECT FROM users WHERE id = 'half-done'`));
    expect(rows).toEqual([]);
  });

  it('cannot fill the disk with temporary files', async () => {
    await roles.ensure(acme, { tempFileLimitKb: 1024, workMemKb: 64 });
    const sorting = pools.withTenant(acme, (tx) =>
      tx.query('SELECT g FROM generate_series(1, 500000) g ORDER BY md5(g::text) OFFSET 499999'),
    );
    await expect(sorting.catch(errorCode)).resolves.toBe('53400');
    expect((await loginOf(pools)).login).toMatch(/^sparkle_t_/);
  });

  it('joins a transaction that is under way on the shared pool instead of opening a second one', async () => {
    await roles.ensure(acme);
    const [outer, inner] = await shared.withTenant(acme, async (tx) => {
      const pid = () => tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      return [
        await pid(),
        await pools.withTenant(acme, (nested) => nested.query('SELECT pg_backend_pid() AS pid')),
      ];
    });
    expect(inner).toEqual(outer);
    await expect(
      pools.withTenant(acme, () => shared.withTenant(globex, async () => undefined)),
    ).rejects.toMatchObject({ code: 'DATABASE_NESTED_TENANT' });
  });

  it('gets changed bounds, and loses a removed role, within half a minute', async () => {
    const options = parseDatabaseOptions({ url });
    const timed = new TenantPools(shared, roles, options, { clock });
    try {
      await roles.ensure(acme, { workMemKb: 1024 });
      expect((await loginOf(timed)).memory).toBe('1MB');
      await roles.ensure(acme, { workMemKb: 2048 });
      await clock.advance(30_000);
      expect((await loginOf(timed)).memory).toBe('2MB');
      await roles.remove(acme);
      await clock.advance(30_000);
      expect((await loginOf(timed)).login).toBe('sparkle');
    } finally {
      await timed.close();
    }
  });

  it('is listed with the bounds the server has', async () => {
    const resources = {
      connections: 3,
      statementTimeoutMs: 60_000,
      workMemKb: 8192,
      tempFileLimitKb: 2_097_152,
    };
    const ensured = await roles.ensure(globex, resources);
    expect(await roles.list()).toEqual([{ ...ensured, resources }]);
  });

  it('has a password that no statement and no log contains, and that no other secret gives', async () => {
    await server.query(`ALTER SYSTEM SET log_statement = 'all'`);
    await server.query('SELECT pg_reload_conf()');
    const { role } = await roles.ensure(acme);
    const { password } = await roles.credentials(acme);
    expect(await server.log()).toContain(`ALTER ROLE ${role} LOGIN`);
    expect(await server.log()).not.toContain(password);
    const stranger = new TenantPools(
      shared,
      new TenantRoles(shared, SECRET.toUpperCase()),
      parseDatabaseOptions({ url }),
    );
    await expect(loginOf(stranger)).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE' });
    await stranger.close();
  });

  it('has bounds that make sense, or none', async () => {
    await expect(roles.ensure(acme, { connections: 0, workMemKb: 1 })).rejects.toMatchObject({
      code: 'DATABASE_TENANT_RESOURCES_INVALID',
      message: expect.stringMatching(/connections: .*; workMemKb: /),
    });
    expect(() => new TenantRoles(shared, 'short')).toThrowError(/at least 32 characters/);
    expect(await roles.list()).toEqual([]);
  });

  it('is not made by a login that lacks the rights, which is told what to grant', async () => {
    await server.query('REVOKE SET ON PARAMETER temp_file_limit FROM sparkle');
    try {
      await expect(roles.ensure(acme)).rejects.toMatchObject({
        code: 'DATABASE_TENANT_ROLE_PRIVILEGE_MISSING',
        message: expect.stringContaining('GRANT SET ON PARAMETER temp_file_limit'),
      });
      expect(await roles.list()).toEqual([]);
    } finally {
      await server.query('GRANT SET ON PARAMETER temp_file_limit TO sparkle');
    }
  });
});
