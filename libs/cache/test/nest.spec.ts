import {
  type CallHandler,
  Controller,
  type ExecutionContext,
  Get,
  HttpCode,
  Injectable,
  type NestInterceptor,
  Param,
  Post,
  UseInterceptors,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { parseTenantId, TenantContext, TenantMissingError } from '@sparkle/contracts';
import { Observable } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  Cached,
  CacheEvict,
  CacheInterceptor,
  CacheModule,
  CacheService,
  cachedKey,
  HttpCache,
  InjectNamespaceCache,
  NamespaceCache,
} from '../src/index.js';

const as = <T>(tenant: string, userId: string, work: () => T): T =>
  TenantContext.run({ tenantId: parseTenantId(tenant), userId, scopes: [] }, work);

/** Stands for the application's authentication: headers say who asks. */
@Injectable()
class FakeTenantInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
    if (!headers['x-tenant']) return next.handle();
    const [tenant, user] = [headers['x-tenant'], headers['x-user'] ?? 'u'];
    return new Observable((subscriber) => as(tenant, user, () => next.handle().subscribe(subscriber)));
  }
}

let calls = 0;

@Controller('courses')
@UseInterceptors(CacheInterceptor)
@HttpCache({ ttlMs: 60_000, tags: ['course::id'] })
class CourseController {
  @Get('shared/:id')
  @HttpCache({ shared: true, query: ['page'], headers: ['Accept-Language'], clientMaxAgeMs: 30_000 })
  shared(@Param('id') id: string) {
    return { id, call: ++calls };
  }

  @Get(':id')
  own(@Param('id') id: string) {
    return { id, call: ++calls };
  }

  @Post(':id')
  @HttpCode(200)
  change() {
    return { call: ++calls };
  }
}

@Injectable()
class CourseService {
  loads = 0;

  constructor(@InjectNamespaceCache('grades') readonly grades: NamespaceCache) {}

  @Cached<(id: string) => Promise<{ id: string; load: number }>>({
    namespace: 'courses',
    key: (id) => id,
    tags: (_course, id) => [`course:${id}`],
    ttlMs: 1_000,
  })
  async course(id: string) {
    return { id, load: ++this.loads };
  }

  @Cached<(a: number, b: string) => Promise<string>>({ namespace: 'sums', perUser: true })
  async greet(a: number, b: string) {
    return `${a}${b}${++this.loads}`;
  }

  @CacheEvict<(id: string, fails?: boolean) => Promise<string>>({
    namespace: 'courses',
    tags: (_result, id) => [`course:${id}`],
  })
  async rename(id: string, fails = false) {
    if (fails) throw new Error('not renamed');
    return id;
  }

  @CacheEvict<(id: string) => Promise<void>>({ namespace: 'courses', keys: (_result, id) => [cachedKey(id)] })
  async remove(_id: string) {}
}

describe('the Nest surface', () => {
  let app: NestFastifyApplication;
  let service: CourseService;

  beforeEach(async () => {
    const module = await Test.createTestingModule({
      imports: [
        CacheModule.forRootAsync({ useFactory: () => ({ policy: { jitter: 0 } }) }),
        CacheModule.forFeature([{ name: 'grades', policy: { ttlMs: 5 } }]),
      ],
      controllers: [CourseController],
      providers: [CourseService, { provide: APP_INTERCEPTOR, useClass: FakeTenantInterceptor }],
    }).compile();
    app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
    await app.init();
    await app.getHttpAdapter().getInstance().ready();
    service = app.get(CourseService);
  });
  afterEach(() => app.close());

  const get = async (url: string, headers: Record<string, string> = {}) =>
    app.inject({ method: 'GET', url, headers: { 'x-tenant': 'acme', 'x-user': 'u1', ...headers } });

  describe('CacheInterceptor', () => {
    it('answers the same user from the cache, with validators', async () => {
      const first = await get('/courses/7');
      const second = await get('/courses/7');
      expect(second.json()).toEqual(first.json());
      expect(second.headers.etag).toBe(first.headers.etag);
      expect(first.headers['cache-control']).toBe('private, no-cache');
      expect(first.headers.vary).toContain('Authorization');
    });

    it('keeps users and tenants apart', async () => {
      const bodies = new Set<string>();
      for (const [tenant, user] of [
        ['acme', 'u1'],
        ['acme', 'u2'],
        ['globex', 'u1'],
      ])
        bodies.add((await get('/courses/7', { 'x-tenant': tenant!, 'x-user': user! })).body);
      expect(bodies.size).toBe(3);
    });

    it('shares an answer within the tenant when the route says so, by the parameters and headers chosen', async () => {
      const bodyOf = async (url: string, headers = {}) => (await get(url, headers)).body;
      const first = await get('/courses/shared/7?page=1&trace=a');
      expect(first.headers.vary).toContain('Accept-Language');
      expect(first.headers['cache-control']).toBe('private, max-age=30');
      expect(await bodyOf('/courses/shared/7?trace=b&page=1', { 'x-user': 'u2' })).toBe(first.body);
      expect(await bodyOf('/courses/shared/7?page=2')).not.toBe(first.body);
      expect(await bodyOf('/courses/shared/8?page=1')).not.toBe(first.body);
      expect(await bodyOf('/courses/shared/7?page=1', { 'accept-language': 'zh' })).not.toBe(first.body);
      expect(await bodyOf('/courses/shared/7?page=1', { 'x-tenant': 'globex' })).not.toBe(first.body);
    });

    it('answers 304 without a body to a client that has the answer', async () => {
      const { headers } = await get('/courses/7');
      const again = await get('/courses/7', { 'if-none-match': `"other", ${headers.etag}` });
      expect(again.statusCode).toBe(304);
      expect(again.body).toBe('');
      expect(again.headers.etag).toBe(headers.etag);
      expect((await get('/courses/7', { 'if-none-match': '"other"' })).statusCode).toBe(200);
    });

    it('can be invalidated by the tags of the route', async () => {
      const first = await get('/courses/7');
      const other = await get('/courses/8');
      await app
        .get(CacheService)
        .deleteByTag({ tenantId: parseTenantId('acme'), namespace: 'http' }, 'course:7');
      expect((await get('/courses/7')).body).not.toBe(first.body);
      expect((await get('/courses/8')).body).toBe(other.body);
    });

    it('leaves other methods alone and refuses to cache without a tenant', async () => {
      const post = () =>
        app.inject({ method: 'POST', url: '/courses/7', headers: { 'x-tenant': 'acme', 'x-user': 'u1' } });
      expect((await post()).body).not.toBe((await post()).body);
      expect((await app.inject({ method: 'GET', url: '/courses/7' })).statusCode).toBe(500);
    });
  });

  describe('@Cached and @CacheEvict', () => {
    it('cache a method per tenant and evict by tag or key', async () => {
      await as('acme', 'u1', async () => {
        expect(await service.course('7')).toEqual({ id: '7', load: 1 });
        expect(await service.course('7')).toEqual({ id: '7', load: 1 });
        await expect(service.rename('7', true)).rejects.toThrow('not renamed');
        expect((await service.course('7')).load).toBe(1);
        await service.rename('7');
        expect((await service.course('7')).load).toBe(2);
        await service.remove('7');
        expect((await service.course('7')).load).toBe(3);
      });
      expect((await as('globex', 'u1', () => service.course('7'))).load).toBe(4);
    });

    it('tell arguments and users apart', async () => {
      const one = await as('acme', 'u1', () => service.greet(1, '2'));
      expect(await as('acme', 'u1', () => service.greet(1, '2'))).toBe(one);
      expect(await as('acme', 'u2', () => service.greet(1, '2'))).not.toBe(one);
      expect(await as('acme', 'u1', () => service.greet(12, ''))).not.toBe(one);
    });

    it('fail without a tenant', async () => {
      await expect((async () => service.course('7'))()).rejects.toThrow(TenantMissingError);
    });
  });

  it('gives a feature its namespace, for the tenant in context', async () => {
    const cache = as('acme', 'u1', () => service.grades.current());
    expect([cache.tenantId, cache.name]).toEqual(['acme', 'grades']);
    await cache.set('k', 1);
    expect(await service.grades.of(parseTenantId('acme')).get('k')).toBe(1);
    expect(() => service.grades.current()).toThrow(TenantMissingError);
  });

  it('stops the start on bad options and names every path without values', async () => {
    const start = Test.createTestingModule({
      imports: [
        CacheModule.forRoot({
          policy: { ttlMs: -1 },
          redis: { client: 'redis://:secret@host' as never, subscriber: {} as never },
          unknown: 1,
        } as never),
      ],
    }).compile();
    const error = await start.then(
      () => undefined,
      (reason: Error) => reason,
    );
    for (const path of ['policy.ttlMs', 'redis.client', 'redis.subscriber', 'unknown'])
      expect(error?.message).toContain(path);
    expect(error?.message).not.toContain('secret');
  });
});
