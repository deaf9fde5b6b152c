import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { parseTenantId } from '@sparkle/contracts';
import { RedisServer } from '@sparkle/contracts/testing';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { JobQueues, redisQueueBackend } from '@sparkle/runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const COMMAND = fileURLToPath(new URL('../dist/cli/jobs.js', import.meta.url));

describe('npm run jobs', () => {
  let database: TestDatabase;
  let redis: RedisServer;
  const failed: Record<string, string> = {};

  beforeAll(async () => {
    database = await createTestDatabase();
    redis = await RedisServer.start();
    const queues = new JobQueues(redisQueueBackend(redis.url), { attempts: 1 });
    for (const tenant of ['acme', 'other']) {
      const tenantId = parseTenantId(tenant);
      const conversationId = randomUUID();
      failed[tenant] = `${tenant}-${conversationId}-20`;
      await queues.add('summaries', failed[tenant], { tenantId, conversationId, upToSeq: 20 });
    }
    await new Promise<void>((resolve) => {
      let left = 2;
      queues
        .startWorker('summaries', () => Promise.reject(new Error('no model answers\nat all')), {
          concurrency: 1,
        })
        .on('failed', () => {
          left -= 1;
          if (left === 0) resolve();
        });
    });
    await queues.onApplicationShutdown();
  });

  afterAll(async () => {
    await redis?.stop();
    await database?.drop();
  });

  function jobs(...words: string[]): Promise<{ status: number; out: string; problem: string }> {
    const env = {
      PATH: process.env.PATH ?? '',
      DATABASE_URL: database.url,
      REDIS_URL: redis.url,
      SPARKLE_JWT_KEY: randomBytes(32).toString('hex'),
    };
    return new Promise((resolve) => {
      execFile(process.execPath, [COMMAND, ...words], { env }, (error, out, problem) =>
        resolve({ status: error ? Number(error.code) : 0, out, problem }),
      );
    });
  }

  it('lists, shows, replays and discards what was given up, of any tenant', async () => {
    const all = await jobs('list', '--json');
    expect(
      all.out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).tenantId)
        .sort(),
    ).toEqual(['acme', 'other']);
    const mine = await jobs('list', '--tenant', 'acme', '--queue', 'summaries');
    expect(mine.out).toContain(failed.acme);
    expect(mine.out.trim().split('\n')).toHaveLength(1);
    const shown = await jobs('show', 'summaries', failed.acme!, '--json');
    expect(JSON.parse(shown.out)).toMatchObject({ id: failed.acme, reason: 'no model answers\nat all' });
    expect(await jobs('replay', 'summaries', failed.acme!)).toMatchObject({ status: 0, out: 'replayed\n' });
    expect(await jobs('replay', 'summaries', failed.acme!)).toMatchObject({ status: 0, out: 'running\n' });
    expect(await jobs('discard', '--all', '--tenant', 'other')).toMatchObject({ out: '1 discarded\n' });
    expect(await jobs('list')).toMatchObject({ status: 0, out: '' });
  });

  it.each([
    [['show', 'summaries', 'unknown'], 1, 'There is no such dead letter.'],
    [['list', '--queue', 'nonsense'], 2, 'there is no queue "nonsense"'],
    [['list', '--tenant', 'No Tenant'], 1, 'A tenant name is'],
    [['list', '--limit', '0'], 2, '--limit is a whole number above 0'],
    [['replay'], 2, 'usage: npm run --silent jobs'],
    [['explode'], 2, 'usage: npm run --silent jobs'],
  ])('says what is wrong with %j', async (words, status, problem) => {
    expect(await jobs(...words)).toMatchObject({ status, problem: expect.stringContaining(problem) });
  });
});
