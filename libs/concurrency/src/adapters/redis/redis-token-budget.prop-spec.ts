import { randomUUID } from 'node:crypto';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TokenBudgetStore } from '../../ports/token-budget-store.port.js';
import { connectTestRedis } from '../../testing/redis-connection.js';
import { MemoryTokenBudgetStore } from '../memory/memory-token-budget.store.js';
import { RedisScripts } from './redis-scripts.js';
import { RedisTokenBudgetStore } from './redis-token-budget.store.js';

const tenantId = parseTenantId('acme');
const windowMs = 3_600_000;
const commands = fc.array(
  fc.oneof(
    fc.record({
      do: fc.constant('reserve' as const),
      id: fc.nat(12),
      tokens: fc.integer({ min: 1, max: 40 }),
    }),
    fc.record({
      do: fc.constant('settle' as const),
      id: fc.nat(12),
      tokens: fc.integer({ min: 0, max: 60 }),
    }),
    fc.record({ do: fc.constant('usage' as const) }),
  ),
  { maxLength: 60 },
);
type Command = typeof commands extends fc.Arbitrary<(infer Each)[]> ? Each : never;

describe('token budgets in Redis', () => {
  const prefix = `t-${randomUUID()}`;
  let connections: Redis[] = [];
  let stores: RedisTokenBudgetStore[];

  beforeAll(() => {
    connections = [connectTestRedis(), connectTestRedis()];
    stores = connections.map(
      (client) => new RedisTokenBudgetStore(new RedisScripts(client, new SystemClock(), 5000), prefix),
    );
  });
  afterAll(() => {
    for (const connection of connections) connection.disconnect();
  });

  it('answer exactly as the memory adapter does (1000 schedules)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 20, max: 120 }), commands, async (tokens, schedule) => {
        const account = { tenantId, budget: randomUUID(), tokens, windowMs };
        const run = async (store: TokenBudgetStore, command: Command) => {
          if (command.do === 'usage') return store.usage(account);
          if (command.do === 'settle') return store.settle(account, `r${command.id}`, command.tokens);
          const { reserved, remaining } = await store.reserve(
            account,
            `r${command.id}`,
            command.tokens,
            windowMs,
          );
          return { reserved, remaining };
        };
        const memory = new MemoryTokenBudgetStore(new TestClock());
        // One after the other: a server that has lost its scripts makes those in flight overtake each other.
        for (const command of schedule)
          expect(await run(stores[0]!, command)).toEqual(await run(memory, command));
      }),
      { numRuns: 1000 },
    );
  });

  it('are never exceeded by two processes that reserve, settle and crash at random (6000 schedules)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 40, max: 100 }),
        fc.array(
          fc.record({
            tokens: fc.integer({ min: 1, max: 40 }),
            fate: fc.constantFrom('settle', 'crash', 'twice'),
          }),
          { maxLength: 40 },
        ),
        async (tokens, callers) => {
          const account = { tenantId, budget: randomUUID(), tokens, windowMs };
          let taken = 0;
          await Promise.all(
            callers.map(async (caller, i) => {
              const store = stores[i % 2]!;
              const reply = await store.reserve(account, `r${i}`, caller.tokens, windowMs);
              if (!reply.reserved) return;
              taken += caller.tokens;
              if (caller.fate === 'crash') return;
              // Settled in full, so that what was once admitted stays taken.
              const settle = () => stores[(i + 1) % 2]!.settle(account, `r${i}`, caller.tokens);
              const answers = await Promise.all(caller.fate === 'twice' ? [settle(), settle()] : [settle()]);
              expect(answers.filter((answer) => answer === 'settled')).toHaveLength(1);
            }),
          );
          expect(taken).toBeLessThanOrEqual(tokens);
          const { used, reserved } = await stores[0]!.usage(account);
          expect(used + reserved).toBe(taken);
        },
      ),
      { numRuns: 6000 },
    );
  });
});
