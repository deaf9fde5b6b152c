import { parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { describe, expect, it } from 'vitest';
import type { RateLimitRule } from '../../ports/rate-limit-store.port.js';
import { rateLimitStoreContract } from '../../testing/rate-limit-store.contract.js';
import { MemoryRateLimitStore } from './memory-rate-limit.store.js';

rateLimitStoreContract('memory', async () => ({
  store: new MemoryRateLimitStore(new TestClock()),
  close: async () => {},
}));

/** A clock whose monotonic time is what it is told. */
class WrongClock extends TestClock {
  timeMs = 0;

  override monotonic(): number {
    return this.timeMs;
  }
}

describe('a memory rate limit store whose time goes back', () => {
  it.each<RateLimitRule>([
    { algorithm: 'sliding-window', limit: 3, windowMs: 600 },
    { algorithm: 'token-bucket', limit: 3, windowMs: 600, burst: 3 },
  ])('stands still until the time is reached again: $algorithm', async (rule) => {
    const clock = new WrongClock();
    const store = new MemoryRateLimitStore(clock);
    const request = {
      tenantId: parseTenantId('acme'),
      limiter: 'l',
      cost: 3,
      dimensions: [{ name: 'd', key: 'k', rule }],
    };
    clock.timeMs = 100_000;
    expect((await store.consume(request)).admitted).toBe(true);
    clock.timeMs = 40_000;
    const refused = await store.consume(request);
    expect(refused.admitted).toBe(false);
    expect(refused.dimensions[0]!.retryAfterMs).toBeGreaterThanOrEqual(600);
    clock.timeMs = 100_599;
    expect((await store.consume(request)).admitted).toBe(false);
    clock.timeMs = 100_610;
    expect((await store.consume(request)).admitted).toBe(true);
  });
});
