import { parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { RateLimiter } from '../../core/rate-limiter.js';
import type {
  RateLimitRule,
  RateLimitStore,
  RateLimitStoreRequest,
} from '../../ports/rate-limit-store.port.js';
import { MemoryRateLimitStore } from '../memory/memory-rate-limit.store.js';
import { LeasedRateLimitStore } from './leased-rate-limit.store.js';

const tenantId = parseTenantId('acme');
const window = (limit: number, windowMs = 1000): RateLimitRule => ({
  algorithm: 'sliding-window',
  limit,
  windowMs,
});

describe('a leased rate limit store', () => {
  let clock: TestClock;
  let memory: MemoryRateLimitStore;
  let asked: RateLimitStoreRequest[];
  let store: RateLimitStore;
  let leased: LeasedRateLimitStore;

  beforeEach(() => {
    clock = new TestClock();
    memory = new MemoryRateLimitStore(clock);
    asked = [];
    store = {
      consume: (request) => {
        asked.push(request);
        return memory.consume(request);
      },
      peek: (request) => memory.peek(request),
      penalise: (request) => memory.penalise(request),
      reset: (request) => memory.reset(request),
    };
    leased = new LeasedRateLimitStore(store, clock, { leaseMs: 50 });
  });

  const request = (...rules: RateLimitRule[]) => ({
    tenantId,
    limiter: 'l',
    cost: 1,
    dimensions: rules.map((rule, i) => ({ name: `d${i}`, key: 'k', rule })),
  });
  const consumeMany = async (through: RateLimitStore, count: number, ...rules: RateLimitRule[]) => {
    let admitted = 0;
    for (let i = 0; i < count; i++) if ((await through.consume(request(...rules))).admitted) admitted += 1;
    return admitted;
  };

  it('admits exactly the limit to one busy process, and asks the store rarely', async () => {
    expect(await consumeMany(leased, 10_000, window(5000))).toBe(5000);
    // 1, 2, 4, … 128, then a twentieth of the limit at a time, and smaller ones when that no longer fits.
    expect(asked.length).toBeLessThan(50);
    expect(Math.max(...asked.map(({ cost }) => cost))).toBe(250);
  });

  it('decides several dimensions at once: what one refuses, no other one loses', async () => {
    const rules = [window(1000), window(50), window(1000)];
    expect(await consumeMany(leased, 500, ...rules)).toBe(50);
    const [first, , third] = (await leased.consume(request(...rules))).dimensions;
    expect([first!.remaining, third!.remaining]).toEqual([950, 950]);
  });

  it('stops asking while it knows that the store refuses, and names the time to wait', async () => {
    await consumeMany(leased, 100, window(100));
    const refused = await leased.consume(request(window(100)));
    expect(refused).toMatchObject({ admitted: false, dimensions: [{ remaining: 0 }] });
    expect(refused.dimensions[0]!.retryAfterMs).toBeGreaterThan(1000);
    const before = asked.length;
    await consumeMany(leased, 1000, window(100));
    expect(asked.length).toBe(before);
    await clock.advance(refused.dimensions[0]!.retryAfterMs);
    expect((await leased.consume(request(window(100)))).admitted).toBe(true);
  });

  it('loses no more than a twentieth of the limit when a process crashes', async () => {
    await consumeMany(leased, 400, window(1000));
    const successor = new LeasedRateLimitStore(store, clock, { leaseMs: 50 });
    expect(400 + (await consumeMany(successor, 1000, window(1000)))).toBeGreaterThanOrEqual(950);
  });

  it('never uses a lease after its life', async () => {
    await consumeMany(leased, 40, window(1000));
    const before = asked.length;
    await clock.advance(50);
    await leased.consume(request(window(1000)));
    expect(asked.length).toBe(before + 1);
  });

  it('admits no more than limit and burst when a large lease is kept to its last millisecond', async () => {
    const greedy = () => new LeasedRateLimitStore(store, clock, { leaseMs: 50, share: 1 });
    const [keeper, other] = [greedy(), greedy()];
    const rule: RateLimitRule = { algorithm: 'token-bucket', limit: 200, windowMs: 1000, burst: 100 };
    await consumeMany(keeper, 63, rule);
    await clock.advance(900);
    await consumeMany(keeper, 1, rule);
    expect(asked.at(-1)!.cost).toBe(64);
    await clock.advance(49);
    let admitted = await consumeMany(keeper, 63, rule);
    for (let ms = 0; ms <= 1000; ms++) {
      admitted += await consumeMany(other, 20, rule);
      await clock.advance(1);
    }
    expect(admitted).toBeLessThanOrEqual(300);
    expect(admitted).toBeGreaterThan(280);
  });

  it('admits at least twenty parts of 21 to steady demand', async () => {
    let admitted = 0;
    for (let ms = 0; ms < 20_000; ms += 10) {
      await clock.advance(10);
      admitted += await consumeMany(leased, 3, window(100));
    }
    // Twenty windows of 100, of which the sliding window's own slices cost up to a sixtieth more.
    expect(admitted).toBeGreaterThanOrEqual((2000 * 20) / 21 / (61 / 60) - 5);
  });

  it('shares one lease among requests that arrive together', async () => {
    const readings = await Promise.all(
      Array.from({ length: 64 }, () => leased.consume(request(window(5000)))),
    );
    expect(readings.every(({ admitted }) => admitted)).toBe(true);
    expect(asked).toHaveLength(1);
  });

  it('asks the store alone about rules too short to lease from', async () => {
    expect(await consumeMany(leased, 20, window(5, 19))).toBe(5);
    expect(asked).toHaveLength(20);
  });

  it('refuses by name a cost that its smaller burst never admits, whatever the outage policy', async () => {
    const limiter = new RateLimiter(leased, memory, clock, { name: 'l', outagePolicy: 'open' });
    const rule: RateLimitRule = { algorithm: 'token-bucket', limit: 100, windowMs: 1000, burst: 100 };
    const dimensions = [{ name: 'user', key: 'k', rule }];
    await expect(limiter.consume({ tenantId, dimensions, cost: 96 })).rejects.toMatchObject({
      code: 'RATE_LIMIT_REQUEST_INVALID',
      message: expect.stringContaining('at most 95'),
    });
    expect((await limiter.consume({ tenantId, dimensions, cost: 95 })).source).toBe('store');
  });

  it('forgets its leases when a counter is reset or penalised', async () => {
    await consumeMany(leased, 100, window(100));
    await leased.reset(request(window(100)));
    expect(await consumeMany(leased, 200, window(100))).toBe(100);
    await leased.reset(request(window(100)));
    await consumeMany(leased, 4, window(100));
    expect((await leased.penalise({ ...request(window(100)), cost: 100 })).dimensions[0]!.remaining).toBe(0);
    expect((await leased.consume(request(window(100)))).admitted).toBe(false);
  });

  it('gives a failing store to the outage policy, and leaves no rejection unhandled', async () => {
    const failing = new LeasedRateLimitStore(
      { ...store, consume: () => Promise.reject(new Error('the store is down')) },
      clock,
    );
    const all = Array.from({ length: 3 }, () => failing.consume(request(window(10), window(20))));
    expect(await Promise.allSettled(all)).toMatchObject(all.map(() => ({ status: 'rejected' })));
  });

  it('lets a slow store decide when leases are over before they arrive', async () => {
    const slow = new LeasedRateLimitStore(
      {
        ...store,
        consume: async (each) => {
          const reading = await store.consume(each);
          await clock.sleep(60);
          return reading;
        },
      },
      clock,
      { leaseMs: 50 },
    );
    const reading = slow.consume(request(window(10)));
    await clock.advance(1000);
    expect((await reading).admitted).toBe(true);
  });
});
