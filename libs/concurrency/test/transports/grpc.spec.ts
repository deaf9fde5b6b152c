import { fileURLToPath } from 'node:url';
import {
  type Client,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import {
  type ArgumentsHost,
  Catch,
  Controller,
  type ExecutionContext,
  type INestMicroservice,
  Inject,
  Injectable,
  Module,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, NestFactory } from '@nestjs/core';
import {
  BaseRpcExceptionFilter,
  GrpcMethod,
  type MicroserviceOptions,
  Payload,
  Transport,
} from '@nestjs/microservices';
import { parseTenantId } from '@sparkle/contracts';
import { Observable, throwError } from 'rxjs';
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

const protoPath = fileURLToPath(new URL('slow.proto', import.meta.url));

@Injectable()
class Desk {
  readonly ends = new Map<string, () => void>();
  readonly signals = new Map<string, AbortSignal>();
  stopped = 0;
}

/** The filter that an application writes: a status of gRPC, and our code in the trailing metadata. */
@Catch()
class Problems extends BaseRpcExceptionFilter {
  override catch(error: unknown, host: ArgumentsHost): Observable<never> {
    const problem = problemOf(error);
    if (!problem) return super.catch(error, host) as Observable<never>;
    const metadata = new Metadata();
    metadata.set('code', problem.code);
    for (const [name, value] of Object.entries(problem.details)) metadata.set(name, String(value));
    return throwError(() => ({ code: problem.grpcStatus, details: problem.message, metadata }));
  }
}

@Controller()
class SlowService {
  constructor(@Inject(Desk) private readonly desk: Desk) {}

  @GrpcMethod('Slow', 'Plain')
  plain() {
    return { name: 'ok' };
  }

  @GrpcMethod('Slow', 'Open')
  @RateLimit({ skip: true })
  open() {
    return { name: 'ok' };
  }

  @GrpcMethod('Slow', 'Wait')
  @WithPermit({ name: 'slow' })
  wait(@Payload() { name }: { name: string }, @PermitSignal() signal: AbortSignal) {
    this.desk.signals.set(name, signal);
    return new Promise((resolve) => this.desk.ends.set(name, () => resolve({ name })));
  }

  @GrpcMethod('Slow', 'Broken')
  @WithPermit({ name: 'slow' })
  broken() {
    throw new Error('secret detail');
  }

  @GrpcMethod('Slow', 'Follow')
  @WithPermit({ name: 'slow' })
  follow() {
    return new Observable((subscriber) => {
      subscriber.next({ name: 'first' });
      this.desk.ends.set('follow', () => subscriber.complete());
      return () => {
        this.desk.stopped += 1;
      };
    });
  }
}

@Module({
  imports: [
    ConcurrencyModule.forRoot({
      ...options,
      principalOf: (context: ExecutionContext) => {
        const [tenantId] = context.switchToRpc().getContext<Metadata>().get('x-tenant');
        return tenantId ? { tenantId: parseTenantId(tenantId), userId: 'ana', scopes: [] } : undefined;
      },
    }),
  ],
  controllers: [SlowService],
  providers: [
    Desk,
    { provide: APP_GUARD, useExisting: TenantRateLimitGuard },
    { provide: APP_FILTER, useClass: Problems },
  ],
})
class App {}

interface Answer {
  readonly name: string;
}

describe('on gRPC', () => {
  let app: INestMicroservice;
  let client: Client;
  let desk: Desk;
  let probe: PermitProbe;

  beforeAll(async () => {
    let port = 0;
    app = await NestFactory.createMicroservice<MicroserviceOptions>(App, {
      transport: Transport.GRPC,
      logger: false,
      options: {
        package: 'sparkle.test',
        protoPath,
        url: '127.0.0.1:0',
        // Nest does not tell which port was bound; the server knows, and this is where it can be met.
        onLoadPackageDefinition: (_definition, server) => {
          const { boundPorts } = server as unknown as { boundPorts: Map<string, { portNumber: number }> };
          port = [...boundPorts.values()][0]!.portNumber;
        },
      },
    });
    await app.listen();
    const definition = loadPackageDefinition(loadSync(protoPath)) as unknown as {
      sparkle: { test: { Slow: ServiceClientConstructor } };
    };
    client = new definition.sparkle.test.Slow(`127.0.0.1:${port}`, credentials.createInsecure());
    desk = app.get(Desk);
    probe = new PermitProbe(app);
  });
  afterAll(async () => {
    client?.close();
    await app?.close();
  });
  afterEach(async () => {
    await probe.whenFree();
    desk.ends.clear();
    desk.stopped = 0;
  });

  const identity = (tenant: string | undefined) => {
    const metadata = new Metadata();
    if (tenant) metadata.set('x-tenant', tenant);
    return metadata;
  };
  const call = (method: string, name = '', tenant: string | undefined = 'acme') => {
    let cancel = () => {};
    const answer = new Promise<Answer>((resolve, reject) => {
      const method_ = (client as unknown as Record<string, (...args: unknown[]) => { cancel(): void }>)[
        method
      ]!;
      const running = method_.call(client, { name }, identity(tenant), (error: unknown, reply: Answer) =>
        error ? reject(error) : resolve(reply),
      );
      cancel = () => running.cancel();
    });
    answer.catch(() => undefined);
    return { answer, cancel: () => cancel() };
  };
  const failure = (answer: Promise<unknown>) =>
    answer.then(
      () => undefined,
      (error: ServiceError) => error,
    );
  const follow = () => {
    const { Follow } = client as unknown as {
      Follow(ask: object, metadata: Metadata): import('@grpc/grpc-js').ClientReadableStream<Answer>;
    };
    const stream = Follow.call(client, {}, identity('acme'));
    const received: string[] = [];
    let ended = false;
    stream.on('data', (answer: Answer) => received.push(answer.name));
    stream.on('end', () => {
      ended = true;
    });
    stream.on('error', () => {});
    return { received, isEnded: () => ended, cancel: () => stream.cancel() };
  };

  it('counts calls against the plan, and the refusal reaches the client with status and code', async () => {
    expect(await call('Plain', '', 'tiny').answer).toEqual({ name: 'ok' });
    const refused = await failure(call('Plain', '', 'tiny').answer);
    expect(refused).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(refused?.metadata.getMap()).toMatchObject({ code: 'RATE_LIMITED', dimension: 'plan', limit: '1' });
    expect(Number(refused?.metadata.get('retryAfterMs')[0])).toBeGreaterThan(0);
  });

  it('refuses a caller without a tenant, except where limits are skipped', async () => {
    const refused = await failure(call('Plain', '', '').answer);
    expect(refused).toMatchObject({ code: status.PERMISSION_DENIED });
    expect(refused?.metadata.get('code')).toEqual(['TENANT_MISSING']);
    expect(await call('Open', '', '').answer).toEqual({ name: 'ok' });
  });

  it('lets one call at a time run under a permit, and frees it on completion and on error', async () => {
    const first = call('Wait', 'first');
    await until(() => desk.ends.has('first'));
    const second = call('Wait', 'second');
    await until(() => probe.waiting === 1);
    expect(desk.ends.has('second')).toBe(false);
    desk.ends.get('first')!();
    expect(await first.answer).toEqual({ name: 'first' });
    await until(() => desk.ends.has('second'));
    desk.ends.get('second')!();
    await second.answer;
    const failed = await failure(call('Broken').answer);
    expect(failed).toMatchObject({ code: status.UNKNOWN });
    expect(failed?.message).not.toContain('secret detail');
    await probe.whenFree();
  });

  it('takes a cancelled call out of the queue at once, and never runs its handler', async () => {
    const holder = call('Wait', 'holder');
    await until(() => desk.ends.has('holder'));
    const leaver = call('Wait', 'leaver');
    await until(() => probe.waiting === 1);
    leaver.cancel();
    expect(await failure(leaver.answer)).toMatchObject({ code: status.CANCELLED });
    await until(() => probe.waiting === 0);
    desk.ends.get('holder')!();
    await holder.answer;
    await probe.whenFree();
    expect(desk.ends.has('leaver')).toBe(false);
  });

  it('tells a promise that its call was cancelled, and keeps its permit until it ends', async () => {
    const orphan = call('Wait', 'orphan');
    await until(() => desk.ends.has('orphan'));
    orphan.cancel();
    await until(() => desk.signals.get('orphan')!.aborted);
    expect(desk.signals.get('orphan')!.reason).toMatchObject({ code: 'CALLER_LEFT' });
    expect(await probe.isFree()).toBe(false);
    desk.ends.get('orphan')!();
    await probe.whenFree();
  });

  it('frees the permit of a server stream when it ends, and when its call is cancelled', async () => {
    const whole = follow();
    await until(() => whole.received.length === 1);
    expect(await probe.isFree()).toBe(false);
    desk.ends.get('follow')!();
    await until(whole.isEnded);
    await probe.whenFree();

    const cut = follow();
    await until(() => cut.received.length === 1);
    expect(await probe.isFree()).toBe(false);
    cut.cancel();
    await probe.whenFree();
    expect(desk.stopped).toBe(2);
  });
});
