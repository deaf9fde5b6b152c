import { openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HolderOrders } from './crew.js';
import { connect, SYSTEMS } from './systems.js';

/** Takes permits, holds each for a moment and gives it back, until it is killed, and logs when it held one. */
const orders = JSON.parse(process.argv[2]!) as HolderOrders;
const realNow = Date.now;
Date.now = () => realNow() + orders.skewMs;

const system = SYSTEMS[orders.system].open(orders);
const probe = connect(orders.url);
const log = openSync(orders.log, 'a');
let holds = 0;

async function serverMs(): Promise<number> {
  const [seconds, micros] = await probe.time();
  return Number(seconds) * 1000 + Number(micros) / 1000;
}

async function hold(pool: number): Promise<void> {
  const askedAtMs = await serverMs();
  await system.withPermit(`s${pool}`, orders.permits[pool]!, 'acme', async (held) => {
    const hold = `${process.pid}:${++holds}`;
    const leaseEndsMs = held.leaseEndsMs ?? askedAtMs + orders.leaseMs;
    const write = (at: number, ends: boolean) => {
      // The line break comes first: a process that is killed may leave a torn line behind.
      if (held.held) writeSync(log, `\n${JSON.stringify({ hold, pool, at, leaseEndsMs, ends })}`);
    };
    write(await serverMs(), false);
    process.stdout.write('holding\n');
    await sleep(Math.random() * orders.stepMs);
    write(await serverMs(), true);
  });
}

async function work(): Promise<never> {
  for (;;) {
    const pool = Math.floor(Math.random() * orders.permits.length);
    // A lost permit or an unreachable server does not stop the holder.
    await hold(pool).catch(() => sleep(20));
  }
}

process.on('unhandledRejection', () => {});
setInterval(() => {}, 60_000);
for (let lane = 0; lane < orders.lanes; lane++) void work();
