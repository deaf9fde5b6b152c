import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import {
  type ArgumentsHost,
  Catch,
  Controller,
  Get,
  type INestApplication,
  Inject,
  Injectable,
  type MessageEvent,
  Module,
  Param,
  Sse,
  StreamableFile,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, BaseExceptionFilter, HttpAdapterHost, NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { parseTenantId, TenantContext } from '@sparkle/contracts';
import { Observable } from 'rxjs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  ConcurrencyModule,
  PermitSignal,
  problemOf,
  RateLimit,
  TenantRateLimitGuard,
  WithPermit,
} from '../../src/index.js';
import { options, PermitProbe, until } from './permit-probe.js';

/** What handlers wait for: they go on until the test, or their caller's leaving, ends them. */
@Injectable()
class Desk {
  readonly ends = new Map<string, () => void>();
  readonly signals = new Map<string, AbortSignal>();
  stopped = 0;
}

@Controller()
class Endpoints {
  constructor(@Inject(Desk) private readonly desk: Desk) {}

  @Get('plain')
  plain() {
    return { ok: true };
  }

  @Get('public')
  @RateLimit({ skip: true })
  open() {
    return { ok: true };
  }

  @Get('promise/:name')
  @WithPermit({ name: 'slow' })
  promise(@Param('name') name: string, @PermitSignal() signal: AbortSignal) {
    this.desk.signals.set(name, signal);
    return new Promise<string>((resolve) => this.desk.ends.set(name, () => resolve(name)));
  }

  @Get('observable')
  @WithPermit({ name: 'slow' })
  observable() {
    return this.stream<string>('observable');
  }

  @Get('broken')
  @WithPermit({ name: 'slow' })
  broken() {
    throw new Error('secret detail');
  }

  @Sse('events')
  @WithPermit({ name: 'slow' })
  events() {
    return this.stream<MessageEvent>('events', { data: 'first' });
  }

  @Get('file')
  @WithPermit({ name: 'slow' })
  file() {
    const body = new PassThrough();
    body.write('first part, ');
    this.desk.ends.set('file', () => body.end('last part'));
    return new StreamableFile(body);
  }

  private stream<T>(name: string, first?: T) {
    return new Observable<T>((subscriber) => {
      if (first) subscriber.next(first);
      this.desk.ends.set(name, () => subscriber.complete());
      return () => {
        this.desk.stopped += 1;
      };
    });
  }
}

@Controller('guarded')
@WithPermit({ name: 'slow' })
class WhollyGuarded {
  constructor(@Inject(Desk) private readonly desk: Desk) {}

  @Get(':name')
  slow(@Param('name') name: string) {
    return new Promise<string>((resolve) => this.desk.ends.set(name, () => resolve(name)));
  }
}

/** The filter that an application writes: the library's errors are no `HttpException`s. */
@Catch()
class Problems extends BaseExceptionFilter {
  constructor(@Inject(HttpAdapterHost) private readonly host: HttpAdapterHost) {
    super(host.httpAdapter);
  }

  override catch(error: unknown, context: ArgumentsHost): void {
    const problem = problemOf(error);
    const response: unknown = context.switchToHttp().getResponse();
    const { httpAdapter } = this.host;
    if (!problem || httpAdapter.isHeadersSent(response)) {
      super.catch(error, context);
      return;
    }
    const { code, httpStatus: status, message: detail, details } = problem;
    httpAdapter.setHeader(response, 'Content-Type', 'application/problem+json');
    httpAdapter.reply(response, JSON.stringify({ code, status, detail, ...details }), status);
  }
}

@Module({
  imports: [ConcurrencyModule.forRoot(options)],
  controllers: [Endpoints, WhollyGuarded],
  providers: [
    Desk,
    { provide: APP_GUARD, useExisting: TenantRateLimitGuard },
    { provide: APP_FILTER, useClass: Problems },
  ],
})
class App {}

/** Stands for authentication: a header says who asks. */
function authenticate(
  request: { headers: Record<string, string | undefined> },
  _response: unknown,
  next: () => void,
) {
  const { 'x-tenant': tenantId } = request.headers;
  if (!tenantId) next();
  else TenantContext.run({ tenantId: parseTenantId(tenantId), userId: 'ana', scopes: [] }, next);
}

const adapters = [
  ['Fastify', () => new FastifyAdapter({ forceCloseConnections: true })],
  ['Express', () => new ExpressAdapter()],
] as const;

describe.each(adapters)('on HTTP with %s', (_name, adapter) => {
  let app: INestApplication;
  let address: string;
  let desk: Desk;
  let probe: PermitProbe;

  beforeAll(async () => {
    app = await NestFactory.create(App, adapter(), { logger: false, forceCloseConnections: true });
    app.use(authenticate);
    await app.listen(0, '127.0.0.1');
    address = (await app.getUrl()).replace('[::1]', '127.0.0.1');
    desk = app.get(Desk);
    probe = new PermitProbe(app);
  });
  afterAll(() => app?.close());
  afterEach(async () => {
    await probe.whenFree();
    desk.ends.clear();
    desk.signals.clear();
    desk.stopped = 0;
  });

  const get = (path: string, tenant: string | undefined = 'acme', signal?: AbortSignal) =>
    fetch(`${address}/${path}`, {
      headers: tenant ? { 'x-tenant': tenant } : {},
      ...(signal ? { signal } : {}),
    });
  /** A client that leaves as soon as it is told to. */
  const visit = (path: string) => {
    const controller = new AbortController();
    const response = get(path, 'acme', controller.signal);
    response.catch(() => undefined);
    return { response, leave: () => controller.abort() };
  };
  const isBusy = async () => !(await probe.isFree());
  const started = (name: string) => until(() => desk.ends.has(name));

  it('tells every caller where it stands, and refuses with 429, Retry-After and a problem document', async () => {
    const admitted = await get('plain', 'tiny');
    expect([admitted.status, await admitted.json()]).toEqual([200, { ok: true }]);
    expect(admitted.headers.get('ratelimit-policy')).toBe('"plan";q=1;w=1');
    expect(admitted.headers.get('ratelimit')).toBe('"plan";r=0;t=1');
    expect(admitted.headers.get('retry-after')).toBeNull();
    const refused = await get('plain', 'tiny');
    expect(refused.status).toBe(429);
    expect(refused.headers.get('content-type')).toContain('application/problem+json');
    expect(refused.headers.get('ratelimit-policy')).toBe('"plan";q=1;w=1');
    expect(refused.headers.get('ratelimit')).toBe('"plan";r=0;t=1');
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toMatchObject({
      code: 'RATE_LIMITED',
      dimension: 'plan',
      limit: 1,
      remaining: 0,
      retryAfterMs: expect.any(Number),
    });
  });

  it('refuses a caller without a tenant or a plan, except where limits are skipped', async () => {
    const refused = await get('plain', '');
    expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([
      403,
      'TENANT_MISSING',
    ]);
    const planless = await get('plain', 'nobody');
    expect([planless.status, ((await planless.json()) as { code: string }).code]).toEqual([
      403,
      'TENANT_PLAN_MISSING',
    ]);
    expect((await get('public', '')).status).toBe(200);
  });

  it('lets one request at a time run under a permit, also where the whole controller has it', async () => {
    const first = get('promise/first');
    await started('first');
    const second = get('guarded/second');
    await until(() => probe.waiting === 1);
    expect(desk.ends.has('second')).toBe(false);
    desk.ends.get('first')!();
    expect(await (await first).text()).toBe('first');
    await started('second');
    desk.ends.get('second')!();
    expect(await (await second).text()).toBe('second');
  });

  it('frees the permit of a handler that fails, and tells nothing of a foreign error', async () => {
    const failed = await get('broken');
    expect(failed.status).toBe(500);
    expect(await failed.text()).not.toContain('secret detail');
    expect(await probe.isFree()).toBe(true);
  });

  it('takes a client that leaves out of the queue at once, and never runs its handler', async () => {
    const holder = get('promise/holder');
    await started('holder');
    const leaver = visit('promise/leaver');
    await until(() => probe.waiting === 1);
    leaver.leave();
    await until(() => probe.waiting === 0);
    desk.ends.get('holder')!();
    expect((await holder).status).toBe(200);
    await probe.whenFree();
    expect(desk.ends.has('leaver')).toBe(false);
  });

  it('notices it too when the requests that wait are pipelined behind one that runs', async () => {
    const { port, hostname } = new URL(address);
    const socket = connect(Number(port), hostname);
    const request = (name: string) => `GET /promise/${name} HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\n\r\n`;
    socket.write(
      ['first', ...Array.from({ length: 20 }, (_each, index) => `p${index}`)].map(request).join(''),
    );
    await started('first');
    await until(() => probe.waiting === 20);
    socket.destroy();
    await until(() => probe.waiting === 0);
    desk.ends.get('first')!();
    await probe.whenFree();
    expect([...desk.ends.keys()]).toEqual(['first']);
  });

  it('tells a promise that its client has left, and keeps its permit until it ends', async () => {
    const leaver = visit('promise/leaver');
    await started('leaver');
    leaver.leave();
    await until(() => desk.signals.get('leaver')!.aborted);
    expect(desk.signals.get('leaver')!.reason).toMatchObject({ code: 'CALLER_LEFT' });
    expect(await probe.isFree()).toBe(false);
    desk.ends.get('leaver')!();
    await probe.whenFree();
  });

  it('ends an observable whose client has left, and frees its permit', async () => {
    const leaver = visit('observable');
    await started('observable');
    expect(await isBusy()).toBe(true);
    leaver.leave();
    await probe.whenFree();
    expect(desk.stopped).toBe(1);
  });

  it('holds the permit for as long as server-sent events go on: to their end, or until the client leaves', async () => {
    const response = await get('events');
    const reader = response.body!.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toContain('data: first');
    expect(await isBusy()).toBe(true);
    desk.ends.get('events')!();
    await probe.whenFree();
    await reader.cancel();

    const leaver = visit('events');
    await leaver.response;
    expect(await isBusy()).toBe(true);
    leaver.leave();
    await probe.whenFree();
    expect(desk.stopped).toBe(2);
  });

  it('holds the permit until a streamed body is sent, or the client leaves', async () => {
    const response = await get('file');
    expect(await isBusy()).toBe(true);
    desk.ends.get('file')!();
    expect(await response.text()).toBe('first part, last part');
    await probe.whenFree();

    const leaver = visit('file');
    await leaver.response;
    expect(await isBusy()).toBe(true);
    leaver.leave();
    await probe.whenFree();
  });
});
