import { parseTenantId } from '@sparkle/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RateLimitDimension, RateLimitRule, RateLimitStore } from '../ports/rate-limit-store.port.js';

export interface RateLimitStoreSubject {
  readonly store: RateLimitStore;
  close(): Promise<void>;
}

const HOUR_MS = 3_600_000;
const bucket = (limit: number, burst: number, windowMs = HOUR_MS): RateLimitRule => ({
  algorithm: 'token-bucket',
  limit,
  windowMs,
  burst,
});
const sliding = (limit: number, windowMs = HOUR_MS): RateLimitRule => ({
  algorithm: 'sliding-window',
  limit,
  windowMs,
});

/** What every {@link RateLimitStore} guarantees. Windows are an hour long, so no time passes meanwhile. */
export function rateLimitStoreContract(adapter: string, open: () => Promise<RateLimitStoreSubject>): void {
  describe(`a ${adapter} rate limit store`, () => {
    let subject: RateLimitStoreSubject;
    let store: RateLimitStore;
    let unique = 0;

    beforeAll(async () => {
      subject = await open();
      store = subject.store;
    });
    afterAll(() => subject?.close());

    const scene = (...dimensions: [string, RateLimitRule][]) => {
      unique += 1;
      const tenantId = parseTenantId(`tenant-${unique}`);
      const named: RateLimitDimension[] = dimensions.map(([name, rule]) => ({ name, key: 'k', rule }));
      return (cost = 1, only?: string, forTenant = tenantId) => ({
        tenantId: forTenant,
        limiter: 'contract',
        cost,
        dimensions: only ? named.filter((dimension) => dimension.name === only) : named,
      });
    };

    for (const [name, rule] of [
      ['token bucket', bucket(5, 5)],
      ['sliding window', sliding(5)],
    ] as const) {
      it(`admits a ${name} up to its capacity and says what remains`, async () => {
        const request = scene(['user', rule]);
        const remaining: number[] = [];
        for (let i = 0; i < 5; i++) {
          const reading = await store.consume(request());
          expect(reading.admitted).toBe(true);
          remaining.push(reading.dimensions[0]!.remaining);
        }
        expect(remaining).toEqual([4, 3, 2, 1, 0]);
        const refused = await store.consume(request());
        expect(refused.admitted).toBe(false);
        expect(refused.dimensions[0]!.retryAfterMs).toBeGreaterThan(0);
        expect(refused.dimensions[0]!.resetMs).toBeGreaterThanOrEqual(refused.dimensions[0]!.retryAfterMs);
      });

      it(`admits no more than the capacity of a ${name} when requests race`, async () => {
        const request = scene(['user', rule]);
        const readings = await Promise.all(Array.from({ length: 40 }, () => store.consume(request())));
        expect(readings.filter((reading) => reading.admitted)).toHaveLength(5);
      });

      it(`weighs requests of a ${name} by their cost`, async () => {
        const request = scene(['user', rule]);
        expect((await store.consume(request(3))).dimensions[0]!.remaining).toBe(2);
        expect((await store.consume(request(3))).admitted).toBe(false);
        expect((await store.consume(request(2))).admitted).toBe(true);
      });

      it(`changes nothing when a ${name} is peeked at`, async () => {
        const request = scene(['user', rule]);
        await store.consume(request(4));
        for (let i = 0; i < 3; i++) {
          const reading = await store.peek(request());
          expect(reading.admitted).toBe(true);
          expect(reading.dimensions[0]!.remaining).toBe(1);
        }
        expect((await store.peek(request(2))).admitted).toBe(false);
      });

      it(`forgets what a ${name} counted when it is reset`, async () => {
        const request = scene(['user', rule]);
        await store.consume(request(5));
        await store.reset(request());
        expect((await store.consume(request())).dimensions[0]!.remaining).toBe(4);
      });

      it(`takes a penalty from a ${name} that has no room, and bounds the debt`, async () => {
        const request = scene(['user', rule]);
        await store.consume(request(5));
        const before = await store.peek(request());
        const once = await store.penalise(request(5));
        expect(once.dimensions[0]!.remaining).toBe(0);
        const passedMs = once.decidedAtMs - before.decidedAtMs;
        const unusedInMs = once.dimensions[0]!.resetMs + passedMs;
        expect(unusedInMs).toBeGreaterThanOrEqual(before.dimensions[0]!.resetMs);
        for (let i = 0; i < 20; i++) await store.penalise(request(5));
        expect((await store.peek(request())).dimensions[0]!.resetMs).toBeLessThanOrEqual(2.1 * HOUR_MS);
        expect((await store.peek(request())).admitted).toBe(false);
      });
    }

    it('consumes nothing from any dimension when one of them refuses', async () => {
      const request = scene(['user', bucket(10, 10)], ['action', sliding(2)], ['tenant', sliding(50)]);
      await store.consume(request());
      await store.consume(request());
      for (let i = 0; i < 5; i++) {
        const refused = await store.consume(request());
        expect(refused.admitted).toBe(false);
        expect(refused.dimensions.map((dimension) => dimension.retryAfterMs > 0)).toEqual([
          false,
          true,
          false,
        ]);
      }
      expect((await store.peek(request(1, 'user'))).dimensions[0]!.remaining).toBe(8);
      expect((await store.peek(request(1, 'tenant'))).dimensions[0]!.remaining).toBe(48);
    });

    it('keeps tenants apart', async () => {
      const request = scene(['user', sliding(1)]);
      await store.consume(request());
      expect((await store.consume(request())).admitted).toBe(false);
      expect((await store.consume(request(1, undefined, parseTenantId('someone-else')))).admitted).toBe(true);
    });

    it('keeps limiters, dimensions, keys and windows apart', async () => {
      const tenantId = parseTenantId('apart');
      const base = { tenantId, limiter: 'a', cost: 1 };
      const one = (name: string, key: string, rule: RateLimitRule) => [{ name, key, rule }];
      const requests = [
        { ...base, dimensions: one('user', 'k', sliding(1)) },
        { ...base, limiter: 'b', dimensions: one('user', 'k', sliding(1)) },
        { ...base, dimensions: one('action', 'k', sliding(1)) },
        { ...base, dimensions: one('user', 'k2', sliding(1)) },
        { ...base, dimensions: one('user', 'k', sliding(1, 60_000)) },
        { ...base, dimensions: one('user', 'k', bucket(1, 1)) },
        { ...base, dimensions: one('user', 'k'.repeat(5000), sliding(1)) },
        { ...base, dimensions: one('user', '}{: \u0000 键', sliding(1)) },
      ];
      for (const request of requests) expect((await store.consume(request)).admitted).toBe(true);
      for (const request of requests) expect((await store.consume(request)).admitted).toBe(false);
    });

    it('counts exactly at large limits and long windows', async () => {
      const request = scene(['user', bucket(1_000_000, 1_000_000, 86_400_000)]);
      await store.consume(request(999_999));
      expect((await store.consume(request(2))).admitted).toBe(false);
      expect((await store.consume(request(1))).admitted).toBe(true);
    });
  });
}
