import { readFileSync } from 'node:fs';
import { type Principal, SystemClock } from '@sparkle/contracts';
import { type MetricsOptions, RedisFleetFigures } from '@sparkle/metrics';
import { z } from 'zod';
import type { RuntimeConfig } from '../config/environment.js';
import type { ServiceConnections } from '../services/service-connections.js';

/**
 * What an application tells `@sparkle/metrics` of itself. Processes on one Redis report on each other; a process
 * of embedded mode is alone.
 */
export function metricsOptions(
  config: RuntimeConfig,
  { redis }: Pick<ServiceConnections, 'redis'>,
): MetricsOptions {
  return {
    tracing: config.tracing,
    build: {
      version: ownVersion(),
      ...(config.revision !== undefined && { revision: config.revision }),
    },
    tenantOf,
    ...(redis && {
      fleet: { store: new RedisFleetFigures(redis.client, new SystemClock()), service: config.serviceName },
    }),
  };
}

/** The tenant of the access token that the gateway has verified and left on the request. */
function tenantOf(request: unknown): string | undefined {
  return (request as { readonly principal?: Pick<Principal, 'tenantId'> }).principal?.tenantId;
}

/** All packages of a release have the same version. */
function ownVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return z.object({ version: z.string() }).parse(manifest).version;
}
