import { randomBytes } from 'node:crypto';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, ingest, RunningApp, tokenOf } from './running-app.js';

const KEY = randomBytes(32).toString('hex');

describe('two api and two worker processes on PostgreSQL and Redis', () => {
  let database: TestDatabase;
  let apis: RunningApp[];
  let workers: RunningApp[];
  const tenant = `t${randomBytes(6).toString('hex')}`;
  let token: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    const env = {
      DATABASE_URL: database.url,
      REDIS_URL: process.env.TEST_REDIS_URL!,
      // Nobody restarts it while these tests run: permits need not wait for it to have been up for a lease.
      SPARKLE_REDIS_DURABLE: 'true',
      SPARKLE_JWT_KEY: KEY,
      SPARKLE_DEFAULT_PLAN: '{"qps":5,"burst":60}',
    };
    [apis, workers] = await Promise.all([
      Promise.all([RunningApp.start('api', env), RunningApp.start('api', env)]),
      Promise.all([RunningApp.start('worker', env), RunningApp.start('worker', env)]),
    ]);
    token = await tokenOf(KEY, tenant, 'alice');
  });

  afterAll(async () => {
    const stopped = await Promise.all([...(apis ?? []), ...(workers ?? [])].map((app) => app.stop()));
    await database?.drop();
    expect(stopped).toEqual([0, 0, 0, 0]);
  });

  it('share documents, graph and cached answers', async () => {
    await ingest(
      apis[0]!,
      token,
      'Harbour',
      '# Port Ellery\n\nPort Ellery is a harbour town. It was founded in 1702 by Captain Rosa Lind.',
    );
    const ask = (app: RunningApp) =>
      app.send('/v1/answers', { token, json: { question: 'Who founded Port Ellery?' } });
    const first = await ask(apis[0]!);
    expect(first.body.answer).toContain('Rosa Lind');
    expect(first.body.cache).toBe('miss');
    const second = await ask(apis[1]!);
    expect(second.body.cache).toBe('exact');
    expect(second.body.answer).toBe(first.body.answer);
    const paraphrase = await apis[1]!.send('/v1/answers', {
      token,
      json: { question: 'Please tell me who founded Port Ellery' },
    });
    expect(paraphrase.body.cache).toBe('semantic');
  });

  it('summarise a long conversation in a worker', async () => {
    const bob = await tokenOf(KEY, `${tenant}-talk`, 'bob');
    const { body: conversation } = await apis[0]!.send('/v1/conversations', { token: bob, json: {} });
    const path = `/v1/conversations/${conversation.id}/messages`;
    for (let turn = 0; turn < 13; turn++) {
      const reply = await apis[turn % 2]!.send(path, {
        token: bob,
        json: { content: `My lucky number is ${turn}.` },
      });
      expect(reply.status).toBe(201);
    }
    await eventually(
      () => apis[1]!.send(`/v1/conversations/${conversation.id}`, { token: bob }),
      (reply) => reply.body.summarisedTo > 0 || reply.status === 429,
    );
  });

  it('hold one rate limit together', async () => {
    const flood = await tokenOf(KEY, `${tenant}-flood`, 'eve');
    const replies = await Promise.all(
      Array.from({ length: 160 }, (_, index) => apis[index % 2]!.send('/v1/documents', { token: flood })),
    );
    const admitted = replies.filter((reply) => reply.status === 200).length;
    expect(admitted).toBeGreaterThanOrEqual(60);
    expect(replies.filter((reply) => reply.status === 429).length).toBeGreaterThan(0);
    const limited = replies.find((reply) => reply.status === 429);
    expect(Number(limited?.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  });

  it('see nothing of another tenant', async () => {
    const stranger = await tokenOf(KEY, `${tenant}-stranger`, 'mallory');
    const { body } = await apis[0]!.send('/v1/answers', {
      token: stranger,
      json: { question: 'Who founded Port Ellery?' },
    });
    expect(body.cache).toBe('miss');
    expect(body.supported).toBe(false);
  });
});
