import { setTimeout as sleep } from 'node:timers/promises';
import { RedisServer } from '@sparkle/contracts/testing';
import { median } from '../interleaved.js';
import type { Report } from '../report.js';
import { TWO_TIER_SYSTEMS, type TwoTierSystem } from './systems.js';

const LOAD_MS = 20;
const FIRST_CALLS = 5;
const STEADY_CALLS = 20;
/** Longer waits count as this long: a system that hangs must not hang the benchmark. */
const CAP_MS = 2_000;
const ROUNDS = 3;

/**
 * What `getOrSet` costs beyond its loader while Redis answers nothing: the first calls, the calls once the cache
 * has learnt of it, and how long after Redis answers again a second process's value is seen. Also the promises
 * rejected meanwhile that nobody could catch: outside of this benchmark each of them ends the process.
 */
export async function measureOutage(report: Report): Promise<void> {
  for (const system of TWO_TIER_SYSTEMS) {
    const figures = { first: [] as number[], steady: [] as number[], recovery: [] as number[] };
    const named = { system: system.system };
    let rejections = 0;
    const count = () => {
      rejections += 1;
    };
    process.on('unhandledRejection', count);
    try {
      for (let round = 0; round < ROUNDS; round += 1) {
        const { first, steady, recovery } = await outageOf(system);
        figures.first.push(first);
        figures.steady.push(steady);
        figures.recovery.push(recovery);
      }
    } finally {
      process.off('unhandledRejection', count);
    }
    report.add('redis_stalled_unhandled_rejections', rejections, 'rejections', named);
    report.add('redis_stalled_get_or_set_extra_ms', median(figures.first), 'ms', named);
    report.add('breaker_open_ms', median(figures.steady), 'ms', named);
    report.add('redis_recovery_ms', median(figures.recovery), 'ms', named);
  }
  report.note(
    `redis_stalled_*: waits are capped at ${CAP_MS} ms. The client that cacheable and cache-manager use has a time budget for ` +
      'commands it has not sent yet, none for those it waits for.',
  );
}

async function outageOf({ open }: TwoTierSystem) {
  const server = await RedisServer.start();
  const [cache, writer] = [
    await open(server.url, { ttlMs: 60_000 }),
    await open(server.url, { ttlMs: 60_000 }),
  ];
  let call = 0;
  const extraMs = async () => {
    let loading = 0;
    const started = performance.now();
    await capped(
      cache.getOrSet(`key-${call++}`, async () => {
        const began = performance.now();
        await sleep(LOAD_MS);
        loading += performance.now() - began;
        return 'value';
      }),
    );
    return performance.now() - started - loading;
  };
  try {
    await extraMs();
    await writer.set('written-before', 'value');
    server.stall();
    const first = await series(FIRST_CALLS, extraMs);
    const steady = await series(STEADY_CALLS, extraMs);
    const resumed = performance.now();
    server.resume();
    while (performance.now() - resumed < CAP_MS) {
      if ((await capped(cache.get('written-before'))) === 'value') break;
      await sleep(10);
    }
    const recovery = performance.now() - resumed;
    return { first: Math.max(...first), steady: median(steady), recovery };
  } finally {
    server.resume();
    await Promise.all([cache.close(), writer.close()]);
    await server.stop();
  }
}

/** The results of so many measurements; one that reached the cap is not repeated. */
async function series(count: number, measure: () => Promise<number>): Promise<number[]> {
  const figures: number[] = [];
  while (figures.length < count && (figures.at(-1) ?? 0) < CAP_MS) figures.push(await measure());
  return figures;
}

/** The answer, or nothing once {@link CAP_MS} have passed or the cache has thrown. */
async function capped(answer: Promise<unknown>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const cap = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, CAP_MS, undefined);
  });
  try {
    return await Promise.race([answer.catch(() => undefined), cap]);
  } finally {
    clearTimeout(timer);
  }
}
