import { randomUUID } from 'node:crypto';
import { channels, parseTenantId, type TenantId } from '@sparkle/contracts';
import { TokenAmountInvalidError, TokenBudgetExceededError, TokenBudgetStoreError } from '../errors.js';
import type {
  BudgetAccount,
  BudgetUsage,
  SettleOutcome,
  TokenBudgetStore,
} from '../ports/token-budget-store.port.js';

export interface TokenBudgetSettings {
  /** Name in keys and metrics. */
  readonly name: string;
  /** After this many milliseconds an unsettled reservation gives its tokens back. Default 300,000. */
  readonly reservationMs: number;
}

/** Tokens set aside for one call. Settle it, or it gives its tokens back by itself. */
export interface Reservation {
  readonly tenantId: TenantId;
  readonly tokens: number;
  /** What the budget still has after this reservation. */
  readonly remaining: number;
  /**
   * Counts what was really used, which may be more than was reserved. Only the first call of `settle` or
   * `release` counts; the others get its outcome. A call whose store failed may be repeated.
   * @throws TokenBudgetStoreError when the store failed.
   */
  settle(usedTokens: number): Promise<SettleOutcome>;
  /** Gives everything back: nothing was used. */
  release(): Promise<SettleOutcome>;
}

const MAX_TOKENS = 1_000_000_000;

function assertTokens(value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least && value <= MAX_TOKENS) return;
  throw new TokenAmountInvalidError(`A number of tokens is a whole number from ${least} to ${MAX_TOKENS}.`);
}

/**
 * Language model tokens per tenant: reserve before the call, settle after it. In any window of the budget,
 * what is settled and reserved never exceeds the budget when a reservation is admitted; only a call that used
 * more than it reserved can.
 */
export class TokenBudget {
  /** @param limitOf the tenant's budget; its errors reach the caller */
  constructor(
    private readonly store: TokenBudgetStore,
    private readonly limitOf: (tenantId: TenantId) => Promise<{ tokens: number; windowMs: number }>,
    private readonly settings: TokenBudgetSettings,
  ) {}

  /**
   * @throws TokenBudgetExceededError when the budget has no room for `tokens` now.
   * @throws TokenAmountInvalidError when `tokens` is not in range, or more than the whole budget.
   * @throws TokenBudgetStoreError when the store failed.
   */
  async reserve(tenantId: TenantId, tokens: number): Promise<Reservation> {
    assertTokens(tokens, 1);
    const account = await this.accountOf(tenantId);
    if (tokens > account.tokens) {
      throw new TokenAmountInvalidError(
        `${tokens} tokens never fit this tenant's budget of ${account.tokens} per ${account.windowMs} ms.`,
      );
    }
    const id = randomUUID();
    const reply = await this.call(account, () =>
      this.store.reserve(account, id, tokens, this.settings.reservationMs),
    );
    this.publish(account, reply.reserved ? 'admitted' : 'limited');
    if (!reply.reserved) {
      const { remaining, retryAfterMs } = reply;
      throw new TokenBudgetExceededError({
        budget: account.tokens,
        requested: tokens,
        remaining,
        retryAfterMs,
      });
    }
    return this.reservation(account, id, tokens, reply.remaining);
  }

  /**
   * What is used, reserved and left now.
   * @throws TokenBudgetStoreError when the store failed.
   */
  async usage(tenantId: TenantId): Promise<BudgetUsage> {
    const account = await this.accountOf(tenantId);
    return this.call(account, () => this.store.usage(account));
  }

  private reservation(account: BudgetAccount, id: string, tokens: number, remaining: number): Reservation {
    let ended: Promise<SettleOutcome> | undefined;
    const end = (used: number): Promise<SettleOutcome> => {
      if (!ended) {
        const ending = this.call(account, () => this.store.settle(account, id, used));
        ended = ending;
        ending.then(
          () => this.publish(account, 'released'),
          () => {
            if (ended === ending) ended = undefined;
          },
        );
      }
      return ended;
    };
    return {
      tenantId: account.tenantId,
      tokens,
      remaining,
      settle: async (usedTokens) => {
        assertTokens(usedTokens, 0);
        return end(usedTokens);
      },
      release: () => end(0),
    };
  }

  private async accountOf(tenantId: TenantId): Promise<BudgetAccount> {
    const { tokens, windowMs } = await this.limitOf(parseTenantId(tenantId));
    return { tenantId, budget: this.settings.name, tokens, windowMs };
  }

  private async call<T>(account: BudgetAccount, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.publish(account, 'store_failed');
      throw new TokenBudgetStoreError(error);
    }
  }

  private publish(
    { tenantId, budget }: BudgetAccount,
    outcome: 'admitted' | 'limited' | 'released' | 'store_failed',
  ): void {
    channels.limit.publish({ tenantId, limiter: budget, kind: 'budget', outcome });
  }
}
