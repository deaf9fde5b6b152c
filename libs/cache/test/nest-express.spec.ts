import { Controller, Get, type INestApplication, Module, Param, Post, UseInterceptors } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { parseTenantId, TenantContext } from '@sparkle/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CacheInterceptor, CacheModule, CacheService, HttpCache } from '../src/index.js';

let calls = 0;

@Controller('courses')
@UseInterceptors(CacheInterceptor)
@HttpCache({ ttlMs: 60_000, tags: ['course::id'] })
class Courses {
  @Get('shared/:id')
  @HttpCache({ shared: true, query: ['page'], headers: ['Accept-Language'], clientMaxAgeMs: 30_000 })
  shared(@Param('id') id: string) {
    return { id, call: ++calls };
  }

  @Get('text')
  text() {
    return `plain text ${++calls}`;
  }

  @Get(':id')
  own(@Param('id') id: string) {
    return { id, call: ++calls };
  }

  @Post(':id')
  change() {
    return { call: ++calls };
  }
}

@Module({ imports: [CacheModule.forRoot({ policy: { jitter: 0 } })], controllers: [Courses] })
class App {}

/** Stands for authentication: headers say who asks. */
function authenticate(
  request: { headers: Record<string, string | undefined> },
  response: { setHeader(name: string, value: string): void },
  next: () => void,
) {
  const { 'x-tenant': tenantId, 'x-user': userId = 'u1', 'x-origin': origin } = request.headers;
  if (origin) response.setHeader('Vary', 'Origin');
  if (!tenantId) next();
  else TenantContext.run({ tenantId: parseTenantId(tenantId), userId, scopes: [] }, next);
}

const adapters = [
  ['Fastify', () => new FastifyAdapter({ forceCloseConnections: true })],
  ['Express', () => new ExpressAdapter()],
] as const;

describe.each(adapters)('the cache interceptor with %s, over a socket', (_name, adapter) => {
  let app: INestApplication;
  let address: string;
  const namespace = { tenantId: parseTenantId('acme'), namespace: 'http' };

  beforeAll(async () => {
    app = await NestFactory.create(App, adapter(), { logger: false, forceCloseConnections: true });
    app.use(authenticate);
    await app.listen(0, '127.0.0.1');
    address = await app.getUrl();
  });
  afterAll(() => app?.close());
  beforeEach(() => app.get(CacheService).clear(namespace));

  const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    fetch(`${address}/${path}`, { method, headers: { 'x-tenant': 'acme', ...headers } });
  const bodyOf = async (path: string, headers: Record<string, string> = {}) =>
    (await ask(path, headers)).text();

  it('answers the same user from the cache with one and the same weak ETag', async () => {
    const first = await ask('courses/7');
    const second = await ask('courses/7');
    expect(first.status).toBe(200);
    expect(await second.text()).toBe(await first.text());
    expect(first.headers.get('etag')).toMatch(/^W\/"[\w-]{27}"$/);
    expect(second.headers.get('etag')).toBe(first.headers.get('etag'));
    expect(first.headers.get('content-type')).toContain('application/json');
    expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'));
  });

  it('answers 304 with the validators and no body to a client that has the answer', async () => {
    const first = await ask('courses/7');
    const etag = first.headers.get('etag')!;
    for (const condition of [etag, `"other", ${etag}`, etag.replace('W/', ''), '*']) {
      const again = await ask('courses/7', { 'if-none-match': condition });
      expect([again.status, await again.text()]).toEqual([304, '']);
      expect(again.headers.get('etag')).toBe(etag);
      expect(again.headers.get('cache-control')).toBe('private, no-cache');
      expect(again.headers.get('vary')).toBe(first.headers.get('vary'));
    }
    expect((await ask('courses/7', { 'if-none-match': '"other"' })).status).toBe(200);
  });

  it('says by Vary and Cache-Control who may use the answer, for how long', async () => {
    const own = await ask('courses/7');
    expect(own.headers.get('cache-control')).toBe('private, no-cache');
    expect(own.headers.get('vary')).toBe('Authorization');
    const shared = await ask('courses/shared/7?page=1');
    expect(shared.headers.get('cache-control')).toBe('private, max-age=30');
    expect(shared.headers.get('vary')).toBe('Authorization, Accept-Language');
    const added = await ask('courses/7', { 'x-origin': 'https://example.org' });
    expect(added.headers.get('vary')).toBe('Origin, Authorization');
  });

  it('keeps tenants, users, and the parameters and headers chosen apart', async () => {
    const own = await bodyOf('courses/7');
    expect(await bodyOf('courses/7', { 'x-user': 'u2' })).not.toBe(own);
    expect(await bodyOf('courses/7', { 'x-tenant': 'globex' })).not.toBe(own);
    expect(await bodyOf('courses/7?page=2')).not.toBe(own);
    const shared = await bodyOf('courses/shared/7?page=1&trace=a');
    expect(await bodyOf('courses/shared/7?trace=b&page=1', { 'x-user': 'u2' })).toBe(shared);
    expect(await bodyOf('courses/shared/7?page=2')).not.toBe(shared);
    expect(await bodyOf('courses/shared/7?page=1', { 'accept-language': 'zh' })).not.toBe(shared);
  });

  it('answers HEAD like GET, without a body', async () => {
    const head = await ask('courses/7', {}, 'HEAD');
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect(head.headers.get('etag')).toBeTruthy();
    const again = await ask('courses/7', { 'if-none-match': head.headers.get('etag')! }, 'HEAD');
    expect(again.status).toBe(304);
  });

  it('keeps plain text plain text', async () => {
    const first = await ask('courses/text');
    const second = await ask('courses/text');
    expect(await second.text()).toBe(await first.text());
    expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'));
  });

  it('forgets by the tags of the route, leaves other methods alone, and needs a tenant', async () => {
    const first = await bodyOf('courses/7');
    await app.get(CacheService).deleteByTag(namespace, 'course:7');
    expect(await bodyOf('courses/7')).not.toBe(first);
    const posted = await ask('courses/7', {}, 'POST');
    expect(posted.headers.get('cache-control')).toBeNull();
    expect((await fetch(`${address}/courses/7`)).status).toBe(500);
  });
});
