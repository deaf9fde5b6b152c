import { parseTenantId } from '@sparkle/contracts';
import { SeededRandom, TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryTokenBudgetStore } from '../adapters/memory/memory-token-budget.store.js';

const tenantId = parseTenantId('acme');
const windowMs = 600;
const ttlMs = 200;

const commands = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('reserve' as const), tokens: fc.integer({ min: 1, max: 40 }) }),
    fc.record({
      do: fc.constant('settle' as const),
      which: fc.nat(),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
    fc.record({ do: fc.constant('crash' as const), which: fc.nat() }),
    fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 250 }) }),
  ),
  { maxLength: 80 },
);

/** Thirty steps of callers that share a budget; throws where an admission exceeds it. */
async function runRandomSchedule(
  random: SeededRandom,
  totals: { admitted: number; refused: number; expired: number; late: number; repeated: number },
): Promise<void> {
  const below = (bound: number) => Math.floor(random.next() * bound);
  const clock = new TestClock();
  const store = new MemoryTokenBudgetStore(clock);
  const account = { tenantId, budget: 'llm', tokens: 40 + below(60), windowMs };
  const open = new Map<string, { tokens: number; expiresAtMs: number }>();
  const settled: { atMs: number; tokens: number }[] = [];
  /** What callers still know of: a crashed one forgets its reservations. */
  const known: { id: string; tokens: number }[] = [];
  for (let step = 0; step < 30; step++) {
    const nowMs = clock.monotonic();
    for (const [id, { expiresAtMs }] of open) {
      if (expiresAtMs > nowMs) continue;
      open.delete(id);
      totals.expired += 1;
    }
    const die = below(10);
    if (die < 5) {
      const id = `r${step}`;
      const tokens = 1 + below(40);
      // The first reply may be lost, and the command sent again.
      for (let sent = below(4) === 0 ? 2 : 1; sent > 0; sent--) {
        const reply = await store.reserve(account, id, tokens, ttlMs);
        if (!reply.reserved) {
          totals.refused += 1;
          continue;
        }
        open.set(id, { tokens, expiresAtMs: nowMs + ttlMs });
        if (sent === 1) known.push({ id, tokens });
        totals.admitted += 1;
        let taken = 0;
        for (const each of settled) if (each.atMs >= nowMs - windowMs) taken += each.tokens;
        for (const each of open.values()) taken += each.tokens;
        if (taken > account.tokens) throw new Error(`${taken} of ${account.tokens} tokens were given out`);
      }
    } else if (die < 8) {
      const [reservation] = known.splice(below(Math.max(1, known.length)), 1);
      if (!reservation) continue;
      const used = below(reservation.tokens + 1);
      for (let sent = below(3) === 0 ? 2 : 1; sent > 0; sent--) {
        const outcome = await store.settle(account, reservation.id, used);
        if (outcome === 'repeated') totals.repeated += 1;
        if (outcome === 'late') totals.late += 1;
        if (outcome === 'settled' || outcome === 'late') settled.push({ atMs: nowMs, tokens: used });
        open.delete(reservation.id);
      }
    } else if (die === 8) {
      known.length = 0;
    } else {
      await clock.advance(1 + below(250));
    }
  }
}

describe('a token budget', () => {
  it('never admits more than the budget in any window, whoever crashes and settles late or twice (1000 schedules)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 40, max: 100 }), commands, async (tokens, schedule) => {
        const clock = new TestClock();
        const store = new MemoryTokenBudgetStore(clock);
        const account = { tenantId, budget: 'llm', tokens, windowMs };
        const open = new Map<string, { tokens: number; expiresAtMs: number }>();
        const settled: { atMs: number; tokens: number }[] = [];
        const all: string[] = [];
        const used = (fromMs: number) =>
          settled.reduce((sum, entry) => (entry.atMs > fromMs ? sum + entry.tokens : sum), 0);
        const expire = () => {
          for (const [id, { expiresAtMs }] of open) if (expiresAtMs <= clock.monotonic()) open.delete(id);
        };
        const reserved = () => [...open.values()].reduce((sum, entry) => sum + entry.tokens, 0);
        for (const [i, command] of schedule.entries()) {
          expire();
          const nowMs = clock.monotonic();
          if (command.do === 'pass') {
            await clock.advance(command.ms);
          } else if (command.do === 'reserve') {
            const id = `r${i}`;
            const reply = await store.reserve(account, id, command.tokens, ttlMs);
            if (reply.reserved) {
              open.set(id, { tokens: command.tokens, expiresAtMs: nowMs + ttlMs });
              all.push(id);
              expect(used(nowMs - windowMs) + reserved()).toBeLessThanOrEqual(tokens);
            } else {
              const slack = Math.ceil(windowMs / 60);
              expect(used(nowMs - windowMs - slack - 1) + reserved() + command.tokens).toBeGreaterThan(
                tokens,
              );
              expect(reply.retryAfterMs).toBeGreaterThan(0);
            }
          } else if (command.do === 'settle') {
            const id = all[command.which % Math.max(1, all.length)];
            if (id === undefined) continue;
            const reservation = open.get(id);
            const amount = Math.floor((reservation?.tokens ?? 10) * command.share);
            const outcome = await store.settle(account, id, amount);
            expect(outcome === 'settled').toBe(reservation !== undefined);
            if (outcome === 'settled') settled.push({ atMs: nowMs, tokens: amount });
            if (outcome === 'late') settled.push({ atMs: nowMs, tokens: amount });
            open.delete(id);
          } else {
            // A crashed caller never settles: its reservation must end by itself.
            all.splice(command.which % Math.max(1, all.length), 1);
          }
        }
        await clock.advance(ttlMs);
        expect((await store.usage(account)).reserved).toBe(0);
      }),
      { numRuns: 1000 },
    );
  });

  it('is over-admitted in none of 100,000 random schedules of reservations, lost replies, settlements and crashes', async () => {
    const random = new SeededRandom(20_260_101);
    const totals = { admitted: 0, refused: 0, expired: 0, late: 0, repeated: 0 };
    for (let schedule = 0; schedule < 100_000; schedule++) await runRandomSchedule(random, totals);
    expect(Math.min(...Object.values(totals))).toBeGreaterThan(10_000);
  });
});
