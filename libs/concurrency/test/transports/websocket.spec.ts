import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import {
  type ArgumentsHost,
  Catch,
  type ExecutionContext,
  type INestApplication,
  Inject,
  Injectable,
  Module,
  UseFilters,
  UseGuards,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { WsAdapter } from '@nestjs/platform-ws';
import {
  BaseWsExceptionFilter,
  MessageBody,
  type OnGatewayConnection,
  SubscribeMessage,
  WebSocketGateway,
  WsException,
} from '@nestjs/websockets';
import { type Principal, parseTenantId } from '@sparkle/contracts';
import { Observable } from 'rxjs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import {
  ConcurrencyModule,
  PermitSignal,
  problemOf,
  RateLimit,
  TenantRateLimitGuard,
  WithPermit,
} from '../../src/index.js';
import { options, PermitProbe, until } from './permit-probe.js';

type AuthenticatedSocket = WebSocket & { principal?: Principal };

@Injectable()
class Desk {
  readonly ends = new Map<string, () => void>();
  readonly signals = new Map<string, AbortSignal>();
  stopped = 0;
}

/** The filter that an application writes: for Nest, errors that are no `WsException` are nobody's business. */
@Catch()
class Problems extends BaseWsExceptionFilter {
  override catch(error: unknown, host: ArgumentsHost): void {
    const problem = problemOf(error);
    if (!problem) {
      super.catch(error, host);
      return;
    }
    const { code, message, details } = problem;
    super.catch(new WsException({ status: 'error', code, message, ...details }), host);
  }
}

@WebSocketGateway({ path: '/live' })
// Global guards and filters do not reach gateways: Nest wants them named.
@UseGuards(TenantRateLimitGuard)
@UseFilters(Problems)
class Gateway implements OnGatewayConnection {
  constructor(@Inject(Desk) private readonly desk: Desk) {}

  /** Stands for authentication: a header of the handshake says who asks. */
  handleConnection(client: AuthenticatedSocket, request: IncomingMessage): void {
    const tenantId = request.headers['x-tenant'];
    if (typeof tenantId !== 'string') return;
    client.principal = { tenantId: parseTenantId(tenantId), userId: 'ana', scopes: [] };
  }

  @SubscribeMessage('plain')
  plain() {
    return { event: 'answer', data: 'ok' };
  }

  @SubscribeMessage('public')
  @RateLimit({ skip: true })
  open() {
    return { event: 'answer', data: 'ok' };
  }

  @SubscribeMessage('slow')
  @WithPermit({ name: 'slow' })
  slow(@MessageBody() name: string, @PermitSignal() signal: AbortSignal) {
    this.desk.signals.set(name, signal);
    return new Promise((resolve) => this.desk.ends.set(name, () => resolve({ event: 'answer', data: name })));
  }

  @SubscribeMessage('stream')
  @WithPermit({ name: 'slow' })
  stream() {
    return new Observable((subscriber) => {
      subscriber.next({ event: 'answer', data: 'first' });
      this.desk.ends.set('stream', () => subscriber.complete());
      return () => {
        this.desk.stopped += 1;
      };
    });
  }

  @SubscribeMessage('broken')
  @WithPermit({ name: 'slow' })
  broken() {
    throw new Error('secret detail');
  }
}

@Module({
  imports: [
    ConcurrencyModule.forRoot({
      ...options,
      principalOf: (context: ExecutionContext) =>
        context.switchToWs().getClient<AuthenticatedSocket>().principal,
    }),
  ],
  providers: [Desk, Gateway],
})
class App {}

describe('on WebSocket', () => {
  let app: INestApplication;
  let desk: Desk;
  let probe: PermitProbe;
  let address: string;
  const sockets: WebSocket[] = [];

  beforeAll(async () => {
    app = await NestFactory.create(App, new FastifyAdapter(), { logger: false });
    app.useWebSocketAdapter(new WsAdapter(app));
    await app.listen(0, '127.0.0.1');
    address = (await app.getUrl()).replace('http', 'ws');
    desk = app.get(Desk);
    probe = new PermitProbe(app);
  });
  afterAll(() => app?.close());
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.terminate();
    await probe.whenFree();
    desk.ends.clear();
    desk.stopped = 0;
  });

  /** A client that collects what it is sent. */
  const connect = async (tenant?: string) => {
    const socket = new WebSocket(`${address}/live`, { headers: tenant ? { 'x-tenant': tenant } : {} });
    sockets.push(socket);
    const received: unknown[] = [];
    socket.on('message', (data) => received.push(JSON.parse(String(data))));
    await once(socket, 'open');
    return {
      received,
      send: (event: string, data?: string) => socket.send(JSON.stringify({ event, data })),
      leave: () => socket.terminate(),
      next: async () => {
        await until(() => received.length > 0);
        return received.shift();
      },
    };
  };

  it('counts messages against the plan, and the refusal reaches the client with its code', async () => {
    const client = await connect('tiny');
    client.send('plain');
    expect(await client.next()).toEqual({ event: 'answer', data: 'ok' });
    client.send('plain');
    expect(await client.next()).toEqual({
      event: 'exception',
      data: {
        status: 'error',
        code: 'RATE_LIMITED',
        message: expect.stringContaining('"plan"'),
        dimension: 'plan',
        limit: 1,
        remaining: 0,
        retryAfterMs: expect.any(Number),
        resetMs: expect.any(Number),
      },
    });
  });

  it('refuses a client without a tenant, except where limits are skipped', async () => {
    const client = await connect();
    client.send('plain');
    expect(await client.next()).toMatchObject({ event: 'exception', data: { code: 'TENANT_MISSING' } });
    client.send('public');
    expect(await client.next()).toEqual({ event: 'answer', data: 'ok' });
  });

  it('lets one message at a time run under a permit, and frees it on completion and on error', async () => {
    const client = await connect('acme');
    client.send('slow', 'first');
    await until(() => desk.ends.has('first'));
    client.send('slow', 'second');
    await until(() => probe.waiting === 1);
    expect(desk.ends.has('second')).toBe(false);
    desk.ends.get('first')!();
    expect(await client.next()).toEqual({ event: 'answer', data: 'first' });
    await until(() => desk.ends.has('second'));
    desk.ends.get('second')!();
    expect(await client.next()).toEqual({ event: 'answer', data: 'second' });
    client.send('broken');
    const failed = await client.next();
    expect(failed).toMatchObject({ event: 'exception', data: { message: 'Internal server error' } });
    expect(JSON.stringify(failed)).not.toContain('secret detail');
    await probe.whenFree();
  });

  it('takes a client that leaves out of the queue at once, and never runs its handler', async () => {
    const holder = await connect('acme');
    holder.send('slow', 'holder');
    await until(() => desk.ends.has('holder'));
    const leaver = await connect('acme');
    leaver.send('slow', 'leaver');
    await until(() => probe.waiting === 1);
    leaver.leave();
    await until(() => probe.waiting === 0);
    desk.ends.get('holder')!();
    await holder.next();
    await probe.whenFree();
    expect(desk.ends.has('leaver')).toBe(false);
  });

  it('frees the permit of a stream when it ends, and when its client leaves', async () => {
    const client = await connect('acme');
    client.send('stream');
    expect(await client.next()).toEqual({ event: 'answer', data: 'first' });
    expect(await probe.isFree()).toBe(false);
    desk.ends.get('stream')!();
    await probe.whenFree();
    client.send('stream');
    await client.next();
    expect(await probe.isFree()).toBe(false);
    client.leave();
    await probe.whenFree();
    expect(desk.stopped).toBe(2);
  });

  it('keeps the permit of a promise that goes on after its client has left, and tells it', async () => {
    const client = await connect('acme');
    client.send('slow', 'orphan');
    await until(() => desk.ends.has('orphan'));
    client.leave();
    await until(() => desk.signals.get('orphan')!.aborted);
    expect(await probe.isFree()).toBe(false);
    desk.ends.get('orphan')!();
    await probe.whenFree();
  });
});
