import { Test } from '@nestjs/testing';
import { parseTenantId } from '@sparkle/contracts';
import { expect, it } from 'vitest';
import { ConcurrencyModule } from '../src/concurrency.module.js';
import { TenantThreads } from '../src/core/tenant-threads.js';

it('a Nest application runs tasks in its tenants’ threads and ends them when it closes', async () => {
  const plan = { qps: 1, burst: 1, permits: 1, threadShare: 1, tokenBudget: { tokens: 1, windowMs: 1 } };
  const application = await Test.createTestingModule({
    imports: [
      ConcurrencyModule.forRoot({
        store: { kind: 'memory' },
        plans: { kind: 'static', default: plan },
        threads: { maxThreads: 2, env: { REGION: 'here' } },
      }),
    ],
  }).compile();
  const threads = application.get(TenantThreads);
  const filename = new URL('./tenant-tasks.mjs', import.meta.url);
  const tenantId = parseTenantId('acme');
  expect(await threads.run(tenantId, { filename, name: 'environment' })).toEqual({ REGION: 'here' });
  expect(threads.stats()).toMatchObject({ threads: 1, idle: 1 });
  await application.close();
  expect(threads.stats().threads).toBe(0);
  await expect(threads.run(tenantId, { filename })).rejects.toMatchObject({ code: 'TENANT_THREADS_CLOSED' });
});
