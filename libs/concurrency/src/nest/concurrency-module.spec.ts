import { setTimeout as immediately } from 'node:timers/promises';
import {
  type CallHandler,
  Catch,
  Controller,
  type ExceptionFilter,
  Get,
  Injectable,
  Module,
  type NestMiddleware,
  Param,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, type HttpAdapterHost } from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { isSparkleError, parseTenantId, TenantContext } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { firstValueFrom, NEVER, Observable, of, throwError } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConcurrencyModule } from '../concurrency.module.js';
import type { ConcurrencyModuleOptions } from '../concurrency.options.js';
import { PriorityScheduler } from '../core/priority-scheduler.js';
import { Semaphores } from '../core/semaphores.js';
import type { TenantPlan } from '../ports/tenant-plans.port.js';
import { PermitInterceptor } from './permit.interceptor.js';
import { RateLimit } from './rate-limit.decorator.js';
import { TenantRateLimitGuard } from './tenant-rate-limit.guard.js';
import { WithPermit } from './with-permit.decorator.js';

const plan: TenantPlan = {
  qps: 100,
  burst: 200,
  permits: 1,
  threadShare: 1,
  tokenBudget: { tokens: 1000, windowMs: 60_000 },
};
const tenant = parseTenantId('acme');

@Controller()
class Endpoints {
  readonly gates = new Map<string, () => void>();

  @Get('plain')
  plain() {
    return 'ok';
  }

  @Get('public')
  @RateLimit({ skip: true })
  open() {
    return 'ok';
  }

  @Get('ask')
  @RateLimit({ action: 'ask' })
  ask() {
    return 'ok';
  }

  @Get('export')
  @RateLimit({ action: 'export', cost: 2, userLimit: { limit: 4, windowMs: 60_000 }, tenantLimit: false })
  export() {
    return 'ok';
  }

  @Get('slow/:name')
  @WithPermit({ name: 'slow' })
  slow(@Param('name') name: string) {
    return new Promise<string>((resolve) => this.gates.set(name, () => resolve(name)));
  }

  @Get('broken')
  @WithPermit({ name: 'slow' })
  broken() {
    throw new Error('handler failed');
  }
}

/** Stands for authentication: the caller is what two headers say. */
@Injectable()
class Authentication implements NestMiddleware {
  use(request: { headers: Record<string, string | undefined> }, _response: unknown, next: () => void) {
    const { 'x-tenant': tenantId, 'x-user': userId = 'u1' } = request.headers;
    if (tenantId) TenantContext.run({ tenantId: parseTenantId(tenantId), userId, scopes: [] }, next);
    else next();
  }
}

@Catch()
class Problems implements ExceptionFilter {
  catch(error: unknown, host: ExecutionContextHost) {
    const code = isSparkleError(error) ? error.code : 'INTERNAL';
    host
      .switchToHttp()
      .getResponse()
      .code(code === 'RATE_LIMITED' ? 429 : 403)
      .send({ code });
  }
}

describe('the Nest module', () => {
  let app: NestFastifyApplication;
  let endpoints: Endpoints;
  let address: string;
  const clock = new TestClock();

  beforeAll(async () => {
    @Module({
      imports: [
        ConcurrencyModule.forRootAsync({
          useFactory: () => ({
            store: { kind: 'memory' as const },
            clock,
            rateLimits: { user: { limit: 3 } },
            plans: {
              kind: 'static' as const,
              overrides: {
                acme: plan,
                tiny: { ...plan, qps: 1, burst: 1 },
                other: plan,
                gold: { ...plan, hourly: { user: 5 } },
              },
            },
          }),
        }),
      ],
      controllers: [Endpoints],
      providers: [
        { provide: APP_GUARD, useExisting: TenantRateLimitGuard },
        { provide: APP_FILTER, useClass: Problems },
      ],
    })
    class App {}
    const module = await Test.createTestingModule({ imports: [App] }).compile();
    app = module.createNestApplication<NestFastifyApplication>(
      new FastifyAdapter({ forceCloseConnections: true }),
    );
    const authentication = new Authentication();
    app.use(authentication.use.bind(authentication));
    await app.listen(0, '127.0.0.1');
    address = await app.getUrl();
    endpoints = module.get(Endpoints);
  });
  afterAll(() => app?.close());

  const get = (
    path: string,
    headers: Record<string, string> = { 'x-tenant': 'acme' },
    signal?: AbortSignal,
  ) => fetch(`${address}/${path}`, { headers, ...(signal ? { signal } : {}) });

  it('limits every request by the plan of its tenant and says how much is left', async () => {
    const headers = { 'x-tenant': 'tiny' };
    const admitted = await get('plain', headers);
    expect(admitted.status).toBe(200);
    expect(admitted.headers.get('ratelimit-policy')).toBe('"plan";q=1;w=1');
    expect(admitted.headers.get('ratelimit')).toBe('"plan";r=0;t=1');
    expect(admitted.headers.get('retry-after')).toBeNull();
    const refused = await get('plain', headers);
    expect(refused.status).toBe(429);
    expect(await refused.json()).toEqual({ code: 'RATE_LIMITED' });
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(refused.headers.get('ratelimit')).toBe('"plan";r=0;t=1');
    await clock.advance(1000);
    expect((await get('plain', headers)).status).toBe(200);
  });

  it('limits a named action per user, per action and per tenant', async () => {
    const ana = { 'x-tenant': 'acme', 'x-user': 'ana' };
    const first = await get('ask', ana);
    expect(first.headers.get('ratelimit-policy')).toBe(
      '"plan";q=100;w=1, "user";q=3;w=3600, "action";q=1000;w=3600, "tenant";q=5000;w=3600',
    );
    await get('ask', ana);
    await get('ask', ana);
    const refused = await get('ask', ana);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(3600);
    expect((await get('ask', { ...ana, 'x-user': 'ben' })).status).toBe(200);
    expect((await get('ask', { ...ana, 'x-tenant': 'other' })).status).toBe(200);
  });

  it('lets a plan change the hourly limits of its tenant', async () => {
    const response = await get('ask', { 'x-tenant': 'gold' });
    expect(response.headers.get('ratelimit-policy')).toContain('"user";q=5;w=3600');
  });

  it("lets a route set its own limits and weight, counted apart from other routes'", async () => {
    const cyd = { 'x-tenant': 'acme', 'x-user': 'cyd' };
    const first = await get('export', cyd);
    expect(first.headers.get('ratelimit-policy')).toBe(
      '"plan";q=100;w=1, "user";q=4;w=60, "action";q=1000;w=3600',
    );
    expect(first.headers.get('ratelimit')).toContain('"user";r=2;');
    expect((await get('export', cyd)).status).toBe(200);
    expect((await get('export', cyd)).status).toBe(429);
    expect((await get('ask', cyd)).status).toBe(200);
  });

  it('refuses a caller without tenant or plan, except where limits are skipped', async () => {
    expect(await (await get('plain', {})).json()).toEqual({ code: 'TENANT_MISSING' });
    expect(await (await get('plain', { 'x-tenant': 'nobody' })).json()).toEqual({
      code: 'TENANT_PLAN_MISSING',
    });
    expect((await get('public', {})).status).toBe(200);
  });

  const until = async (condition: () => boolean) => {
    while (!condition()) await immediately(0);
  };

  it('runs a route with a permit, one after the other, and frees it when the handler ends', async () => {
    const one = get('slow/one');
    await until(() => endpoints.gates.has('one'));
    const two = get('slow/two');
    const elsewhere = get('slow/other', { 'x-tenant': 'other' });
    await until(() => endpoints.gates.has('other'));
    expect(endpoints.gates.has('two')).toBe(false);
    endpoints.gates.get('other')!();
    expect(await (await elsewhere).text()).toBe('other');
    endpoints.gates.get('one')!();
    expect(await (await one).text()).toBe('one');
    await until(() => endpoints.gates.has('two'));
    endpoints.gates.get('two')!();
    expect(await (await two).text()).toBe('two');
  });

  it('frees the permit when the handler fails', async () => {
    expect((await get('broken')).status).toBe(403);
    expect((await get('broken')).status).toBe(403);
  });

  it('takes a client that leaves out of the queue', async () => {
    const holder = get('slow/holder');
    await until(() => endpoints.gates.has('holder'));
    const controller = new AbortController();
    const leaver = get('slow/leaver', undefined, controller.signal);
    const semaphore = app.get(Semaphores).semaphore({ name: 'slow', permits: 1 });
    await until(() => isWaiting(app));
    controller.abort();
    await expect(leaver).rejects.toThrow();
    await until(() => !isWaiting(app));
    endpoints.gates.get('holder')!();
    await holder;
    const free = await semaphore.acquire({ tenantId: tenant });
    expect(endpoints.gates.has('leaver')).toBe(false);
    await free.release();
  });

  function isWaiting(application: NestFastifyApplication): boolean {
    return application.get(Semaphores).waiting > 0;
  }

  describe('the permit interceptor', () => {
    const principal = { tenantId: tenant, userId: 'u', scopes: [] };
    const context = () => {
      const host = new ExecutionContextHost([], Endpoints, Endpoints.prototype.slow);
      host.setType('ws');
      return host;
    };
    const run = (handler: CallHandler) =>
      TenantContext.run(principal, () => app.get(PermitInterceptor).intercept(context(), handler));
    const isFree = async () => {
      const permit = await app
        .get(Semaphores)
        .semaphore({ name: 'slow', permits: 1 })
        .acquire({ tenantId: tenant });
      return permit.release();
    };

    it('frees the permit on completion and on error', async () => {
      expect(await firstValueFrom(run({ handle: () => of('done') }))).toBe('done');
      expect(await isFree()).toBe(true);
      const failure = new Error('failed');
      await expect(firstValueFrom(run({ handle: () => throwError(() => failure) }))).rejects.toBe(failure);
      expect(await isFree()).toBe(true);
    });

    it('frees the permit, and stops the handler, when it is unsubscribed from', async () => {
      let stopped = false;
      let started = false;
      const stream = new Observable<never>(() => {
        started = true;
        return () => {
          stopped = true;
        };
      });
      const subscription = run({ handle: () => stream }).subscribe();
      await until(() => started);
      subscription.unsubscribe();
      expect(stopped).toBe(true);
      expect(await isFree()).toBe(true);
    });

    it('never runs the handler of a request that ended while it waited', async () => {
      const holder = run({ handle: () => NEVER }).subscribe();
      let ran = false;
      const waiter = run({
        handle: () => {
          ran = true;
          return of(1);
        },
      }).subscribe();
      await until(() => isWaiting(app));
      waiter.unsubscribe();
      holder.unsubscribe();
      expect(await isFree()).toBe(true);
      expect(ran).toBe(false);
    });
  });

  it('sets headers through the HTTP adapter in use, whichever it is', async () => {
    const seen: [unknown, string, string][] = [];
    const adapterHost = {
      httpAdapter: { setHeader: (...call: [unknown, string, string]) => seen.push(call) },
    } as unknown as HttpAdapterHost;
    const original = app.get(TenantRateLimitGuard);
    const guard = Object.create(original, { adapterHost: { value: adapterHost } }) as TenantRateLimitGuard;
    const response = {};
    const host = new ExecutionContextHost([{}, response], Endpoints, Endpoints.prototype.plain);
    await TenantContext.run({ tenantId: tenant, userId: 'u', scopes: [] }, () => guard.canActivate(host));
    expect(seen.map(([target, name]) => [target === response, name])).toEqual([
      [true, 'RateLimit-Policy'],
      [true, 'RateLimit'],
    ]);
  });

  it('limits other transports by the same counters, without headers', async () => {
    const guard = app.get(TenantRateLimitGuard);
    const host = new ExecutionContextHost([{}, {}], Endpoints, Endpoints.prototype.ask);
    const consume = () =>
      TenantContext.run({ tenantId: tenant, userId: 'dee', scopes: [] }, () => guard.canActivate(host));
    for (const type of ['ws', 'rpc', 'ws'] as const) {
      host.setType(type);
      expect(await consume()).toBe(true);
    }
    await expect(consume()).rejects.toMatchObject({ code: 'RATE_LIMITED', dimension: 'user', limit: 3 });
  });
});

describe('the scheduler of the module', () => {
  const start = (scheduler: ConcurrencyModuleOptions['scheduler']) =>
    Test.createTestingModule({
      imports: [
        ConcurrencyModule.forRoot({ store: { kind: 'memory' }, plans: { kind: 'static' }, scheduler }),
      ],
    }).compile();

  it('is made from the options', async () => {
    const app = await start({ concurrency: 1, maxQueued: 0 });
    const tasks = app.get(PriorityScheduler);
    void tasks.run(() => new Promise(() => {}), { tenantId: tenant });
    await expect(tasks.run(() => 1, { tenantId: tenant })).rejects.toMatchObject({
      code: 'TASK_QUEUE_FULL',
      maxQueued: 0,
    });
  });

  it('rejects what waits and stops what runs when the application shuts down, and waits for it', async () => {
    const app = await start({ concurrency: 1 });
    const tasks = app.get(PriorityScheduler);
    let ended = false;
    const running = tasks.run(
      (signal) =>
        new Promise<void>((resolve) =>
          signal.addEventListener('abort', () =>
            setImmediate(() => {
              ended = true;
              resolve();
            }),
          ),
        ),
      { tenantId: tenant },
    );
    const waiting = tasks.run(() => 1, { tenantId: tenant });
    const outcomes = Promise.allSettled([running, waiting]);
    await app.close();
    expect(ended).toBe(true);
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'SCHEDULER_CLOSED' } });
    }
  });
});

describe('a wrong configuration', () => {
  it('stops the start and lists every wrong path', async () => {
    const start = Test.createTestingModule({
      imports: [
        ConcurrencyModule.forRoot({
          store: { kind: 'memory' },
          plans: { kind: 'static' },
          limitBudgetMs: 0,
          permits: { leaseMs: 1 },
          scheduler: { concurrency: 0 },
          principalOf: 'me' as never,
        }),
      ],
    }).compile();
    await expect(start).rejects.toThrow(
      /limitBudgetMs[\s\S]*permits\.leaseMs[\s\S]*scheduler\.concurrency[\s\S]*principalOf/,
    );
  });
});
