import type { Clock } from '@sparkle/contracts';
import { SlidingWindow } from '../../core/sliding-window.js';
import type {
  BudgetAccount,
  BudgetUsage,
  ReserveReply,
  SettleOutcome,
  TokenBudgetStore,
} from '../../ports/token-budget-store.port.js';

interface Reservation {
  state: 'open' | 'expired' | 'settled';
  readonly amount: number;
  readonly ttlMs: number;
  /** When an open one expires, or an ended one is forgotten. */
  deadlineMs: number;
}

interface Account {
  readonly usage: SlidingWindow;
  readonly reservations: Map<string, Reservation>;
}

/** Token budgets of one process. Time is the clock's monotonic time. */
export class MemoryTokenBudgetStore implements TokenBudgetStore {
  private readonly accounts = new Map<string, Account>();

  constructor(private readonly clock: Clock) {}

  async reserve(
    budget: BudgetAccount,
    reservationId: string,
    amount: number,
    ttlMs: number,
  ): Promise<ReserveReply> {
    const nowMs = this.nowMs();
    const account = this.accountOf(budget, nowMs);
    const taken = account.usage.total + reservedTokens(account);
    if (account.reservations.has(reservationId)) {
      return { reserved: true, remaining: Math.max(0, budget.tokens - taken) };
    }
    if (taken + amount > budget.tokens) {
      const retryAfterMs = waitMs(account, taken + amount - budget.tokens, nowMs);
      return { reserved: false, remaining: Math.max(0, budget.tokens - taken), retryAfterMs };
    }
    account.reservations.set(reservationId, { state: 'open', amount, ttlMs, deadlineMs: nowMs + ttlMs });
    return { reserved: true, remaining: budget.tokens - taken - amount };
  }

  async settle(budget: BudgetAccount, reservationId: string, used: number): Promise<SettleOutcome> {
    const nowMs = this.nowMs();
    const account = this.accountOf(budget, nowMs);
    const reservation = account.reservations.get(reservationId);
    if (!reservation) return 'unknown';
    if (reservation.state === 'settled') return 'repeated';
    const outcome = reservation.state === 'open' ? 'settled' : 'late';
    reservation.state = 'settled';
    reservation.deadlineMs = nowMs + reservation.ttlMs;
    account.usage.add(used);
    return outcome;
  }

  async usage(budget: BudgetAccount): Promise<BudgetUsage> {
    const account = this.accountOf(budget, this.nowMs());
    const used = account.usage.total;
    const reserved = reservedTokens(account);
    return { used, reserved, remaining: Math.max(0, budget.tokens - used - reserved) };
  }

  private nowMs(): number {
    return Math.floor(this.clock.monotonic());
  }

  private accountOf({ tenantId, budget, windowMs }: BudgetAccount, nowMs: number): Account {
    const key = `${tenantId}:${budget}:${windowMs}`;
    let account = this.accounts.get(key);
    if (!account) {
      account = { usage: new SlidingWindow(windowMs), reservations: new Map() };
      this.accounts.set(key, account);
    }
    account.usage.advance(nowMs);
    for (const [id, reservation] of account.reservations) {
      if (reservation.deadlineMs > nowMs) continue;
      if (reservation.state === 'open') {
        reservation.state = 'expired';
        reservation.deadlineMs = nowMs + reservation.ttlMs;
      } else {
        account.reservations.delete(id);
      }
    }
    return account;
  }
}

function reservedTokens({ reservations }: Account): number {
  let total = 0;
  for (const { state, amount } of reservations.values()) if (state === 'open') total += amount;
  return total;
}

/** Milliseconds until `missing` tokens have come back, if nothing is settled or reserved meanwhile. */
function waitMs({ usage, reservations }: Account, missing: number, nowMs: number): number {
  const returns = usage.returns();
  for (const { state, amount, deadlineMs } of reservations.values()) {
    if (state === 'open') returns.push({ inMs: deadlineMs - nowMs, units: amount });
  }
  returns.sort((x, y) => x.inMs - y.inMs);
  let rest = missing;
  let wait = 0;
  for (const { inMs, units } of returns) {
    if (rest <= 0) break;
    wait = inMs;
    rest -= units;
  }
  return wait;
}
