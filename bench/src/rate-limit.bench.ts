import { randomUUID } from 'node:crypto';
import {
  MemoryRateLimitStore,
  type RateLimitDimension,
  RateLimiter,
  type RateLimitStore,
  RedisRateLimitStore,
  RedisScripts,
} from '@sparkle/concurrency';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { Redis } from 'ioredis';
import { inFlight, interleaved, median, perSecond } from './interleaved.js';
import { Report } from './report.js';

const USERS = 1_000;
const MEMORY_CALLS = 50_000;
const REDIS_CALLS = 10_000;
const IN_FLIGHT = 64;
const ROUNDS = 11;
/** High enough that nothing is refused while the benchmark runs. */
const LIMIT = 100_000_000;
const WINDOW_MS = 3_600_000;

const clock = new SystemClock();
const tenantId = parseTenantId(`bench-${randomUUID()}`);
const userAt = (index: number) => `user-${index % USERS}`;

function hourly(name: string, key: string): RateLimitDimension {
  return { name, key, rule: { algorithm: 'sliding-window', limit: LIMIT, windowMs: WINDOW_MS } };
}

const one = (index: number) => [hourly('user', userAt(index))];
const three = (index: number) => [...one(index), hourly('action', 'answers'), hourly('tenant', 'tenant')];

/** Consumes from the store alone: an outage policy that stepped in would be measured instead of it. */
function consuming(store: RateLimitStore, dimensionsOf: (index: number) => RateLimitDimension[]) {
  const limiter = new RateLimiter(store, store, clock, { name: 'bench', outagePolicy: 'closed' });
  return async (index: number) => {
    const { admitted } = await limiter.consume({ tenantId, dimensions: dimensionsOf(index) });
    if (!admitted) throw new Error('a limit was reached: the benchmark would measure refusals');
  };
}

async function measureMemory(report: Report): Promise<void> {
  const store = new MemoryRateLimitStore(clock);
  const [consumeOne, consumeThree] = [consuming(store, one), consuming(store, three)];
  const counters = new Map<string, number>();
  const figures = await interleaved(
    {
      map_counter: perSecond(MEMORY_CALLS, async (calls) => {
        for (let index = 0; index < calls; index += 1) {
          const count = (counters.get(userAt(index)) ?? 0) + 1;
          if (count <= LIMIT) await counters.set(userAt(index), count);
        }
      }),
      memory_consume: perSecond(MEMORY_CALLS, async (calls) => {
        for (let index = 0; index < calls; index += 1) await consumeOne(index);
      }),
      memory_consume_union3: perSecond(MEMORY_CALLS, async (calls) => {
        for (let index = 0; index < calls; index += 1) await consumeThree(index);
      }),
    },
    { rounds: ROUNDS },
  );
  report.add('map_counter', median(figures.map_counter), 'calls/s');
  report.add('memory_consume', median(figures.memory_consume), 'calls/s', { baseline: 'map_counter' });
  report.add('memory_consume_union3', median(figures.memory_consume_union3), 'calls/s', {
    baseline: 'map_counter',
  });
}

async function measureRedis(report: Report, url: string): Promise<void> {
  const redis = new Redis(url, { enableOfflineQueue: false, maxRetriesPerRequest: 1, lazyConnect: true });
  await redis.connect();
  try {
    const store = new RedisRateLimitStore(new RedisScripts(redis, clock, 5_000), 'sparkle-bench');
    const script = "local n = redis.call('INCR', KEYS[1]) redis.call('PEXPIRE', KEYS[1], ARGV[1]) return n";
    const digest = (await redis.script('LOAD', script)) as string;
    const counter = (index: number) => `sparkle-bench:{${tenantId}}:raw:${userAt(index)}`;
    const figures = await interleaved(
      {
        evalsha_64: inFlight(IN_FLIGHT, REDIS_CALLS, (index) =>
          redis.evalsha(digest, 1, counter(index), WINDOW_MS),
        ),
        consume_64: inFlight(IN_FLIGHT, REDIS_CALLS, consuming(store, one)),
        consume_union3_64: inFlight(IN_FLIGHT, REDIS_CALLS, consuming(store, three)),
      },
      { rounds: ROUNDS },
    );
    report.add('evalsha_64', median(figures.evalsha_64), 'calls/s');
    report.add('consume_64', median(figures.consume_64), 'calls/s', { baseline: 'evalsha_64' });
    report.add('consume_union3_64', median(figures.consume_union3_64), 'calls/s', { baseline: 'evalsha_64' });
    for (let user = 0; user < USERS; user += 1) {
      await redis.del(counter(user));
      await store.reset({ tenantId, limiter: 'bench', cost: 1, dimensions: three(user) });
    }
  } finally {
    redis.disconnect();
  }
}

const report = new Report('rate-limit');
await measureMemory(report);
const url = process.env.TEST_REDIS_URL;
if (url) await measureRedis(report, url);
else process.stderr.write('bench: TEST_REDIS_URL is not set; only the memory adapter is measured\n');
process.stdout.write(report.render(process.argv));
