import type { ReserveReply, SettleOutcome } from '../ports/token-budget-store.port.js';
import { defineScript, isNumbers } from './lua-script.js';

export const reserveTokens = defineScript<
  { budget: number; windowMs: number; reservationId: string; amount: number; ttlMs: number },
  ReserveReply
>({
  name: 'reserve-tokens-3',
  keyCount: 3,
  argumentNames: ['budget', 'windowMs', 'reservationId', 'amount', 'ttlMs'],
  argumentsOf: ({ budget, windowMs, reservationId, amount, ttlMs }) => [
    budget,
    windowMs,
    reservationId,
    amount,
    ttlMs,
  ],
  parse(reply) {
    if (!isNumbers(reply) || reply.length !== 3) return undefined;
    const [reserved, remaining, retryAfterMs] = reply as [number, number, number];
    return reserved === 1 ? { reserved: true, remaining } : { reserved: false, remaining, retryAfterMs };
  },
});

const SETTLE_OUTCOMES: readonly SettleOutcome[] = ['unknown', 'settled', 'repeated', 'late'];

export const settleTokens = defineScript<
  { windowMs: number; reservationId: string; used: number },
  SettleOutcome
>({
  name: 'settle-tokens-3',
  keyCount: 3,
  argumentNames: ['windowMs', 'reservationId', 'used'],
  argumentsOf: ({ windowMs, reservationId, used }) => [windowMs, reservationId, used],
  parse: (reply) => (typeof reply === 'number' ? SETTLE_OUTCOMES[reply] : undefined),
});

export const readTokens = defineScript<{ windowMs: number }, { used: number; reserved: number }>({
  name: 'read-tokens-3',
  keyCount: 3,
  argumentNames: ['windowMs'],
  argumentsOf: ({ windowMs }) => [windowMs],
  parse(reply) {
    if (!isNumbers(reply) || reply.length !== 2) return undefined;
    return { used: reply[0]!, reserved: reply[1]! };
  },
});
