import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const COMMAND = fileURLToPath(new URL('../dist/cli/tenant.js', import.meta.url));

describe('npm run tenant', () => {
  let database: TestDatabase;
  const name = `t${randomBytes(6).toString('hex')}`;
  const secret = randomBytes(32).toString('hex');

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(async () => {
    await tenant(['set', name, '--resources', 'none']);
    await database.drop();
  });

  function tenant(
    words: readonly string[],
    env: Record<string, string> = { SPARKLE_TENANT_ROLE_SECRET: secret },
  ): Promise<{ status: number; out: string; problem: string }> {
    const settings = {
      PATH: process.env.PATH ?? '',
      DATABASE_URL: database.url,
      REDIS_URL: process.env.TEST_REDIS_URL!,
      SPARKLE_JWT_KEY: secret,
      ...env,
    };
    return new Promise((resolve) => {
      execFile(process.execPath, [COMMAND, ...words], { env: settings }, (error, out, problem) =>
        resolve({ status: error ? Number(error.code) : 0, out, problem }),
      );
    });
  }

  async function listed(): Promise<unknown> {
    const { out } = await tenant(['list']);
    return JSON.parse(
      out
        .trim()
        .split('\n')
        .find((line) => line.includes(name)) ?? 'null',
    );
  }

  it('gives a tenant a share of the database, changes it and takes it away', async () => {
    expect(await tenant(['set', name, '--resources', '{"connections":3}'])).toMatchObject({ status: 0 });
    expect(await listed()).toMatchObject({ id: name, resources: { connections: 3, workMemKb: 4096 } });
    await tenant(['set', name, '--resources', '{"connections":7,"workMemKb":1024}', '--status', 'suspended']);
    expect(await listed()).toMatchObject({
      status: 'suspended',
      resources: { connections: 7, workMemKb: 1024 },
    });
    await tenant(['set', name, '--resources', 'none']);
    expect(await listed()).toMatchObject({ id: name, resources: null });
  });

  it('names what is wrong with a share, and changes nothing', async () => {
    expect(await tenant(['set', name, '--resources', '{"connections":0,"cpu":1}'])).toMatchObject({
      status: 1,
      problem: expect.stringMatching(/connections: .*cpu/s),
    });
    expect(await tenant(['set', name, '--resources', 'three'])).toMatchObject({
      status: 2,
      problem: expect.stringContaining('--resources is not JSON'),
    });
    expect(await tenant(['set', name, '--resources', '{}'], {})).toMatchObject({
      status: 2,
      problem: expect.stringContaining('SPARKLE_TENANT_ROLE_SECRET'),
    });
    expect(await listed()).toMatchObject({ resources: null });
  });
});
