import { parseTenantId } from '@sparkle/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TokenBudget } from '../core/token-budget.js';
import type { TokenBudgetStore } from '../ports/token-budget-store.port.js';

export interface TokenBudgetStoreSubject {
  readonly store: TokenBudgetStore;
  /** Lets the store's time pass. */
  elapse(ms: number): Promise<void>;
  close(): Promise<void>;
}

const HOUR_MS = 3_600_000;

/** What a {@link TokenBudget} guarantees on every {@link TokenBudgetStore}. */
export function tokenBudgetContract(adapter: string, open: () => Promise<TokenBudgetStoreSubject>): void {
  describe(`a token budget on a ${adapter} store`, () => {
    let subject: TokenBudgetStoreSubject;
    let unique = 0;

    beforeAll(async () => {
      subject = await open();
    });
    afterAll(() => subject?.close());

    const scene = (tokens = 100, reservationMs = 60_000) => {
      unique += 1;
      const tenantId = parseTenantId(`tenant-${unique}`);
      const limitOf = async () => ({ tokens, windowMs: HOUR_MS });
      return { tenantId, budget: new TokenBudget(subject.store, limitOf, { name: 'llm', reservationMs }) };
    };

    it('reserves up to the budget and refuses what does not fit, with the time to wait', async () => {
      const { budget, tenantId } = scene();
      const first = await budget.reserve(tenantId, 60);
      expect(first.remaining).toBe(40);
      const refusal = await budget.reserve(tenantId, 50).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: 'TOKEN_BUDGET_EXCEEDED', remaining: 40, requested: 50 });
      const { retryAfterMs } = refusal as { retryAfterMs: number };
      expect(retryAfterMs).toBeGreaterThan(50_000);
      expect(retryAfterMs).toBeLessThanOrEqual(60_000);
      expect((await budget.reserve(tenantId, 40)).remaining).toBe(0);
    });

    it('counts what was used and gives the rest back', async () => {
      const { budget, tenantId } = scene();
      const reservation = await budget.reserve(tenantId, 60);
      expect(await reservation.settle(25)).toBe('settled');
      expect(await budget.usage(tenantId)).toEqual({ used: 25, reserved: 0, remaining: 75 });
    });

    it('counts more than was reserved when more was used', async () => {
      const { budget, tenantId } = scene();
      await (await budget.reserve(tenantId, 60)).settle(130);
      expect(await budget.usage(tenantId)).toEqual({ used: 130, reserved: 0, remaining: 0 });
      await expect(budget.reserve(tenantId, 1)).rejects.toMatchObject({ code: 'TOKEN_BUDGET_EXCEEDED' });
    });

    it('gives everything back on release', async () => {
      const { budget, tenantId } = scene();
      await (await budget.reserve(tenantId, 100)).release();
      expect(await budget.usage(tenantId)).toEqual({ used: 0, reserved: 0, remaining: 100 });
    });

    it('counts a reservation once, however often it is settled or released', async () => {
      const { budget, tenantId } = scene();
      const reservation = await budget.reserve(tenantId, 60);
      await Promise.all([reservation.settle(10), reservation.settle(10), reservation.release()]);
      await reservation.settle(10);
      expect(await budget.usage(tenantId)).toEqual({ used: 10, reserved: 0, remaining: 90 });
    });

    it('counts a settlement once when its command arrives twice', async () => {
      const { tenantId } = scene();
      const account = { tenantId, budget: 'llm', tokens: 100, windowMs: HOUR_MS };
      await subject.store.reserve(account, 'r', 60, 60_000);
      expect(await subject.store.reserve(account, 'r', 60, 60_000)).toMatchObject({ reserved: true });
      expect(await subject.store.settle(account, 'r', 10)).toBe('settled');
      expect(await subject.store.settle(account, 'r', 10)).toBe('repeated');
      expect(await subject.store.settle(account, 'never made', 10)).toBe('unknown');
      expect(await subject.store.usage(account)).toEqual({ used: 10, reserved: 0, remaining: 90 });
    });

    it('gives the tokens of an abandoned reservation back, and still counts a late settlement', async () => {
      const { budget, tenantId } = scene(100, 300);
      const abandoned = await budget.reserve(tenantId, 100);
      await expect(budget.reserve(tenantId, 1)).rejects.toMatchObject({ code: 'TOKEN_BUDGET_EXCEEDED' });
      await subject.elapse(300);
      expect((await budget.usage(tenantId)).reserved).toBe(0);
      expect(await abandoned.settle(30)).toBe('late');
      expect((await budget.usage(tenantId)).used).toBe(30);
    });

    it('never reserves more than the budget when callers race', async () => {
      const { budget, tenantId } = scene();
      const settled = await Promise.allSettled(Array.from({ length: 40 }, () => budget.reserve(tenantId, 7)));
      expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(14);
    });

    it('refuses amounts that are no number of tokens or never fit', async () => {
      const { budget, tenantId } = scene();
      for (const amount of [0, -1, 1.5, Number.NaN, 101]) {
        await expect(budget.reserve(tenantId, amount)).rejects.toMatchObject({
          code: 'TOKEN_AMOUNT_INVALID',
        });
      }
      const reservation = await budget.reserve(tenantId, 1);
      await expect(reservation.settle(-1)).rejects.toMatchObject({ code: 'TOKEN_AMOUNT_INVALID' });
    });
  });
}
