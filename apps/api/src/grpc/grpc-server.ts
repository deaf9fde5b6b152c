import { fileURLToPath } from 'node:url';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { type BeforeApplicationShutdown, Inject, Injectable, Optional } from '@nestjs/common';
import { ServerGrpc } from '@nestjs/microservices';
import { Clock } from '@sparkle/contracts';
import { HealthRegistry } from '@sparkle/metrics';
import { RuntimeConfig } from '@sparkle/runtime';
import { GrpcListenError } from '../http/errors.js';
import { CallsUnderWay } from './calls-under-way.js';
import { HealthService } from './health.service.js';

export const AGENT_PROTO = fileURLToPath(
  new URL('../../proto/sparkle/agent/v1/agent.proto', import.meta.url),
);
const AGENT_PACKAGE = 'sparkle.agent.v1';

/** Names in camel case, as everywhere else; what is not set is empty. */
export const LOADER_OPTIONS = { keepCase: false, longs: Number, enums: String, defaults: true, oneofs: true };

const CHANNEL_OPTIONS = {
  // The largest message is 32,000 characters.
  'grpc.max_receive_message_length': 256 * 1024,
  'grpc.max_concurrent_streams': 100,
  // A client that is gone without a word is found out within two minutes and a half.
  'grpc.keepalive_time_ms': 120_000,
  'grpc.keepalive_timeout_ms': 20_000,
  'grpc.http2.min_ping_interval_without_data_ms': 10_000,
};

/** How long calls under way may take once the process is told to end, and then clients to hang up. */
const DRAIN_MS = 5_000;
const GOODBYE_MS = 500;

/** Injection token of the longest a shutdown waits for calls, in milliseconds. */
export const GrpcDrainMs = Symbol('GrpcDrainMs');

/** The server of gRPC, with reflection and health beside our own service. Listens where `SPARKLE_GRPC_PORT` says. */
@Injectable()
export class GrpcServer extends ServerGrpc implements BeforeApplicationShutdown {
  private readonly health: HealthService;
  private server: Server | undefined;
  private port = 0;

  constructor(
    @Inject(RuntimeConfig) private readonly config: RuntimeConfig,
    @Inject(HealthRegistry) readiness: HealthRegistry,
    @Inject(Clock) private readonly clock: Clock,
    @Inject(CallsUnderWay) private readonly calls: CallsUnderWay,
    @Optional() @Inject(GrpcDrainMs) private readonly drainMs: number = DRAIN_MS,
  ) {
    super({
      package: AGENT_PACKAGE,
      protoPath: AGENT_PROTO,
      loader: LOADER_OPTIONS,
      url: `${urlHost(config.host)}:${config.grpcPort ?? 0}`,
      onLoadPackageDefinition: (definition: PackageDefinition, server: Server) => {
        new ReflectionService(definition).addToServer(server);
        this.health.addTo(server);
      },
    });
    this.health = new HealthService(readiness, clock, [`${AGENT_PACKAGE}.AgentService`]);
  }

  /** Host and port as a client reaches them; `undefined` while nothing listens. */
  get address(): string | undefined {
    if (!this.server) return undefined;
    const { host } = this.config;
    return `${host === '0.0.0.0' ? '127.0.0.1' : urlHost(host)}:${this.port}`;
  }

  override async createClient(): Promise<Server> {
    const server = new Server(CHANNEL_OPTIONS);
    this.port = await new Promise<number>((resolve, reject) => {
      // TLS ends in front of this process, as it does for HTTP.
      server.bindAsync(this.url, ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(new GrpcListenError(this.url, { cause: error })) : resolve(port),
      );
    });
    this.server = server;
    return server;
  }

  /** Ends calls while everything an answer needs is still there. */
  async beforeApplicationShutdown(): Promise<void> {
    const { server } = this;
    if (!server) return;
    this.health.close();
    const impatience = this.clock.schedule(this.drainMs, () => this.calls.cancelAll());
    await this.calls.close();
    impatience.cancel();
    // Lets the last trailers out; a client that stays connected is not waited for.
    const hungUp = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
    await Promise.race([hungUp, this.clock.sleep(GOODBYE_MS)]);
  }

  override async close(): Promise<void> {
    this.server?.forceShutdown();
    this.server = undefined;
  }
}

function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
