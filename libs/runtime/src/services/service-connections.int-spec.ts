import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SpawnedProcess } from '../../test/processes/spawn-process.js';
import { parseEnvironment } from '../config/environment.js';
import { openServices } from './service-connections.js';

const JWT_KEY = 'a-key-that-is-long-enough-for-hmac-sha-256';
const NOBODY = '127.0.0.1:9';

describe('openServices in production', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database?.drop());

  /** What a process said that opened the services and ended by itself, which it does only with nothing open. */
  const outcomeOf = async (environment: Record<string, string | undefined>) => {
    const child = SpawnedProcess.start(
      'open-services.ts',
      JSON.stringify({ SPARKLE_JWT_KEY: JWT_KEY, ...environment }),
    );
    expect(await child.status()).toBe(0);
    return child.stdout.trim();
  };

  it('migrates the schema, connects, and leaves nothing open once closed', async () => {
    const redis = process.env.TEST_REDIS_URL;
    expect(redis, 'TEST_REDIS_URL is not set; "npm test" sets it').toBeDefined();
    expect(await outcomeOf({ DATABASE_URL: database.url, REDIS_URL: redis })).toBe('closed');
    const [chunks] = await database.database.asSystem((sql) =>
      sql.query("SELECT to_regclass('semantic_cache_entries') AS cache, to_regclass('chunks') AS chunks"),
    );
    expect(chunks).toMatchObject({ chunks: 'chunks' });
  });

  it('leaves nothing open when the database cannot be reached', async () => {
    expect(
      await outcomeOf({ DATABASE_URL: `postgres://nobody@${NOBODY}/app`, REDIS_URL: `redis://${NOBODY}` }),
    ).toBe('DATABASE_UNREACHABLE');
  });

  it('leaves nothing open when Redis cannot be reached', async () => {
    expect(await outcomeOf({ DATABASE_URL: database.url, REDIS_URL: `redis://${NOBODY}` })).toBe(
      'REDIS_UNREACHABLE',
    );
  });
});

describe('openServices in embedded mode', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sparkle-data-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const configFor = (path: string) =>
    parseEnvironment({ SPARKLE_DATA: join(folder, path) }, { embedded: true });

  it('refuses a folder that another start has, and takes it once that one is closed', async () => {
    const config = configFor('data');
    const first = await openServices(config);
    try {
      await expect(openServices(config)).rejects.toMatchObject({ code: 'DATA_FOLDER_LOCKED' });
    } finally {
      await first.close();
    }
    const again = await openServices(config);
    expect(again.jwtKey).toBe(first.jwtKey);
    await again.close();
  });

  it('says in its own words that a data folder is a file', async () => {
    await writeFile(join(folder, 'file'), '');
    await expect(openServices(configFor('file'))).rejects.toMatchObject({ code: 'DATA_FOLDER_FOREIGN' });
  });
});
