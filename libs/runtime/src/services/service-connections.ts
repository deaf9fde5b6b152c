import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  semanticCacheMigration,
  semanticCachePurgesMigration,
  semanticCacheSearchMigration,
} from '@sparkle/cache';
import { databaseMigrations, migrate } from '@sparkle/database';
import { EmbeddedPostgres } from '@sparkle/database/embedded';
import { graphragMigrations } from '@sparkle/graphrag';
import type { Cluster, Redis } from 'ioredis';
import { embeddedJwtKey } from '../auth/embedded-key.js';
import type { RuntimeConfig } from '../config/environment.js';
import { postgresQueueBackend, type QueueBackend, redisQueueBackend } from '../queue/queue-backend.js';
import { connectRedis } from './redis-connection.js';

/** What an application runs on: connected, and its schema up to date. */
export interface ServiceConnections {
  readonly databaseUrl: string;
  /** Absent in embedded mode: the memory adapters serve. */
  readonly redis?: { readonly client: Redis | Cluster; readonly subscriber: Redis | Cluster };
  readonly queueBackend: QueueBackend;
  /** Signs and verifies access tokens. */
  readonly jwtKey: string;
  /** Settles when a service inside this process has failed for good; committed data is safe. */
  readonly failed?: Promise<Error>;
  /** Closes what was opened here; call it after the application is closed. */
  close(): Promise<void>;
}

/**
 * Opens the services of the configuration's mode and migrates the schema.
 * @throws DatabaseUnreachableError, RedisUnreachableError, DataFolderLockedError and the other start errors of
 * `@sparkle/database`; nothing stays open then.
 */
export function openServices(config: RuntimeConfig): Promise<ServiceConnections> {
  return config.mode === 'embedded' ? openEmbedded(config) : openProduction(config);
}

async function openEmbedded(config: RuntimeConfig): Promise<ServiceConnections> {
  // For its mode; the database says what is wrong with a folder that cannot be made.
  await mkdir(config.dataDirectory, { recursive: true, mode: 0o700 }).catch(() => {});
  const postgres = await EmbeddedPostgres.start({ dataDir: join(config.dataDirectory, 'postgres') });
  try {
    await migrate(postgres.url, schemaOf(config));
    return {
      databaseUrl: postgres.url,
      queueBackend: postgresQueueBackend(postgres.url),
      jwtKey: config.jwtKey ?? (await embeddedJwtKey(config.dataDirectory)),
      failed: failureOf(postgres),
      close: () => postgres.stop(),
    };
  } catch (error) {
    await postgres.stop();
    throw error;
  }
}

async function openProduction(config: RuntimeConfig): Promise<ServiceConnections> {
  const { databaseUrl, redisUrl, jwtKey } = config;
  if (!databaseUrl || !redisUrl || !jwtKey)
    throw new TypeError('parseEnvironment requires all three in production');
  await migrate(databaseUrl, schemaOf(config));
  const client = await connectRedis(redisUrl);
  try {
    const subscriber = await connectRedis(redisUrl);
    return {
      databaseUrl,
      redis: { client, subscriber },
      queueBackend: redisQueueBackend(redisUrl),
      jwtKey,
      close: async () => {
        client.disconnect();
        subscriber.disconnect();
      },
    };
  } catch (error) {
    client.disconnect();
    throw error;
  }
}

function failureOf(postgres: EmbeddedPostgres): Promise<Error> {
  return new Promise((resolve) => {
    void postgres.exited.then((error) => error && resolve(error));
  });
}

/** Every migration of the product. */
export function schemaOf({ embeddingDimensions }: Pick<RuntimeConfig, 'embeddingDimensions'>) {
  return [
    ...databaseMigrations(embeddingDimensions),
    ...graphragMigrations,
    semanticCacheMigration(embeddingDimensions),
    semanticCachePurgesMigration,
    semanticCacheSearchMigration,
  ];
}
