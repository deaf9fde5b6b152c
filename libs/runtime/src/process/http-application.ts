import type { Server, ServerResponse } from 'node:http';
import type { DynamicModule, LogLevel } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { RuntimeConfig } from '../config/environment.js';
import type { ServiceConnections } from '../services/service-connections.js';
import type { RunningApplication } from './run-process.js';
import { TracedLogger } from './traced-logger.js';

const REQUEST_TIMEOUT_MS = 120_000;
const LEVELS: readonly LogLevel[] = ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'];

/**
 * Makes a Nest application on Fastify. Bodies have no parser yet; failures of the start are thrown, not printed.
 * @param bodyLimit largest body, in bytes.
 */
export async function createHttpApplication(
  root: DynamicModule,
  config: RuntimeConfig,
  bodyLimit: number,
): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter({
    bodyLimit,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 200 },
  });
  // Silent until it stands: whoever starts the application explains a failure, in one sentence.
  const app = await NestFactory.create<NestFastifyApplication>(root, adapter, {
    bodyParser: false,
    abortOnError: false,
    logger: false,
  });
  const levels = LEVELS.slice(0, LEVELS.indexOf(config.logLevel) + 1);
  // An object: levels alone would not bring back the logger that was switched off above.
  app.useLogger(new TracedLogger(levels));
  hangUpAfterTheLastResponse(app);
  return app;
}

const LISTENERS_PER_RESPONSE = 20;

/**
 * Browsers and HTTP clients keep connections in reserve that have not carried a request yet. Node takes them for busy
 * and waits for a minute; once the last response is out, nobody is waiting on any of them.
 */
function hangUpAfterTheLastResponse(app: NestFastifyApplication): void {
  const server: Server = app.getHttpServer();
  let responses = 0;
  let closing = false;
  const hangUp = () => {
    if (closing && responses === 0) server.closeAllConnections();
  };
  server.prependListener('request', (_request, response: ServerResponse) => {
    responses += 1;
    // Metrics, traces, permits, the handler and the stream it sends each wait for the end of one response: no leak.
    response.setMaxListeners(LISTENERS_PER_RESPONSE);
    response.once('close', () => {
      responses -= 1;
      hangUp();
    });
  });
  app
    .getHttpAdapter()
    .getInstance()
    .addHook('preClose', (done) => {
      closing = true;
      hangUp();
      done();
    });
}

/**
 * Starts listening, with every transport that was connected to the application; the result closes the application and
 * then the services under it.
 * @param grpcAddress where gRPC listens, known once it does.
 */
export async function serve(
  name: string,
  app: NestFastifyApplication,
  config: RuntimeConfig,
  services: ServiceConnections,
  grpcAddress: () => string | undefined = () => undefined,
): Promise<RunningApplication & { readonly address: string }> {
  await app.startAllMicroservices();
  await app.listen(config.port, config.host);
  const bound = app.getHttpServer().address();
  if (bound === null || typeof bound === 'string') throw new TypeError('the server has no port');
  const host =
    config.host === '0.0.0.0' ? '127.0.0.1' : config.host.includes(':') ? `[${config.host}]` : config.host;
  const address = `http://${host}:${bound.port}`;
  const grpc = grpcAddress();
  return {
    address,
    readyLine: `${name} is ready at ${address}${grpc === undefined ? '' : ` and, for gRPC, at ${grpc}`}`,
    ...(services.failed && { failed: services.failed }),
    close: async () => {
      try {
        await app.close();
      } finally {
        await services.close();
      }
    },
  };
}

/** Runs `start` on services that are closed again if it fails. */
export async function withServices<T>(
  services: ServiceConnections,
  start: (services: ServiceConnections) => Promise<T>,
): Promise<T> {
  try {
    return await start(services);
  } catch (error) {
    // The first failure explains the others.
    await services.close().catch(() => {});
    throw error;
  }
}
