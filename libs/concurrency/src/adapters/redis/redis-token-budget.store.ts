import { readTokens, reserveTokens, settleTokens } from '../../lua/token-budget.scripts.js';
import type {
  BudgetAccount,
  BudgetUsage,
  ReserveReply,
  SettleOutcome,
  TokenBudgetStore,
} from '../../ports/token-budget-store.port.js';
import type { RedisScripts } from './redis-scripts.js';

/** Token budgets in Redis or Valkey: three keys per account under the tenant's hash tag. */
export class RedisTokenBudgetStore implements TokenBudgetStore {
  constructor(
    private readonly scripts: RedisScripts,
    private readonly prefix: string,
  ) {}

  reserve(
    account: BudgetAccount,
    reservationId: string,
    amount: number,
    ttlMs: number,
  ): Promise<ReserveReply> {
    const { tokens: budget, windowMs } = account;
    const parameters = { budget, windowMs, reservationId, amount, ttlMs };
    return this.scripts.run(reserveTokens, this.keysOf(account), parameters);
  }

  settle(account: BudgetAccount, reservationId: string, used: number): Promise<SettleOutcome> {
    const parameters = { windowMs: account.windowMs, reservationId, used };
    return this.scripts.run(settleTokens, this.keysOf(account), parameters);
  }

  async usage(account: BudgetAccount): Promise<BudgetUsage> {
    const { windowMs } = account;
    const { used, reserved } = await this.scripts.run(readTokens, this.keysOf(account), { windowMs });
    return { used, reserved, remaining: Math.max(0, account.tokens - used - reserved) };
  }

  private keysOf({ tenantId, budget, windowMs }: BudgetAccount): string[] {
    const base = `${this.prefix}:{${tenantId}}:budget:${budget}:w${windowMs}`;
    return [`${base}:usage`, `${base}:reservations`, `${base}:deadlines`];
  }
}
