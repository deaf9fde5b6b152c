import { RedisServer } from '@sparkle/contracts/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ForeignApp } from './foreign-app.js';

describe('the packed limits in a foreign Nest application on Express (CommonJS)', () => {
  let app: ForeignApp;
  let redis: RedisServer;

  beforeAll(async () => {
    const durable = { appendonly: 'yes', appendfsync: 'always' };
    [app, redis] = await Promise.all([ForeignApp.install('02-limited-express'), RedisServer.start(durable)]);
  }, 240_000);
  afterAll(async () => {
    await app?.remove();
    await redis?.stop();
  });

  const post = (url: string, tenant: string, user = 'alice') =>
    fetch(url, { method: 'POST', headers: { 'x-tenant': tenant, 'x-user': user } });

  it('brings one copy of what the application has already', async () => {
    expect(await app.copiesOf('@nestjs/core')).toHaveLength(1);
    expect(await app.copiesOf('@sparkle/contracts')).toHaveLength(1);
  });

  it('refuses the fourth request of an hour with 429, what hit, and when to come back', async () => {
    const address = await app.start();
    const statuses: number[] = [];
    for (let call = 0; call < 3; call += 1) statuses.push((await post(`${address}/answers`, 'acme')).status);
    expect(statuses).toEqual([201, 201, 201]);
    const refused = await post(`${address}/answers`, 'acme');
    expect(refused.status).toBe(429);
    expect(refused.headers.get('content-type')).toContain('application/problem+json');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(refused.headers.get('ratelimit')).toContain('user');
    expect(await refused.json()).toMatchObject({ status: 429, code: 'RATE_LIMITED' });
    expect((await post(`${address}/answers`, 'acme', 'bob')).status).toBe(201);
    expect((await post(`${address}/answers`, 'globex')).status).toBe(201);
    expect((await post(`${address}/answers`, 'initech')).status).toBe(403);
    expect((await post(`${address}/answers`, 'Not A Tenant')).status).toBe(403);
    expect((await fetch(`${address}/answers/health`)).status).toBe(200);
  });

  it('counts two processes on one Redis together', async () => {
    const env = { REDIS_URL: redis.url, REDIS_DURABLE: 'true' };
    const addresses = [await app.start(env), await app.start(env)];
    const replies = await Promise.all(
      Array.from({ length: 8 }, (_, call) => post(`${addresses[call % 2]}/answers`, 'acme')),
    );
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(3);
    const slow = await Promise.all(
      Array.from({ length: 8 }, (_, call) => post(`${addresses[call % 2]}/answers/slow`, 'globex')),
    );
    const together = await Promise.all(slow.map((reply) => reply.json() as Promise<{ together: number }>));
    expect(slow.map(({ status }) => status)).toEqual(Array(8).fill(201));
    expect(Math.max(...together.map((reply) => reply.together))).toBeLessThanOrEqual(2);
  });
});
