import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { twoTierSystem } from './systems.js';

/** What one process of several is told to do; it answers each with an {@link CacheProcessReport}. */
export type CacheProcessOrder =
  | { readonly kind: 'together'; readonly key: string; readonly calls: number; readonly fails: boolean }
  | { readonly kind: 'steady'; readonly key: string; readonly everyMs: number; readonly forMs: number };

export interface CacheProcessReport {
  /** Calls that were answered. */
  readonly calls: number;
  /** Calls answered with a value made before they were asked. */
  readonly hits: number;
  readonly errors: number;
}

const LOAD_MS = 30;
const [, , system = '', url = '', ttlMs = '', staleWhileRevalidate = ''] = process.argv;
const cache = await twoTierSystem(system).open(url, {
  ttlMs: Number(ttlMs),
  budgetMs: 1_000,
  staleWhileRevalidate: staleWhileRevalidate === 'true',
});
const counter = new Redis(url);

/** One clock for all processes of the machine, milliseconds. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

/** Counts itself, and how many of its kind run at once, in Redis. */
function loader(key: string, fails: boolean) {
  return async () => {
    await counter.incr(`loads:${key}`);
    const together = await counter.incr(`running:${key}`);
    await counter.zadd(`most:${key}`, 'GT', together, 'together');
    await sleep(LOAD_MS);
    await counter.decr(`running:${key}`);
    if (fails) throw new Error('the loader failed');
    return { madeAt: now() };
  };
}

async function call(key: string, fails: boolean): Promise<boolean> {
  const askedAt = now();
  const value = (await cache.getOrSet(key, loader(key, fails))) as { madeAt: number };
  return value.madeAt <= askedAt;
}

async function together({ key, calls, fails }: CacheProcessOrder & { kind: 'together' }) {
  return Promise.allSettled(Array.from({ length: calls }, () => call(key, fails)));
}

/** Calls at a steady rate, whether or not earlier ones have been answered. */
async function steady({ key, everyMs, forMs }: CacheProcessOrder & { kind: 'steady' }) {
  const started = now();
  const made: Promise<boolean>[] = [];
  for (let due = 0; due < forMs; due += everyMs) {
    const wait = started + due - now();
    if (wait > 0) await sleep(wait);
    const answer = call(key, false);
    // Judged at the end with the others.
    answer.catch(() => undefined);
    made.push(answer);
  }
  return Promise.allSettled(made);
}

process.on('message', async (order: CacheProcessOrder) => {
  const outcomes = await (order.kind === 'together' ? together(order) : steady(order));
  const hits = outcomes.filter((outcome) => outcome.status === 'fulfilled' && outcome.value).length;
  const errors = outcomes.filter((outcome) => outcome.status === 'rejected').length;
  process.send?.({ calls: outcomes.length, hits, errors } satisfies CacheProcessReport);
});
process.on('disconnect', async () => {
  await cache.close();
  counter.disconnect();
  process.exit(0);
});
process.send?.('ready');
