import { randomUUID } from 'node:crypto';
import { parseTenantId, SystemClock, type TenantDatabase } from '@sparkle/contracts';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TenantPlan } from '../../ports/tenant-plans.port.js';
import { DatabaseTenantPlans } from './database-tenant-plans.js';

const plan: TenantPlan = {
  qps: 10,
  burst: 20,
  permits: 4,
  threadShare: 2,
  tokenBudget: { tokens: 1000, windowMs: 60_000 },
};

function requireTestDatabaseUrl(): string {
  const url = process.env.TEST_DATABASE_URL;
  if (!url) {
    throw new Error(
      'TEST_DATABASE_URL is not set. Start the test services (npm test does) or set it by hand.',
    );
  }
  return url;
}

describe('tenant plans in PostgreSQL', () => {
  const name = `x_${randomUUID().replaceAll('-', '')}`;
  let server: pg.Client;
  let client: pg.Client;
  let plans: DatabaseTenantPlans;

  beforeAll(async () => {
    const url = new URL(requireTestDatabaseUrl());
    server = new pg.Client({ connectionString: url.href });
    await server.connect();
    await server.query(`CREATE DATABASE ${name}`);
    url.pathname = `/${name}`;
    client = new pg.Client({ connectionString: url.href });
    await client.connect();
    await client.query(
      `CREATE TABLE tenants (id text PRIMARY KEY, status text NOT NULL DEFAULT 'active', plan jsonb)`,
    );
    const insert = 'INSERT INTO tenants (id, status, plan) VALUES ($1, $2, $3)';
    await client.query(insert, ['acme', 'active', plan]);
    await client.query(insert, ['partial', 'active', { qps: 3 }]);
    await client.query(insert, ['planless', 'active', null]);
    await client.query(insert, ['barred', 'suspended', plan]);
    const database: TenantDatabase = {
      withTenant: (_tenantId, work) =>
        work({
          query: async (text, parameters) => (await client.query(text, [...(parameters ?? [])])).rows,
        }),
    };
    plans = new DatabaseTenantPlans(database, new SystemClock(), { defaultPlan: plan });
  });
  afterAll(async () => {
    await client?.end();
    await server?.query(`DROP DATABASE IF EXISTS ${name}`);
    await server?.end();
  });

  it('are read from jsonb, whole, in part or by default', async () => {
    expect(await plans.get(parseTenantId('acme'))).toEqual(plan);
    expect(await plans.get(parseTenantId('partial'))).toEqual({ ...plan, qps: 3 });
    expect(await plans.get(parseTenantId('planless'))).toEqual(plan);
  });

  it('are refused to suspended and unknown tenants', async () => {
    await expect(plans.get(parseTenantId('barred'))).rejects.toMatchObject({ code: 'TENANT_SUSPENDED' });
    await expect(plans.get(parseTenantId('nobody'))).rejects.toMatchObject({ code: 'TENANT_PLAN_MISSING' });
  });
});
