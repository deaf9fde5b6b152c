import { RedisServer } from '@sparkle/contracts/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ForeignApp } from './foreign-app.js';

describe('the packed cache in a foreign Nest application on Fastify (ES modules)', () => {
  let app: ForeignApp;
  let redis: RedisServer;

  beforeAll(async () => {
    [app, redis] = await Promise.all([ForeignApp.install('01-cache-only'), RedisServer.start()]);
  }, 240_000);
  afterAll(async () => {
    await app?.remove();
    await redis?.stop();
  });

  const get = (url: string, headers: Record<string, string> = {}) =>
    fetch(url, { headers: { 'x-tenant': 'acme', ...headers } });
  const titleOf = async (address: string, tenant = 'acme') => {
    const response = await get(`${address}/courses/go`, { 'x-tenant': tenant });
    return ((await response.json()) as { title: string }).title;
  };
  const readsOf = async (address: string) => {
    const response = await get(`${address}/courses/reads`);
    return ((await response.json()) as { reads: number }).reads;
  };
  const rename = (address: string, title: string) =>
    fetch(`${address}/courses/go`, {
      method: 'PUT',
      headers: { 'x-tenant': 'acme', 'content-type': 'application/json' },
      body: JSON.stringify({ title }),
    });

  it('brings one copy of what the application has already', async () => {
    expect(await app.copiesOf('@nestjs/common')).toHaveLength(1);
    expect(await app.copiesOf('@sparkle/contracts')).toHaveLength(1);
    expect(await app.copiesOf('ioredis')).toHaveLength(1);
  });

  it('reads each course once, answers 304, and forgets by tag, with no Redis at all', async () => {
    const address = await app.start();
    const first = await get(`${address}/courses/go`);
    expect(await first.json()).toEqual({ id: 'go', title: 'Course go' });
    const etag = first.headers.get('etag')!;
    expect((await get(`${address}/courses/go`, { 'if-none-match': etag })).status).toBe(304);
    expect(await readsOf(address)).toBe(1);
    expect((await rename(address, 'Go in depth')).status).toBe(200);
    expect((await get(`${address}/courses/go`, { 'if-none-match': etag })).status).toBe(200);
    expect(await titleOf(address)).toBe('Go in depth');
    expect(await titleOf(address, 'globex')).toBe('Course go');
    expect(await readsOf(address)).toBe(3);
    const refused = await get(`${address}/courses/go`, { 'x-tenant': 'Not A Tenant' });
    expect(refused.status).toBe(400);
    expect(await refused.text()).toContain('A tenant name is');
  });

  it('shares one read between two processes on one Redis and tells both of a change', async () => {
    const env = { REDIS_URL: redis.url };
    const [left, right] = [await app.start(env), await app.start(env)];
    const [a, b] = await Promise.all([titleOf(left), titleOf(right)]);
    expect([a, b]).toEqual(['Course go', 'Course go']);
    expect((await readsOf(left)) + (await readsOf(right))).toBe(1);
    // Titles live in the process that renamed: the other one can only have the new title from the cache.
    await rename(left, 'Go in depth');
    expect(await titleOf(left)).toBe('Go in depth');
    await expect.poll(() => titleOf(right), { timeout: 5_000 }).toBe('Go in depth');
  });
});
