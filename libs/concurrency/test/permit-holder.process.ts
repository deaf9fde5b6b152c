import { openSync, writeSync } from 'node:fs';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { Redis } from 'ioredis';
import { RedisPermitStore } from '../src/adapters/redis/redis-permit.store.js';
import { RedisScripts } from '../src/adapters/redis/redis-scripts.js';
import type { Permit } from '../src/core/permit.js';
import { Semaphores } from '../src/core/semaphores.js';
import type { Grant } from '../src/ports/permit-store.port.js';
import type { HolderOrders } from './semaphore-holders.js';

/**
 * Takes permits, holds each for a while and gives it back, until it is killed. Before it acts on a permit it
 * asserts that it holds it, and writes so into the log, with the server's time.
 */
const orders = JSON.parse(process.argv[2]!) as HolderOrders;
const realNow = Date.now;
Date.now = () => realNow() + orders.skewMs;

const clock = new SystemClock();
const connect = () => {
  const connection = new Redis(orders.url, { retryStrategy: () => 20, maxRetriesPerRequest: 3 });
  connection.on('error', () => {});
  return connection;
};
const client = connect();
const store = new RedisPermitStore(new RedisScripts(client, clock, 1000), connect(), orders.prefix, {
  durable: orders.durable,
});
const semaphores = new Semaphores(store, clock, {
  leaseMs: orders.leaseMs,
  timeoutMs: 600_000,
  maxWaiting: 1000,
});
const pools = orders.permits.map((permits, index) => semaphores.semaphore({ name: `s${index}`, permits }));
const tenantId = parseTenantId('acme');
const log = openSync(orders.log, 'a');

async function serverMicros(): Promise<number> {
  const [seconds, micros] = await client.time();
  return Number(seconds) * 1_000_000 + Number(micros);
}

/** The line break comes first: a process that is killed may leave a torn line behind. */
function writeLine(line: object): void {
  writeSync(log, `\n${JSON.stringify(line)}`);
}

/** Says that the permit is held at a server time that has passed already. */
function write(what: 'holds' | 'ends', pool: number, permit: Permit, at: number): void {
  permit.assertHeld();
  const { expiresAtMs } = Reflect.get(permit, 'grant') as Grant;
  const line = { what, pid: process.pid, pool, token: permit.fencingToken, at, lease: expiresAtMs * 1000 };
  writeLine(line);
}

async function hold(pool: number): Promise<void> {
  const permit = await pools[pool]!.acquire({ tenantId });
  permit.signal.addEventListener('abort', () => {
    writeLine({ what: 'lost', pid: process.pid, pool, token: permit.fencingToken });
  });
  try {
    write('holds', pool, permit, await serverMicros());
    process.stdout.write('holding\n');
    const steps = Math.random() < 0.1 ? 12 : 1;
    for (let step = 0; step < steps; step++) {
      await clock.sleep(Math.random() * orders.stepMs);
      write('holds', pool, permit, await serverMicros());
    }
    write('ends', pool, permit, await serverMicros());
  } finally {
    await permit.release();
  }
}

async function work(): Promise<never> {
  for (;;) {
    // Lost permits and an unreachable server: neither may stop the holder.
    await hold(Math.floor(Math.random() * pools.length)).catch(() => clock.sleep(20));
  }
}

setInterval(() => {}, 60_000);
for (let lane = 0; lane < orders.lanes; lane++) void work();
