import { randomBytes } from 'node:crypto';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, RunningApp, tokenOf } from './running-app.js';

const KEY = randomBytes(32).toString('hex');
const PROFILES = ['profiles/cpu', 'profiles/heap-sampling', 'profiles/heap'] as const;

describe('profiles of a running', () => {
  let database: TestDatabase;
  let apps: Record<'api' | 'worker', RunningApp>;
  let operator: string;
  const tenant = `t${randomBytes(6).toString('hex')}`;

  beforeAll(async () => {
    database = await createTestDatabase();
    const env = {
      DATABASE_URL: database.url,
      REDIS_URL: process.env.TEST_REDIS_URL!,
      SPARKLE_JWT_KEY: KEY,
      SPARKLE_DEFAULT_PLAN: '{"qps":50,"burst":100}',
    };
    const [api, worker] = await Promise.all([RunningApp.start('api', env), RunningApp.start('worker', env)]);
    apps = { api, worker };
    operator = await tokenOf(KEY, tenant, 'olga', { scopes: ['operator'] });
  });

  afterAll(async () => {
    const stopped = await Promise.all(Object.values(apps ?? {}).map((app) => app.stop()));
    await database?.drop();
    expect(stopped).toEqual([0, 0]);
  });

  const post = (app: RunningApp, path: string, token: string, signal?: AbortSignal) =>
    fetch(`${app.address}/v1/operations/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      ...(signal && { signal }),
    });

  describe.each(['api', 'worker'] as const)('%s', (name) => {
    it('are for operators only: no scope of a tenant opens them, and neither does no token', async () => {
      const admin = await tokenOf(KEY, tenant, 'adam', { scopes: ['read', 'write', 'admin'] });
      for (const path of PROFILES) {
        const refused = await post(apps[name], path, admin);
        expect(refused.status).toBe(403);
        expect(await refused.json()).toMatchObject({ code: 'SCOPE_MISSING' });
        expect((await fetch(`${apps[name].address}/v1/operations/${path}`, { method: 'POST' })).status).toBe(
          401,
        );
      }
      const report = await apps[name].send('/v1/operations/event-loop', { token: admin });
      expect(report.status).toBe(403);
      expect((await apps[name].send('/v1/operations/event-loop')).status).toBe(401);
    });

    it('come as files that the tools for them can open', async () => {
      const cpu = await post(apps[name], 'profiles/cpu?seconds=1', operator);
      expect(cpu.status).toBe(200);
      expect(cpu.headers.get('content-disposition')).toMatch(/attachment; filename=".*\.cpuprofile"/);
      expect(cpu.headers.get('cache-control')).toBe('no-store');
      const { nodes, samples, timeDeltas } = (await cpu.json()) as Record<string, unknown[]>;
      expect(nodes!.length).toBeGreaterThan(5);
      expect(samples).toHaveLength(timeDeltas!.length);

      const sampling = await post(apps[name], 'profiles/heap-sampling?seconds=1', operator);
      expect(sampling.headers.get('content-disposition')).toContain('.heapprofile"');
      expect(await sampling.json()).toMatchObject({ head: { children: expect.any(Array) } });
    });

    it('include a report of what kept the event loop busy', async () => {
      const { status, body } = await apps[name].send('/v1/operations/event-loop?seconds=1', {
        token: operator,
      });
      expect(status).toBe(200);
      expect(body.delayMs.max).toBeGreaterThanOrEqual(body.delayMs.p50);
      expect(body.activeResources.TCPServerWrap).toBeGreaterThan(0);
      expect(body.utilization).toBeLessThanOrEqual(1);
      expect(body.hotFunctions.length).toBeGreaterThan(0);
    });

    it('are taken one at a time, end when the client leaves, and are logged with who asked', async () => {
      const leaving = new AbortController();
      const first = post(apps[name], 'profiles/cpu?seconds=60', operator, leaving.signal);
      const busy = await eventually(
        () => apps[name].send('/v1/operations/event-loop?seconds=1', { token: operator }),
        ({ status }) => status === 409,
      );
      expect(busy.body).toMatchObject({ code: 'PROFILE_IN_PROGRESS' });
      leaving.abort();
      await expect(first).rejects.toThrow();
      await eventually(
        () => apps[name].send('/v1/operations/event-loop?seconds=1', { token: operator }),
        ({ status }) => status === 200,
      );
      expect(apps[name].output()).toMatch(new RegExp(`${tenant}/olga takes a CPU profile`));
    });

    it('are refused with what is wrong about the request, before anything begins', async () => {
      for (const query of ['seconds=0', 'seconds=61', 'seconds=x', 'intervalMicros=1', 'unknown=1']) {
        const refused = await post(apps[name], `profiles/cpu?${query}`, operator);
        expect(refused.status).toBe(400);
        expect(await refused.json()).toMatchObject({ code: 'PROFILE_OPTIONS_INVALID' });
      }
    });
  });

  it('api stream a heap snapshot, and free it when the client leaves in the middle', async () => {
    const leaving = new AbortController();
    const heap = await post(apps.api, 'profiles/heap', operator, leaving.signal);
    expect(heap.status).toBe(200);
    expect(heap.headers.get('content-disposition')).toContain('.heapsnapshot"');
    const { value } = await heap.body!.getReader().read();
    expect(Buffer.from(value!).toString('utf8', 0, 40)).toMatch(/^\{"snapshot":\{"meta":/);
    leaving.abort();
    await eventually(
      () => apps.api.send('/v1/operations/event-loop?seconds=1', { token: operator }),
      ({ status }) => status === 200,
    );
  });

  it('api need neither the tenant of the operator nor its limits', async () => {
    const nobody = await tokenOf(KEY, `${tenant}-unknown`, 'olga', { scopes: ['operator'] });
    expect((await apps.api.send('/v1/operations/event-loop?seconds=1', { token: nobody })).status).toBe(200);
    // An operator's token is no key to the tenants' data.
    expect((await apps.api.send('/v1/documents', { token: nobody })).status).toBe(403);
  });
});
