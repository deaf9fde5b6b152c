import { describe, expect, it } from 'vitest';
import { ConfigurationInvalidError } from '../errors.js';
import { parseEnvironment } from './environment.js';

const PRODUCTION = {
  DATABASE_URL: 'postgres://app@127.0.0.1/app',
  REDIS_URL: 'redis://127.0.0.1:6379',
  SPARKLE_JWT_KEY: 'k'.repeat(32),
};

function problemsOf(env: Record<string, string>, embedded = true): readonly string[] {
  try {
    parseEnvironment(env, { embedded });
  } catch (error) {
    if (error instanceof ConfigurationInvalidError) return error.problems;
    throw error;
  }
  return [];
}

describe('parseEnvironment', () => {
  it('needs nothing in embedded mode and gives every tenant a plan there', () => {
    const config = parseEnvironment({}, { embedded: true });
    expect(config).toMatchObject({ mode: 'embedded', port: 3000, dataDirectory: '.sparkle' });
    expect(config.defaultPlan?.qps).toBe(20);
  });

  it('is production with both addresses and a key, and then has no default plan', () => {
    const config = parseEnvironment(PRODUCTION, { embedded: false });
    expect(config.mode).toBe('production');
    expect(config.defaultPlan).toBeUndefined();
  });

  it('refuses production without a key of its own', () => {
    const { SPARKLE_JWT_KEY: _, ...keyless } = PRODUCTION;
    expect(problemsOf(keyless)).toEqual([expect.stringContaining('SPARKLE_JWT_KEY')]);
  });

  it('refuses one address without the other, and servers without both', () => {
    expect(problemsOf({ DATABASE_URL: PRODUCTION.DATABASE_URL, SPARKLE_JWT_KEY: 'k'.repeat(32) })).toEqual([
      expect.stringContaining('REDIS_URL'),
    ]);
    expect(problemsOf({ REDIS_URL: PRODUCTION.REDIS_URL })).toEqual([
      expect.stringContaining('DATABASE_URL'),
    ]);
    expect(problemsOf({}, false)).toHaveLength(2);
  });

  it('serves gRPC where the application or the environment says so, and not where it is off', () => {
    const portOf = (env: Record<string, string>, defaultGrpcPort?: number) =>
      parseEnvironment(env, { embedded: true, ...(defaultGrpcPort && { defaultGrpcPort }) }).grpcPort;
    expect(portOf({})).toBeUndefined();
    expect(portOf({}, 50_051)).toBe(50_051);
    expect(portOf({ SPARKLE_GRPC_PORT: '0' }, 50_051)).toBe(0);
    expect(portOf({ SPARKLE_GRPC_PORT: 'off' }, 50_051)).toBeUndefined();
    expect(problemsOf({ SPARKLE_GRPC_PORT: 'on' })).toEqual(['SPARKLE_GRPC_PORT: off, or a port']);
  });

  it('takes the origins that may open a WebSocket, without their paths', () => {
    const SPARKLE_WS_ORIGINS = 'https://learn.example/, http://localhost:5173';
    expect(parseEnvironment({ SPARKLE_WS_ORIGINS }, { embedded: true }).webSocket).toEqual({
      origins: ['https://learn.example', 'http://localhost:5173'],
      connectionsPerTenant: 1_000,
    });
    expect(parseEnvironment({}, { embedded: true }).webSocket.origins).toBeUndefined();
    expect(problemsOf({ SPARKLE_WS_ORIGINS: 'learn.example' })).toHaveLength(1);
  });

  it('gives every queue the same load unless some differ', () => {
    const { queues } = parseEnvironment(
      {
        SPARKLE_WORKER_CONCURRENCY: '3',
        SPARKLE_WORKER_QUEUES: '{"ingestion":{"concurrency":8,"perSecond":20},"warmup":{"perSecond":1}}',
      },
      { embedded: true },
    );
    expect(queues).toEqual({
      ingestion: { concurrency: 8, perSecond: 20 },
      summaries: { concurrency: 3 },
      communities: { concurrency: 3 },
      warmup: { concurrency: 3, perSecond: 1 },
      maintenance: { concurrency: 3 },
    });
  });

  it.each([
    '{"ingestion":{"concurrency":0}}',
    '{"ingestion":{"perDay":1}}',
    '{"nonsense":{}}',
    'ingestion=4',
  ])('refuses %s as what differs for some queues, and says what would do', (text) => {
    const problems = problemsOf({ SPARKLE_WORKER_QUEUES: text });
    expect(problems).toEqual([expect.stringMatching(/^SPARKLE_WORKER_QUEUES: JSON such as .*summaries/)]);
  });

  it('names every wrong variable at once and shows no value', () => {
    const problems = problemsOf({
      PORT: 'hidden-port',
      REDIS_URL: 'hidden-address',
      SPARKLE_JWT_KEY: 'hidden-short',
      SPARKLE_DEFAULT_PLAN: '{"qps":"hidden-plan"}',
    }).join('\n');
    for (const name of ['PORT', 'REDIS_URL', 'SPARKLE_JWT_KEY', 'SPARKLE_DEFAULT_PLAN'])
      expect(problems).toContain(name);
    expect(problems).not.toContain('hidden');
  });

  it('takes empty variables for absent ones', () => {
    expect(parseEnvironment({ PORT: '', DATABASE_URL: '' }, { embedded: true }).port).toBe(3000);
  });

  it('reads a plan and fills in what it leaves out', () => {
    const config = parseEnvironment({ SPARKLE_DEFAULT_PLAN: '{"qps":2,"burst":3}' }, { embedded: true });
    expect(config.defaultPlan).toMatchObject({ qps: 2, burst: 3, permits: 8 });
  });

  it('needs address and model of a remote model together', () => {
    expect(problemsOf({ SPARKLE_CHAT_MODEL: 'qwen-plus' })).toEqual([
      expect.stringContaining('SPARKLE_CHAT_BASE_URL'),
    ]);
    expect(problemsOf({ SPARKLE_EMBEDDING_DIMENSIONS: '1024' })).toEqual([
      expect.stringContaining('SPARKLE_EMBEDDING_DIMENSIONS'),
    ]);
  });

  it('takes several addresses for a Redis Cluster only; a comma elsewhere is a part of the address', () => {
    const cluster = 'redis://:secret@one:6379,redis://:secret@two:6379';
    const base = { SPARKLE_JWT_KEY: 'a-key-that-is-long-enough-for-hmac-sha-256' };
    const databaseUrl = 'postgres://app:pass,word@host/app';
    expect(
      parseEnvironment({ ...base, DATABASE_URL: databaseUrl, REDIS_URL: cluster }, { embedded: false }),
    ).toMatchObject({ databaseUrl, redisUrl: cluster });
    expect(() =>
      parseEnvironment(
        { ...base, DATABASE_URL: databaseUrl, REDIS_URL: 'redis://one,http://two' },
        { embedded: false },
      ),
    ).toThrow(/REDIS_URL: an address starting with/);
  });
});
