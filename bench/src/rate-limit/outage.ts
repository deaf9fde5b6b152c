import { setTimeout as sleep } from 'node:timers/promises';
import { MemoryRateLimitStore, RateLimiter, RedisRateLimitStore, RedisScripts } from '@sparkle/concurrency';
import type { RedisServer } from '@sparkle/contracts/testing';
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible';
import { percentile } from '../interleaved.js';
import type { Report } from '../report.js';
import { clock, connect, PEER, tenantId, windowOf } from './workload.js';

const CALLS = 20;
const EVERY_MS = 25;
/** So that the benchmark ends. */
const CAP_MS = 10_000;
/** The default of `limitBudgetMs`. */
const BUDGET_MS = 40;

/** How long a decision takes while Redis keeps its connections open and answers nothing. */
export async function measureOutage(report: Report, server: RedisServer): Promise<void> {
  const redis = await connect(server.url);
  const limiter = new RateLimiter(
    new RedisRateLimitStore(new RedisScripts(redis, clock, BUDGET_MS), 'outage'),
    new MemoryRateLimitStore(clock),
    clock,
    { name: 'outage', outagePolicy: 'local' },
  );
  const dimensions = [windowOf('user', 'u', 1_000_000, 3_600_000)];
  const peer = new RateLimiterRedis({
    storeClient: redis,
    points: 1_000_000,
    duration: 3600,
    rejectIfRedisNotReady: true,
    insuranceLimiter: new RateLimiterMemory({ points: 1_000_000, duration: 3600 }),
  });
  try {
    const systems = {
      sparkle: () => limiter.consume({ tenantId, dimensions }),
      [PEER]: () => peer.consume('u'),
    };
    for (const [system, decide] of Object.entries(systems)) {
      await decide();
      server.stall();
      const times = await decisions(decide);
      server.resume();
      await redis.ping();
      report.add('outage_decision_ms', Math.max(...times), 'ms', { system });
      report.add('outage_decision_p99_ms', percentile(times, 0.99), 'ms', { system });
    }
    report.note(
      `outage_decision_ms: the longest of ${CALLS} decisions, one every ${EVERY_MS} ms, on a frozen Redis, capped at ` +
        `${CAP_MS} ms; sparkle with its policy "local" and its default budget of ${BUDGET_MS} ms, ${PEER} with ` +
        'rejectIfRedisNotReady and an insurance limiter in memory, which a connection that stays open does not wake.',
    );
  } finally {
    redis.disconnect();
  }
}

async function decisions(decide: () => Promise<unknown>): Promise<number[]> {
  const running: Promise<number>[] = [];
  for (let i = 0; i < CALLS; i += 1) {
    const startedAt = performance.now();
    const decided = decide().then(
      () => performance.now() - startedAt,
      () => performance.now() - startedAt,
    );
    running.push(Promise.race([decided, sleep(CAP_MS, CAP_MS, { ref: false })]));
    await sleep(EVERY_MS);
  }
  return Promise.all(running);
}
