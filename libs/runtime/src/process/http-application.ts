import type { DynamicModule, LogLevel } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { RuntimeConfig } from '../config/environment.js';
import type { ServiceConnections } from '../services/service-connections.js';
import type { RunningApplication } from './run-process.js';

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
  app.useLogger(LEVELS.slice(0, LEVELS.indexOf(config.logLevel) + 1));
  return app;
}

/** Starts listening; the result closes the application and then the services under it. */
export async function serve(
  name: string,
  app: NestFastifyApplication,
  config: RuntimeConfig,
  services: ServiceConnections,
): Promise<RunningApplication & { readonly address: string }> {
  await app.listen(config.port, config.host);
  const bound = app.getHttpServer().address();
  if (bound === null || typeof bound === 'string') throw new TypeError('the server has no port');
  const host =
    config.host === '0.0.0.0' ? '127.0.0.1' : config.host.includes(':') ? `[${config.host}]` : config.host;
  const address = `http://${host}:${bound.port}`;
  return {
    address,
    readyLine: `${name} is ready at ${address}`,
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
