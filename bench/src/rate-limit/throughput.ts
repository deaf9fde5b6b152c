import { ThrottlerStorageService } from '@nestjs/throttler';
import {
  LeasedRateLimitStore,
  MemoryRateLimitStore,
  RateLimiter,
  RedisRateLimitStore,
  RedisScripts,
} from '@sparkle/concurrency';
import { type Case, inFlight, interleaved, median, perSecond } from '../interleaved.js';
import type { Report } from '../report.js';
import {
  clock,
  connect,
  limiterOn,
  PEER,
  peerOn,
  peerUnion,
  THROTTLER,
  tenantId,
  windowOf,
} from './workload.js';

const USERS = 1_000;
const CALLS = 5_000;
const LOCAL_CALLS = 25_000;
const IN_FLIGHT = 64;
/** Many short rounds: whatever else the machine does weighs on every case alike. */
const ROUNDS = 31;
/** High enough that nothing is refused while the benchmark runs. */
const LIMIT = 100_000_000;
const WINDOW_MS = 3_600_000;
/** Each request's own work without limits, as small as a script can be. */
const SMALLEST_SCRIPT =
  "local n = redis.call('INCR', KEYS[1]) redis.call('PEXPIRE', KEYS[1], ARGV[1]) return n";

const userAt = (index: number) => `user-${index % USERS}`;
const hourly = (name: string, key: string) => windowOf(name, key, LIMIT, WINDOW_MS);
const one = (index: number) => [hourly('user', userAt(index))];
const three = (index: number) => [...one(index), hourly('action', 'answers'), hourly('tenant', 'tenant')];

function consuming(limiter: RateLimiter, dimensionsOf: typeof one) {
  return async (index: number) => {
    const { admitted } = await limiter.consume({ tenantId, dimensions: dimensionsOf(index) });
    if (!admitted) throw new Error('a limit was reached: the benchmark would measure refusals');
  };
}

/** Decisions per second with 64 in flight on one connection. */
export async function measureThroughput(report: Report, url: string): Promise<void> {
  const redis = await connect(url);
  try {
    const digest = (await redis.script('LOAD', SMALLEST_SCRIPT)) as string;
    const limiter = limiterOn(redis);
    const store = new RedisRateLimitStore(new RedisScripts(redis, clock, 5000), 'sparkle-leased');
    const leased = new LeasedRateLimitStore(store, clock);
    const local = new RateLimiter(leased, leased, clock, { name: 'bench', outagePolicy: 'closed' });
    const peer = peerOn(redis, 'peer', LIMIT, WINDOW_MS / 1000);
    const { union } = peerUnion(redis, WINDOW_MS / 1000, LIMIT, LIMIT, LIMIT);
    const wide = (call: (index: number) => Promise<unknown>, calls = CALLS): Case =>
      inFlight(IN_FLIGHT, calls, call);
    const figures = await interleaved(
      {
        evalsha: wide((index) =>
          redis.evalsha(digest, 1, `sparkle-bench:{${tenantId}}:raw:${userAt(index)}`, WINDOW_MS),
        ),
        consume: wide(consuming(limiter, one)),
        peer: wide((index) => peer.consume(userAt(index))),
        union3: wide(consuming(limiter, three)),
        peerUnion3: wide((index) => union.consume(userAt(index))),
        local: wide(consuming(local, one), LOCAL_CALLS),
      },
      { rounds: ROUNDS, warmup: 4 },
    );
    const unit = 'calls/s';
    report.add('evalsha_64', median(figures.evalsha), unit, { system: 'ioredis' });
    report.add('consume_64', median(figures.consume), unit, { baseline: 'evalsha_64' });
    report.add('consume_64', median(figures.peer), unit, { system: PEER, baseline: 'evalsha_64' });
    report.add('consume_union3_64', median(figures.peerUnion3), unit, { system: PEER });
    report.add('consume_union3_64', median(figures.union3), unit, { baseline: `consume_union3_64@${PEER}` });
    report.add('local_quota_ops', median(figures.local), unit, { baseline: 'consume_64@sparkle' });
    report.note(
      `consume_union3_64: user, action and tenant; ${PEER}'s RateLimiterUnion has one key for all three, sends ` +
        'three commands and keeps what the others consumed when one refuses.',
    );
    report.note('local_quota_ops: limits leased from Redis by the twentieth, decided in the process.');
  } finally {
    redis.disconnect();
  }
}

/** Counting in one process: the only store that @nestjs/throttler ships. */
export async function measureMemory(report: Report): Promise<void> {
  const store = new MemoryRateLimitStore(clock);
  const consume = consuming(
    new RateLimiter(store, store, clock, { name: 'bench', outagePolicy: 'closed' }),
    one,
  );
  const counters = new Map<string, number>();
  const throttler = new ThrottlerStorageService();
  const figures = await interleaved(
    {
      map: perSecond(LOCAL_CALLS, async (calls) => {
        for (let index = 0; index < calls; index += 1) {
          const count = (counters.get(userAt(index)) ?? 0) + 1;
          if (count <= LIMIT) await counters.set(userAt(index), count);
        }
      }),
      memory: perSecond(LOCAL_CALLS, async (calls) => {
        for (let index = 0; index < calls; index += 1) await consume(index);
      }),
      throttler: perSecond(LOCAL_CALLS / 25, async (calls) => {
        for (let index = 0; index < calls; index += 1)
          await throttler.increment(userAt(index), WINDOW_MS, LIMIT, 0, 'bench');
      }),
    },
    { rounds: ROUNDS, warmup: 4 },
  );
  throttler.onApplicationShutdown();
  report.add('memory_consume', median(figures.map), 'calls/s', { system: 'map' });
  report.add('memory_consume', median(figures.memory), 'calls/s', { baseline: 'memory_consume@map' });
  report.add('memory_consume', median(figures.throttler), 'calls/s', {
    system: THROTTLER,
    baseline: 'memory_consume@map',
  });
  report.note(
    `${THROTTLER} ships a store in memory only, so it has no figures through Redis; memory_consume compares its bare count with whole decisions.`,
  );
}
