import type { TenantId } from '@sparkle/contracts';

export interface BudgetAccount {
  readonly tenantId: TenantId;
  /** Name of the budget, e.g. `llm`. */
  readonly budget: string;
  /** Tokens that may be used or reserved in any window. */
  readonly tokens: number;
  readonly windowMs: number;
}

export type ReserveReply =
  | { readonly reserved: true; readonly remaining: number }
  | { readonly reserved: false; readonly remaining: number; readonly retryAfterMs: number };

/**
 * `settled`: counted now. `repeated`: had been settled before, nothing changed. `late`: the reservation had
 * expired; what was used is counted all the same. `unknown`: never made, or over for longer than a
 * reservation's time to live; nothing changed.
 */
export type SettleOutcome = 'settled' | 'repeated' | 'late' | 'unknown';

export interface BudgetUsage {
  /** Tokens settled in the current window. */
  readonly used: number;
  /** Tokens of open reservations. */
  readonly reserved: number;
  /** Tokens that could be reserved now; never negative. */
  readonly remaining: number;
}

/** Token accounts. Every method is atomic on the store's own clock. */
export interface TokenBudgetStore {
  /** Sets `amount` aside under `reservationId` for `ttlMs` when it fits. */
  reserve(
    account: BudgetAccount,
    reservationId: string,
    amount: number,
    ttlMs: number,
  ): Promise<ReserveReply>;
  /** Replaces a reservation by what was really used (0 to give it back). */
  settle(account: BudgetAccount, reservationId: string, used: number): Promise<SettleOutcome>;
  usage(account: BudgetAccount): Promise<BudgetUsage>;
}

/** Injection token of the {@link TokenBudgetStore} port. */
export const TokenBudgetStore = Symbol('TokenBudgetStore');
