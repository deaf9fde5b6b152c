import { randomBytes } from 'node:crypto';
import { freePort, RedisServer, TcpProxy } from '@sparkle/contracts/testing';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { OpenAiServer } from '@sparkle/llm/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { holding, PrometheusServer } from './prometheus-server.js';
import { type Reply, RunningApp, tokenOf } from './running-app.js';

const KEY = randomBytes(32).toString('hex');
/** A check has 2 s; the rest is for a busy machine. */
const READY_WITHIN_MS = 6_000;

/** What the endpoints of a process said at one moment. */
interface Health {
  readonly live: number;
  readonly ready: number;
  readonly readyMs: number;
  /** Such as `database timeout`. */
  readonly missing: readonly string[];
  readonly score: number;
}

interface Expected {
  /** Dependencies that `ready` of every process is to name; none: all stay ready. */
  readonly missing: readonly string[];
  /** Alerts that are to fire, and to be resolved afterwards. */
  readonly alerts: readonly string[];
}

const seconds = (from: number) => `${((performance.now() - from) / 1000).toFixed(1)} s`;

describe('health while what an application needs is in trouble', { timeout: 120_000 }, () => {
  let database: TestDatabase;
  let postgresProxy: TcpProxy;
  let redis: RedisServer;
  let redisProxy: TcpProxy;
  let model: OpenAiServer;
  let modelProxy: TcpProxy;
  let env: Record<string, string>;
  let workerPort: string;
  let api: RunningApp;
  let worker: RunningApp | undefined;
  let prometheus: PrometheusServer;
  let token: string;
  const table: string[][] = [];

  beforeAll(async () => {
    [database, redis, model] = await Promise.all([
      createTestDatabase(),
      RedisServer.start(),
      OpenAiServer.start(),
    ]);
    [postgresProxy, redisProxy, modelProxy] = await Promise.all([
      TcpProxy.to(database.url),
      TcpProxy.to(redis.url),
      TcpProxy.to(model.baseUrl),
    ]);
    const url = new URL(database.url);
    url.host = `127.0.0.1:${postgresProxy.port}`;
    env = {
      DATABASE_URL: url.href,
      REDIS_URL: redisProxy.redisUrl,
      SPARKLE_REDIS_DURABLE: 'true',
      SPARKLE_JWT_KEY: KEY,
      SPARKLE_LIMIT_USER_PER_HOUR: '100000',
      SPARKLE_DEFAULT_PLAN: '{"qps":1000,"burst":1000,"permits":32}',
      SPARKLE_CHAT_BASE_URL: `http://127.0.0.1:${modelProxy.port}/v1`,
      SPARKLE_CHAT_MODEL: 'stand-in',
    };
    workerPort = String(await freePort());
    [api, worker] = await Promise.all([
      RunningApp.start('api', env),
      RunningApp.start('worker', { ...env, PORT: workerPort }),
    ]);
    prometheus = await PrometheusServer.start({
      'sparkle-api': api.address,
      'sparkle-worker': worker.address,
    });
    token = await tokenOf(KEY, `t${randomBytes(6).toString('hex')}`, 'alice');
    await calm(['SparkleTargetDown', 'SparkleDependencyDown']);
  });

  afterAll(async () => {
    const head = ['fault', 'live', 'ready', 'score', 'alerts', 'ready again', 'alerts resolved'];
    console.info([head, head.map(() => '---'), ...table].map((row) => `| ${row.join(' | ')} |`).join('\n'));
    await prometheus?.stop();
    await Promise.all([api?.stop('SIGKILL'), worker?.stop('SIGKILL')]);
    await Promise.all([postgresProxy?.close(), redisProxy?.close(), modelProxy?.close()]);
    await Promise.all([redis?.stop(), model?.stop()]);
    await database?.drop();
  });

  /** Asks all three endpoints of a process. */
  async function healthOf(app: RunningApp): Promise<Health> {
    const started = performance.now();
    const bounded = async (path: string): Promise<Reply & { ms: number }> => {
      const response = await fetch(app.address + path, { signal: AbortSignal.timeout(READY_WITHIN_MS) });
      const body = await response.json();
      return { status: response.status, headers: response.headers, body, ms: performance.now() - started };
    };
    const [live, ready, performing] = await Promise.all([
      bounded('/health/live'),
      bounded('/health/ready'),
      bounded('/health/performance'),
    ]);
    expect(performing.status).toBe(200);
    const dependencies: { name: string; status: string }[] = ready.body.dependencies;
    return {
      live: live.status,
      ready: ready.status,
      readyMs: ready.ms,
      missing: dependencies
        .filter(({ status }) => status !== 'up')
        .map(({ name, status }) => `${name} ${status}`),
      score: performing.body.own?.score ?? performing.body.score,
    };
  }

  /** Every process is ready and none of `alerts` fires. */
  async function calm(alerts: readonly string[]): Promise<void> {
    await holding(
      async () => (await Promise.all(running().map(healthOf))).every(({ ready }) => ready === 200),
      'every process is ready',
    );
    await holding(
      async () => {
        const firing = await prometheus.firing();
        return !alerts.some((alert) => firing.includes(alert));
      },
      `none of ${alerts.join(', ')} fires`,
    );
  }

  const running = () => [api, worker].filter((app) => app !== undefined);

  /** A turn of a conversation every 300 ms, whatever becomes of it, as long as `during` lasts. */
  async function withTraffic<T>(during: () => Promise<T>): Promise<T> {
    const turns: Promise<unknown>[] = [];
    const turn = async () => {
      const { body } = await api.send('/v1/conversations', { token, json: {} });
      const json = { content: `What is new? ${randomBytes(4).toString('hex')}` };
      await api.send(`/v1/conversations/${body.id}/messages`, { token, json });
    };
    const timer = setInterval(() => {
      if (turns.length < 200) turns.push(turn().catch(() => {}));
    }, 300);
    try {
      return await during();
    } finally {
      clearInterval(timer);
    }
  }

  /** Brings a fault about and takes it back, and writes down who said what, and when. */
  async function row(
    fault: string,
    expected: Expected,
    inject: () => Promise<unknown> | unknown,
    repair: () => Promise<unknown> | unknown,
  ): Promise<void> {
    const seen: Health[] = [];
    const look = async () => {
      const health = await Promise.all(running().map(healthOf));
      seen.push(...health);
      return health;
    };
    const names = ({ missing }: Health) =>
      expected.missing.every((name) => missing.some((each) => each.startsWith(`${name} `)));
    const [readyAt, alertsAt] = await withTraffic(async () => {
      const began = performance.now();
      await inject();
      await holding(
        async () => (await look()).every(names),
        `ready says ${expected.missing.join(', ') || 'ready'}`,
      );
      const readyAt = seconds(began);
      await holding(
        async () => {
          await look();
          const firing = await prometheus.firing();
          return expected.alerts.every((alert) => firing.includes(alert));
        },
        `${expected.alerts.join(', ')} fire`,
      );
      return [readyAt, seconds(began)];
    }).catch(async (error: unknown) => {
      await repair();
      throw new Error(`${fault}: ${JSON.stringify(seen.slice(-2))}`, { cause: error });
    });
    for (const { live, ready, readyMs, missing } of seen) {
      expect(live).toBe(200);
      expect(readyMs).toBeLessThan(READY_WITHIN_MS);
      expect(ready).toBe(missing.length === 0 ? 200 : 503);
    }
    if (expected.missing.length === 0) expect(seen.flatMap(({ missing }) => missing)).toEqual([]);
    const said = [...new Set(seen.flatMap(({ missing }) => missing))].sort();
    const scores = seen.map(({ score }) => score);

    const repaired = performance.now();
    await repair();
    await holding(
      async () => (await Promise.all(running().map(healthOf))).every(({ ready }) => ready === 200),
      'ready again',
    );
    const readyAgain = seconds(repaired);
    await calm(expected.alerts);
    table.push([
      fault,
      '200',
      expected.missing.length === 0 ? '200' : `503 after ${readyAt}: ${said.join(', ')}`,
      String(Math.min(...scores)),
      expected.alerts.length === 0 ? 'none' : `${expected.alerts.join(', ')} (${alertsAt})`,
      readyAgain,
      seconds(repaired),
    ]);
  }

  it('names a database that refuses connections, and is ready again without a restart', () =>
    row(
      'database refuses connections',
      { missing: ['database'], alerts: ['SparkleDependencyDown'] },
      () => postgresProxy.refuse(),
      () => postgresProxy.accept(),
    ));

  it('names a database that does not answer', () =>
    row(
      'database does not answer',
      { missing: ['database'], alerts: ['SparkleDependencyDown'] },
      () => postgresProxy.stall(),
      () => postgresProxy.resume(),
    ));

  it('stays ready with a database that is slow', () =>
    row(
      'database answers 200 ms late',
      { missing: [], alerts: [] },
      () => postgresProxy.delay(200),
      () => postgresProxy.delay(0),
    ));

  it('names Redis, and the queue in it, when it refuses connections', () =>
    row(
      'Redis refuses connections',
      { missing: ['redis', 'queue'], alerts: ['SparkleDependencyDown'] },
      () => redisProxy.refuse(),
      () => redisProxy.accept(),
    ));

  it('names Redis, and the queue in it, when it does not answer', () =>
    row(
      'Redis does not answer',
      { missing: ['redis', 'queue'], alerts: ['SparkleDependencyDown'] },
      () => redisProxy.stall(),
      () => redisProxy.resume(),
    ));

  it('leaves a Redis that is full to the alerts: it answers, and takes nothing', () =>
    row(
      'Redis is full',
      { missing: [], alerts: ['SparkleLimitStoreFailing'] },
      () => redis.command('config', 'set', 'maxmemory', '1'),
      () => redis.command('config', 'set', 'maxmemory', '0'),
    ));

  it('stays ready without its model server, which alerts tell of', () =>
    row(
      'model server refuses connections',
      { missing: [], alerts: ['SparkleModelFailing', 'SparkleModelBreakerOpen'] },
      () => modelProxy.refuse(),
      () => modelProxy.accept(),
    ));

  it('of the API does not depend on the worker, whose absence alerts tell of', () =>
    row(
      'worker is killed',
      { missing: [], alerts: ['SparkleTargetDown'] },
      async () => {
        const killed = worker!;
        worker = undefined;
        await killed.stop('SIGKILL');
      },
      async () => {
        worker = await RunningApp.start('worker', { ...env, PORT: workerPort });
      },
    ));
});
