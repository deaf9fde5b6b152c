import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnModuleInit,
  Optional,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyAdapter } from '@nestjs/platform-fastify';
import { Clock, type ClockTimer, type TenantId } from '@sparkle/contracts';
import { RequestRecorder, runInSpan } from '@sparkle/metrics';
import type { VerifiedToken } from '@sparkle/runtime';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type WebSocket, WebSocketServer } from 'ws';
import { AGENT_OPERATIONS, Agent } from '../answers/agent.js';
import { Gateway } from '../gateway/gateway.js';
import {
  ConnectionLimitError,
  OriginForbiddenError,
  ServerClosingError,
  UpgradeRequiredError,
} from '../http/errors.js';
import type { ServerEvent } from '../http/event-stream.js';
import { problemOf } from '../http/problem.filter.js';
import { CLOSE, Connection, type ServeRequest } from './connection.js';
import type { ClientRequest } from './messages.js';
import { attachUpgrades, completeUpgrade } from './upgrade.js';
import { WEB_SOCKET_DEFAULTS, WebSocketOptions } from './web-socket.options.js';

const ROUTE = '/v1/ws';
const OPERATIONS = {
  ask: AGENT_OPERATIONS.ask,
  chat: AGENT_OPERATIONS.say,
  begin: AGENT_OPERATIONS.begin,
} as const;
/** A client's key: 16 bytes in base64 (RFC 6455, section 4.1). */
const HANDSHAKE_KEY = /^[+/0-9A-Za-z]{22}==$/;

/**
 * Questions and conversations over one connection. The handshake is an ordinary HTTP request, admitted and refused
 * like any other; each message is admitted by the gateway once more, as a request of its own.
 */
@Injectable()
export class WebSocketDoor implements OnModuleInit, BeforeApplicationShutdown {
  private readonly logger = new Logger(WebSocketDoor.name);
  private readonly server: WebSocketServer;
  private readonly connections = new Set<Connection>();
  private readonly perTenant = new Map<TenantId, number>();
  /** What the gateway told on a handshake, for the response that completes it. */
  private readonly told = new WeakMap<IncomingMessage, readonly string[]>();
  private readonly options: WebSocketOptions;
  private heartbeat: ClockTimer | undefined;
  private closing = false;

  constructor(
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost<FastifyAdapter>,
    @Inject(Gateway) private readonly gateway: Gateway,
    @Inject(Agent) private readonly agent: Agent,
    @Inject(Clock) private readonly clock: Clock,
    @Inject(RequestRecorder) private readonly recorder: RequestRecorder,
    @Optional() @Inject(WebSocketOptions) options: WebSocketOptions = WEB_SOCKET_DEFAULTS,
  ) {
    this.options = options;
    this.server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: options.maxMessageBytes,
      perMessageDeflate: false,
      handleProtocols: (protocols) => (protocols.has('bearer') ? 'bearer' : false),
    });
    this.server.on('headers', (lines: string[], request) => lines.push(...(this.told.get(request) ?? [])));
  }

  onModuleInit(): void {
    const { httpAdapter } = this.host;
    const fastify = httpAdapter.getInstance();
    attachUpgrades(httpAdapter.getHttpServer(), (request, response) => fastify.routing(request, response));
    this.scheduleHeartbeat();
  }

  /** Ends connections while everything an answer needs is still there. */
  async beforeApplicationShutdown(): Promise<void> {
    this.closing = true;
    this.heartbeat?.cancel();
    const open = [...this.connections];
    const gone = Promise.all(open.map(({ closed }) => closed));
    for (const connection of open) connection.drain();
    const deadline = this.clock.schedule(this.options.drainMs, () => {
      for (const connection of this.connections)
        connection.close(CLOSE.goingAway, 'the server is shutting down');
    });
    await gone;
    deadline.cancel();
  }

  /**
   * Completes an admitted handshake.
   * @throws UpgradeRequiredError, OriginForbiddenError, ConnectionLimitError, ServerClosingError
   */
  open(request: FastifyRequest, reply: FastifyReply, caller: VerifiedToken): void {
    if (!isHandshake(request.headers)) throw new UpgradeRequiredError();
    const { origin } = request.headers;
    const { origins, connectionsPerTenant, closeMs } = this.options;
    if (origin !== undefined && origins && !origins.includes(origin)) throw new OriginForbiddenError();
    if (this.closing) throw new ServerClosingError();
    const { tenantId } = caller.principal;
    const already = this.perTenant.get(tenantId) ?? 0;
    if (already >= connectionsPerTenant) throw new ConnectionLimitError(connectionsPerTenant, closeMs);
    this.told.set(request.raw, headersOf(reply));
    reply.hijack();
    completeUpgrade(request.raw, reply.raw, (socket: Duplex, head: Buffer) => {
      this.server.handleUpgrade(request.raw, socket, head, (client) =>
        this.accept(client, caller, request.headers),
      );
    });
  }

  private accept(client: WebSocket, caller: VerifiedToken, handshake: IncomingHttpHeaders): void {
    const { tenantId } = caller.principal;
    const serve: ServeRequest = (message, tell, signal) =>
      this.serve(caller, handshake, message, tell, signal);
    const connection = new Connection(client, caller, this.clock, this.options, serve);
    this.connections.add(connection);
    this.perTenant.set(tenantId, (this.perTenant.get(tenantId) ?? 0) + 1);
    void connection.closed.then(() => {
      this.connections.delete(connection);
      const left = this.perTenant.get(tenantId)! - 1;
      if (left === 0) this.perTenant.delete(tenantId);
      else this.perTenant.set(tenantId, left);
    });
    if (this.closing) connection.drain();
  }

  private async serve(
    { principal }: VerifiedToken,
    handshake: IncomingHttpHeaders,
    message: ClientRequest,
    tell: (type: string, data: unknown) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const { type } = message;
    const { tenantId } = principal;
    const label = `ws ${type}`;
    const end = this.recorder.begin({ transport: 'ws', method: type, route: ROUTE });
    const carrier = message.traceparent === undefined ? handshake : { traceparent: message.traceparent };
    try {
      const span = { kind: 'server', carrier, attributes: { 'sparkle.tenant': tenantId } } as const;
      await runInSpan(label, span, async () => {
        await this.gateway.admit(principal, OPERATIONS[type], (limits) => {
          if (limits.size > 0) void tell('limits', Object.fromEntries(limits)).catch(() => {});
        });
        await this.gateway.run(principal, label, async () => {
          for await (const { event, data } of this.eventsOf(principal, message, signal))
            await tell(event, data);
        });
      });
      end({ statusCode: 200, streamed: type !== 'begin', tenantId });
    } catch (error) {
      const { status, code } = problemOf(error);
      if (status >= 500) this.logger.error(`${label} failed`, error);
      end({
        statusCode: status,
        errorType: code,
        aborted: signal.aborted,
        streamed: type !== 'begin',
        tenantId,
      });
      throw error;
    }
  }

  private async *eventsOf(
    { tenantId, userId, scopes }: VerifiedToken['principal'],
    message: ClientRequest,
    signal: AbortSignal,
  ): AsyncGenerator<ServerEvent> {
    const caller = { tenantId, userId, scopes };
    if (message.type === 'ask') {
      const { type: _type, id: _id, traceparent: _trace, ...question } = message;
      yield* this.agent.askEvents(caller, question, signal);
    } else if (message.type === 'chat') {
      yield* this.agent.sayEvents(caller, message, signal);
    } else {
      yield { event: 'conversation', data: await this.agent.begin(caller, message.title) };
    }
  }

  private scheduleHeartbeat(): void {
    this.heartbeat = this.clock.schedule(this.options.heartbeatMs, () => {
      for (const connection of this.connections) connection.beat();
      this.scheduleHeartbeat();
    });
  }
}

function isHandshake(headers: IncomingHttpHeaders): boolean {
  return (
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers['sec-websocket-version'] === '13' &&
    HANDSHAKE_KEY.test(headers['sec-websocket-key'] ?? '')
  );
}

/** What guards told on the handshake, as lines of its response. */
function headersOf(reply: FastifyReply): string[] {
  return Object.entries(reply.getHeaders()).map(([name, value]) => `${name}: ${String(value)}`);
}
