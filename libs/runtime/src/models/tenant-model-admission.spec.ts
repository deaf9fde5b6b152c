import {
  MemoryPermitStore,
  MemoryTokenBudgetStore,
  Semaphores,
  StaticTenantPlans,
  TokenBudget,
} from '@sparkle/concurrency';
import { parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { describe, expect, it } from 'vitest';
import { TenantModelAdmission } from './tenant-model-admission.js';

const demo = parseTenantId('demo');
const other = parseTenantId('other');

function setUp() {
  const clock = new TestClock();
  const plans = new StaticTenantPlans({
    qps: 100,
    burst: 100,
    permits: 2,
    threadShare: 1,
    tokenBudget: { tokens: 1_000, windowMs: 60_000 },
  });
  const semaphores = new Semaphores(new MemoryPermitStore(clock), clock);
  const budget = new TokenBudget(
    new MemoryTokenBudgetStore(clock),
    async (tenantId) => (await plans.get(tenantId)).tokenBudget,
    { name: 'tokens', reservationMs: 300_000 },
  );
  return { semaphores, budget, admission: new TenantModelAdmission(semaphores, budget, plans) };
}

describe('TenantModelAdmission', () => {
  it("lets as many of a tenant's calls run at once as its plan has permits, and each tenant has its own", async () => {
    const { admission, semaphores } = setUp();
    const request = { tenantId: demo, operation: 'chat' as const, estimatedTokens: 10 };
    const held = [await admission.admit(request), await admission.admit(request)];
    const third = admission.admit(request);
    const elsewhere = await admission.admit({ ...request, tenantId: other });
    expect(semaphores.waiting).toBe(1);
    await held[0]!.release();
    const last = await third;
    expect(semaphores.waiting).toBe(0);
    await Promise.all([held[1]!, last, elsewhere].map((grant) => grant.release()));
  });

  it("keeps embedding calls from waiting for chat calls, which both draw on the tenant's budget", async () => {
    const { admission, semaphores, budget } = setUp();
    const chat = { tenantId: demo, operation: 'chat' as const, estimatedTokens: 10 };
    const held = [await admission.admit(chat), await admission.admit(chat)];
    const embedding = await admission.admit({ ...chat, operation: 'embed' });
    expect(semaphores.waiting).toBe(0);
    expect(await budget.usage(demo)).toMatchObject({ reserved: 30 });
    await Promise.all([...held, embedding].map((grant) => grant.release()));
  });

  it('reserves the estimate, charges what was used, and gives the rest back', async () => {
    const { admission, budget } = setUp();
    const grant = await admission.admit({ tenantId: demo, operation: 'chat', estimatedTokens: 600.5 });
    expect(await budget.usage(demo)).toMatchObject({ reserved: 601 });
    await grant.settle({ inputTokens: 100, outputTokens: 20, costUsd: 0 });
    await grant.release();
    expect(await budget.usage(demo)).toMatchObject({ reserved: 0, used: 120, remaining: 880 });
  });

  it('charges nothing for a call that was released without being settled', async () => {
    const { admission, budget } = setUp();
    await (await admission.admit({ tenantId: demo, operation: 'chat', estimatedTokens: 600 })).release();
    expect(await budget.usage(demo)).toMatchObject({ reserved: 0, used: 0, remaining: 1_000 });
  });

  it('keeps no permit when the budget refuses', async () => {
    const { admission, semaphores } = setUp();
    const first = await admission.admit({ tenantId: demo, operation: 'chat', estimatedTokens: 900 });
    for (let refusal = 0; refusal < 3; refusal++)
      await expect(
        admission.admit({ tenantId: demo, operation: 'chat', estimatedTokens: 200 }),
      ).rejects.toMatchObject({
        code: 'TOKEN_BUDGET_EXCEEDED',
      });
    await expect(
      admission.admit({ tenantId: demo, operation: 'chat', estimatedTokens: 5_000 }),
    ).rejects.toMatchObject({
      code: 'TOKEN_AMOUNT_INVALID',
    });
    const second = await admission.admit({ tenantId: demo, operation: 'chat', estimatedTokens: 100 });
    expect(semaphores.waiting).toBe(0);
    await Promise.all([first.release(), second.release()]);
  });

  it('leaves the queue when its caller gives up, and reserves nothing', async () => {
    const { admission, semaphores, budget } = setUp();
    const held = [1, 2].map(() =>
      admission.admit({ tenantId: demo, operation: 'chat', estimatedTokens: 10 }),
    );
    await Promise.all(held);
    const caller = new AbortController();
    const waiting = admission.admit({
      tenantId: demo,
      operation: 'chat',
      estimatedTokens: 10,
      signal: caller.signal,
    });
    waiting.catch(() => {});
    caller.abort(new Error('the client left'));
    await expect(waiting).rejects.toThrow('the client left');
    expect(semaphores.waiting).toBe(0);
    expect(await budget.usage(demo)).toMatchObject({ reserved: 20 });
    for (const grant of held) await (await grant).release();
  });
});
