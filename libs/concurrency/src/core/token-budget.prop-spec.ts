import { parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
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

describe('a token budget', () => {
  it('never admits more than the budget in any window, whoever crashes and settles late or twice', async () => {
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
});
