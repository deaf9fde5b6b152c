import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ThrottlerStorageService } from '@nestjs/throttler';
import type { Report } from '../report.js';
import { connect, limiterOn, PEER, peerOn, peerUnion, THROTTLER, tenantId, windowOf } from './workload.js';

const LIMIT = 100;
/** rate-limiter-flexible counts in whole seconds. */
const WINDOW_MS = 1000;
/** Admissions are counted over less than a window: an answer's way back must not accuse anybody. */
const COUNTED_MS = 950;
const ATTACKS = 3;
const REJECTED = 1000;

/** Says whether one more request of this caller is admitted. */
type Ask = (key: string) => Promise<boolean>;

/** Limits under attack: at the edge of their windows, and where the last of three refuses. */
export async function measureExactness(report: Report, url: string): Promise<void> {
  const redis = await connect(url);
  const throttler = new ThrottlerStorageService();
  try {
    const limiter = limiterOn(redis);
    const peer = peerOn(redis, `edge-${randomUUID()}`, LIMIT, WINDOW_MS / 1000);
    const sparkle: Ask = async (key) => {
      const dimensions = [windowOf('edge', key, LIMIT, WINDOW_MS)];
      return (await limiter.consume({ tenantId, dimensions })).admitted;
    };
    const flexible: Ask = (key) =>
      peer.consume(key).then(
        () => true,
        (refusal: unknown) => {
          if (refusal instanceof Error) throw refusal;
          return false;
        },
      );
    const nest: Ask = async (key) =>
      !(await throttler.increment(key, WINDOW_MS, LIMIT, WINDOW_MS, 'edge')).isBlocked;
    report.add('window_max_admitted', LIMIT, 'requests', { system: 'limit' });
    for (const [system, ask] of [
      ['sparkle', sparkle],
      [PEER, flexible],
      [THROTTLER, nest],
    ] as const) {
      const options = { system, baseline: 'window_max_admitted@limit' };
      report.add('window_max_admitted', await worstOf(ask), 'requests', options);
    }
    report.note(
      `window_max_admitted: a limit of ${LIMIT} per second attacked at the end of its window, most admitted within ` +
        `${COUNTED_MS} ms, worst of ${ATTACKS} attacks; ${THROTTLER} in memory.`,
    );

    report.add('tokens_burned_on_reject', await burnedBySparkle(), 'units');
    report.add('tokens_burned_on_reject', await burnedByPeer(), 'units', { system: PEER });
    report.add('tokens_burned_on_reject', await burnedByThrottler(), 'units', { system: THROTTLER });
    report.note(
      `tokens_burned_on_reject: what the first two of three limits lost to ${REJECTED} requests that the third one ` +
        `refused. ${THROTTLER} checks its throttlers one after the other, as its guard does.`,
    );

    async function burnedBySparkle(): Promise<number> {
      const request = {
        tenantId,
        dimensions: ['first', 'second', 'last'].map((name) =>
          windowOf(name, randomUUID(), name === 'last' ? 1 : 1_000_000, 3_600_000),
        ),
      };
      const left = async () => {
        const { dimensions } = await limiter.peek(request);
        return dimensions[0]!.remaining + dimensions[1]!.remaining;
      };
      await limiter.consume(request);
      const before = await left();
      for (let i = 0; i < REJECTED; i += 1)
        if ((await limiter.consume(request)).admitted) throw new Error('not exhausted');
      return before - (await left());
    }

    async function burnedByPeer(): Promise<number> {
      const { limiters, union } = peerUnion(redis, 3600, 1_000_000, 1_000_000, 1);
      const used = async () => {
        const states = await Promise.all(limiters.slice(0, 2).map((each) => each.get('key')));
        return states.reduce((sum, state) => sum + (state?.consumedPoints ?? 0), 0);
      };
      await union.consume('key');
      const before = await used();
      for (let i = 0; i < REJECTED; i += 1) {
        const admitted = await union.consume('key').then(
          () => true,
          () => false,
        );
        if (admitted) throw new Error('not exhausted');
      }
      return (await used()) - before;
    }

    async function burnedByThrottler(): Promise<number> {
      const limits = [1_000_000, 1_000_000, 1];
      const attempt = async () => {
        const hits: number[] = [];
        for (const [at, limit] of limits.entries()) {
          const hit = await throttler.increment(`burn-${at}`, 3_600_000, limit, 3_600_000, `burn-${at}`);
          if (hit.isBlocked) break;
          hits.push(hit.totalHits);
        }
        return hits;
      };
      const [first = 0, second = 0] = await attempt();
      let last: number[] = [];
      for (let i = 0; i < REJECTED; i += 1) last = await attempt();
      return (last[0] ?? 0) + (last[1] ?? 0) - first - second;
    }
  } finally {
    throttler.onApplicationShutdown();
    redis.disconnect();
  }
}

async function worstOf(ask: Ask): Promise<number> {
  let worst = 0;
  for (let i = 0; i < ATTACKS; i += 1) worst = Math.max(worst, await attack(ask, randomUUID()));
  return worst;
}

/**
 * One request opens a window; the rest of the limit follows just before its end, and as much as is admitted just
 * after it.
 */
async function attack(ask: Ask, key: string): Promise<number> {
  const admittedAt: number[] = [];
  const startedAt = performance.now();
  const elapsed = () => performance.now() - startedAt;
  const send = async (count: number) => {
    const answers = await Promise.all(Array.from({ length: count }, () => ask(key)));
    for (const admitted of answers) if (admitted) admittedAt.push(elapsed());
  };
  await send(1);
  await sleep(WINDOW_MS - 40 - elapsed());
  await send(LIMIT - 1);
  while (elapsed() < WINDOW_MS + 60) {
    await send(20);
    await sleep(1);
  }
  return Math.max(
    ...admittedAt.map((end) => admittedAt.filter((at) => at <= end && at > end - COUNTED_MS).length),
  );
}
