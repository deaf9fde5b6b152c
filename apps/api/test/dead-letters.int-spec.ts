import { randomUUID } from 'node:crypto';
import { APP_GUARD } from '@nestjs/core';
import { ConcurrencyModule } from '@sparkle/concurrency';
import { type Principal, parseTenantId, type TenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { DeadLetters, JobQueues, redisQueueBackend, TenantRegistry, TokenService } from '@sparkle/runtime';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { GatewayGuard } from '../src/gateway/gateway.guard.js';
import { Gateway } from '../src/gateway/gateway.js';
import { DeadLettersController } from '../src/routes/dead-letters.controller.js';
import { type HttpApp, startHttpApp } from './http-app.js';

const tokens = new TokenService('a-key-that-is-long-enough-for-hmac-sha-256', new TestClock());
const PLAN = {
  qps: 100,
  burst: 1000,
  permits: 1,
  threadShare: 1,
  tokenBudget: { tokens: 1, windowMs: 60_000 },
};
const [acme, other] = [parseTenantId('acme'), parseTenantId('other')];

describe('dead letters over HTTP', () => {
  let app: HttpApp;
  let queues: JobQueues;

  beforeAll(async () => {
    const url = process.env.TEST_REDIS_URL;
    if (!url) throw new Error('TEST_REDIS_URL is not set; "npm test" sets it');
    queues = new JobQueues(redisQueueBackend(url, `test-${randomUUID()}`), { attempts: 1 });
    app = await startHttpApp({
      imports: [
        ConcurrencyModule.forRoot({ store: { kind: 'memory' }, plans: { kind: 'static', default: PLAN } }),
      ],
      controllers: [DeadLettersController],
      providers: [
        { provide: TokenService, useValue: tokens },
        { provide: DeadLetters, useValue: new DeadLetters(queues) },
        { provide: TenantRegistry, useValue: { admit: async () => {} } },
        Gateway,
        { provide: APP_GUARD, useClass: GatewayGuard },
      ],
    });
  });
  afterAll(async () => {
    await app?.close();
    await queues?.onApplicationShutdown();
  });

  const call = async (
    method: string,
    path: string,
    { tenant = acme as string, scopes = ['admin'], body = undefined as unknown } = {},
  ) => {
    const principal: Principal = { tenantId: parseTenantId(tenant), userId: 'ada', scopes };
    const response = await fetch(`${app.address}/v1/dead-letters${path}`, {
      method,
      headers: {
        authorization: `Bearer ${await tokens.issue(principal, 60)}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  };

  /** Jobs that fail with `reason`, each of its own tenant. */
  const giveUp = async (reason: string, ...tenants: TenantId[]) => {
    const before = (await queues.depths()).ingestion.failed;
    const ids = [];
    for (const tenantId of tenants) {
      const jobId = randomUUID();
      await queues.add('ingestion', jobId, { tenantId, jobId, kind: 'ingestion', subjectId: randomUUID() });
      ids.push(jobId);
    }
    const worker = queues.startWorker('ingestion', () => Promise.reject(new Error(reason)), {
      concurrency: 1,
    });
    await vi.waitFor(async () => {
      expect((await queues.depths()).ingestion.failed).toBe(before + tenants.length);
    }, 15_000);
    await worker.close();
    return ids;
  };

  it('are for administrators only, and say nothing of those of another tenant', async () => {
    const [mine, theirs] = await giveUp('JOB_NOT_FOUND: There is no such job.', acme, other);
    for (const scopes of [['read'], ['read', 'write']])
      for (const [method, path] of [
        ['GET', ''],
        ['POST', '/replay'],
        ['GET', `/ingestion/${mine}`],
        ['POST', `/ingestion/${mine}/replay`],
        ['DELETE', `/ingestion/${mine}`],
      ] as const)
        expect(await call(method, path, { scopes })).toMatchObject({ status: 403 });
    const { body } = await call('GET', '');
    expect(body.deadLetters.map(({ id }: { id: string }) => id)).toEqual([mine]);
    for (const [method, path] of [
      ['GET', `/ingestion/${theirs}`],
      ['POST', `/ingestion/${theirs}/replay`],
      ['DELETE', `/ingestion/${theirs}`],
    ] as const)
      expect(await call(method, path)).toMatchObject({
        status: 404,
        body: { code: 'DEAD_LETTER_NOT_FOUND' },
      });
    expect(await call('GET', `/ingestion/${theirs}`, { tenant: 'other' })).toMatchObject({ status: 200 });
  });

  it('tell why a job failed when that is meant for clients, and nothing else', async () => {
    const [foreseen] = await giveUp('LLM_UNAVAILABLE: No model answers.', acme);
    const [defect] = await giveUp('ENOENT: /etc/secret of 10.0.0.7', acme);
    expect((await call('GET', `/ingestion/${foreseen}`)).body).toMatchObject({
      queue: 'ingestion',
      id: foreseen,
      code: 'LLM_UNAVAILABLE',
      reason: 'No model answers.',
      attempts: 1,
      payload: { tenantId: 'acme', jobId: foreseen },
      failedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
    const { body } = await call('GET', `/ingestion/${defect}`);
    expect(body).toMatchObject({ code: 'INTERNAL_ERROR' });
    expect(JSON.stringify(body)).not.toMatch(/secret|10\.0\.0\.7|\.ts/);
  });

  it('are replayed one by one or all at once, and discarded', async () => {
    const [first, second, third] = await giveUp('x', acme, acme, acme);
    expect(await call('POST', `/ingestion/${first}/replay`)).toEqual({
      status: 202,
      body: { outcome: 'replayed' },
    });
    expect(await call('POST', `/ingestion/${first}/replay`)).toEqual({
      status: 202,
      body: { outcome: 'running' },
    });
    expect(await call('DELETE', `/ingestion/${second}`)).toEqual({ status: 204, body: undefined });
    expect(await call('DELETE', `/ingestion/${second}`)).toMatchObject({ status: 404 });
    const { body } = await call('POST', '/replay', { body: { queue: 'ingestion' } });
    expect(body.replayed).toBeGreaterThanOrEqual(1);
    expect(await call('GET', `/ingestion/${third}`)).toMatchObject({ status: 404 });
    expect((await call('GET', '')).body).toEqual({ deadLetters: [] });
  });

  it.each([
    ['GET', '?limit=0', undefined],
    ['GET', '?queue=warmup', undefined],
    ['GET', '?before=yesterday', undefined],
    ['GET', '/nonsense/1', undefined],
    ['POST', '/replay', { queue: 'ingestion', tenant: 'other' }],
  ])('refuse %s %s with its reason', async (method, path, body) => {
    const answer = await call(method, path, { body });
    expect([answer.status, answer.body.code]).toEqual([400, 'REQUEST_INVALID']);
  });
});
