import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TenantsTable } from '../../../test/tenants-table.js';
import type { TenantPlan } from '../../ports/tenant-plans.port.js';
import { DatabaseTenantPlans } from './database-tenant-plans.js';

const plan: TenantPlan = {
  qps: 10,
  burst: 20,
  permits: 4,
  threadShare: 2,
  tokenBudget: { tokens: 1000, windowMs: 60_000 },
};

describe('tenant plans in PostgreSQL', () => {
  let tenants: TenantsTable;
  let plans: DatabaseTenantPlans;

  beforeAll(async () => {
    tenants = await TenantsTable.create();
    const { client, database } = tenants;
    const insert = 'INSERT INTO tenants (id, status, plan) VALUES ($1, $2, $3)';
    await client.query(insert, ['acme', 'active', plan]);
    await client.query(insert, ['partial', 'active', { qps: 3 }]);
    await client.query(insert, ['planless', 'active', null]);
    await client.query(insert, ['barred', 'suspended', plan]);
    plans = new DatabaseTenantPlans(database, new SystemClock(), { defaultPlan: plan });
  });
  afterAll(() => tenants?.drop());

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
