import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { Redis } from 'ioredis';
import { RedisPermitStore } from '../src/adapters/redis/redis-permit.store.js';
import { RedisScripts } from '../src/adapters/redis/redis-scripts.js';
import { Semaphores } from '../src/core/semaphores.js';

/** Holds permits, and waits for more than there are, until it is killed. Prints a line per permit it holds. */
const [url, prefix, permits, leaseMs] = process.argv.slice(2) as [string, string, string, string];
const clock = new SystemClock();
const store = new RedisPermitStore(new RedisScripts(new Redis(url), clock, 5000), new Redis(url), prefix);
const semaphores = new Semaphores(store, clock, {
  leaseMs: Number(leaseMs),
  timeoutMs: 600_000,
  maxWaiting: 1000,
});
const semaphore = semaphores.semaphore({ name: 'work', permits: Number(permits) });
const tenantId = parseTenantId('acme');

for (let i = 0; i < Number(permits) + 2; i++) {
  void semaphore.acquire({ tenantId }).then((permit) => {
    process.stdout.write(`held ${permit.fencingToken}\n`);
  });
}
