import { type Principal, parseTenantId } from '@sparkle/contracts';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TenantRegistry } from './tenant-registry.js';

const alice: Principal = { tenantId: parseTenantId('demo'), userId: 'alice', scopes: ['read'] };
const PLAN = {
  qps: 5,
  burst: 10,
  permits: 2,
  threadShare: 1,
  tokenBudget: { tokens: 1_000, windowMs: 60_000 },
};

describe('TenantRegistry', () => {
  let test: TestDatabase;

  beforeEach(async () => {
    test = await createTestDatabase();
  });
  afterEach(() => test.drop());

  const users = () =>
    test.database.asSystem((sql) => sql.query('SELECT tenant_id, id FROM users ORDER BY tenant_id, id'));

  it('takes an unknown tenant in where there is a default plan', async () => {
    const registry = new TenantRegistry(test.database, true);
    await Promise.all([registry.admit(alice), registry.admit(alice)]);
    await registry.admit({ ...alice, userId: 'bob' });
    expect(await registry.list()).toEqual([{ id: 'demo', status: 'active', plan: null }]);
    expect(await users()).toEqual([
      { tenant_id: 'demo', id: 'alice' },
      { tenant_id: 'demo', id: 'bob' },
    ]);
  });

  it('leaves an unknown tenant unknown without a default plan, and writes nothing', async () => {
    const registry = new TenantRegistry(test.database, false);
    await registry.admit(alice);
    expect(await registry.list()).toEqual([]);
    expect(await users()).toEqual([]);
  });

  it('registers a caller who came before his tenant was created, once it is', async () => {
    const registry = new TenantRegistry(test.database, false);
    await registry.admit(alice);
    await registry.save(alice.tenantId, { plan: PLAN });
    await registry.admit(alice);
    expect(await users()).toEqual([{ tenant_id: 'demo', id: 'alice' }]);
  });

  it('gives back each plan and status as it was saved last, by name', async () => {
    const registry = new TenantRegistry(test.database, false);
    const [a, b] = [parseTenantId('a'), parseTenantId('b')];
    await registry.save(b, { status: 'suspended' });
    await registry.save(a, { plan: PLAN });
    expect(await registry.list()).toEqual([
      { id: 'a', status: 'active', plan: PLAN },
      { id: 'b', status: 'suspended', plan: null },
    ]);
    await registry.save(b, { status: 'active', plan: PLAN });
    await registry.save(a, { plan: null });
    expect(await registry.list()).toEqual([
      { id: 'a', status: 'active', plan: null },
      { id: 'b', status: 'active', plan: PLAN },
    ]);
  });

  it('keeps what a change does not name', async () => {
    const registry = new TenantRegistry(test.database, true);
    await registry.save(alice.tenantId, { plan: PLAN });
    await registry.save(alice.tenantId, { status: 'suspended' });
    await registry.admit(alice);
    await registry.save(alice.tenantId, {});
    expect(await registry.list()).toEqual([{ id: 'demo', status: 'suspended', plan: PLAN }]);
  });
});
