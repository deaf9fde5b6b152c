import { TestClock } from '@sparkle/contracts/testing';
import type { ChatRequest } from '@sparkle/llm';
import { LlmUnavailableError } from '@sparkle/llm';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MessageInProgressError, type Turn } from '../src/index.js';
import { ScriptedChatModel } from '../src/testing/index.js';
import { Fixture } from './fixture.js';
import { InterruptingDatabase } from './interrupting-database.js';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.open();
});
afterAll(async () => {
  await fixture?.db.drop();
});

const client = fc.record({
  key: fc.constantFrom(0, 0, 0, 1),
  process: fc.nat(2),
  /** Steps of the schedule after which the client leaves; 0: it stays. */
  leavesAfter: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 25 })),
  modelFails: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true)),
});

const accident = fc.record({
  what: fc.constantFrom('lease runs out' as const, 'lease runs out' as const, 'process dies' as const),
  process: fc.nat(2),
  after: fc.integer({ min: 1, max: 30 }),
});

describe('retries, cancellations, failures, deaths and lost leases in any order', () => {
  it('never make two answers for one key, nor lose a message', async () => {
    let answers = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(client, { minLength: 2, maxLength: 5 }),
        fc.array(accident, { minLength: 1, maxLength: 4 }),
        async (scheduler, clients, accidents) => {
          const { id: conversationId } = await fixture.conversation();
          const dead = new Set<number>();
          const deaths = new Set<() => void>();
          const never = new Promise<never>(() => undefined);
          /** What happens as the processes together have made so many steps. */
          const happens = new Map<number, () => void | Promise<void>>();
          let steps = 0;
          const step = async (process: number, label: string) => {
            await scheduler.schedule(Promise.resolve(), `${process}: ${label}`);
            steps += 1;
            await happens.get(steps)?.();
            if (dead.has(process)) await never;
          };
          for (const { what, process, after } of accidents)
            happens.set(after, () => {
              if (what === 'lease runs out') return fixture.expireClaims(conversationId);
              dead.add(process);
              for (const heard of deaths) heard();
            });
          const ask = (process: number, key: number, fails: boolean, signal?: AbortSignal) => {
            class Model extends ScriptedChatModel {
              override async *stream(request: ChatRequest) {
                await step(process, 'model');
                if (fails) throw new LlmUnavailableError('scripted', 'down');
                answers += 1;
                this.script({ kind: 'text', text: `Answer ${answers}` });
                for await (const chunk of super.stream(request)) {
                  yield chunk;
                  await step(process, 'word');
                }
              }
            }
            const database = new InterruptingDatabase(fixture.db.database, (transaction, phase) =>
              step(process, `transaction ${transaction} ${phase}`),
            );
            const { chat } = fixture.assemble({ database, clock: new TestClock(), model: new Model() });
            return chat.reply({
              tenantId: fixture.tenantId,
              userId: 'ada',
              conversationId,
              content: `Question ${key}`,
              idempotencyKey: `k${key}`,
              ...(signal && { signal }),
            });
          };

          const seen: { key: number; turn: Turn }[] = [];
          const asked = clients.map(async ({ key, process, leavesAfter, modelFails }) => {
            const controller = new AbortController();
            if (leavesAfter > 0 && !happens.has(leavesAfter))
              happens.set(leavesAfter, () => controller.abort());
            for (let tries = 0; tries < 8; tries += 1) {
              const reply = ask(process, key, modelFails, controller.signal);
              const outcome = await reply.catch((error: unknown) => error);
              if (!(outcome instanceof Error)) seen.push({ key, turn: outcome as Turn });
              if (!(outcome instanceof MessageInProgressError)) return;
              await step(process, 'waits');
            }
          });
          // Who asked a process that died waits for ever; one may die while the others are waited for.
          const alive = () => asked.filter((_, at) => !dead.has(clients[at]!.process));
          const anyDeath = () => new Promise<void>((resolve) => deaths.add(resolve));
          for (let before = -1; before !== dead.size; ) {
            before = dead.size;
            await scheduler.waitFor(Promise.race([Promise.all(alive()), anyDeath()]));
          }
          const keys = [...new Set(clients.map(({ key }) => key))];
          const { chat } = fixture.assemble({ model: new ScriptedChatModel(() => 'The last resort.') });
          /** What a process had sent as it died may still arrive, and claim the message once more. */
          const ofOneWhoWaits = async (key: number): Promise<Turn> => {
            await fixture.expireClaims(conversationId);
            const question = { tenantId: fixture.tenantId, userId: 'ada', conversationId };
            return chat
              .reply({ ...question, content: `Question ${key}`, idempotencyKey: `k${key}` })
              .catch((error: unknown) => {
                if (error instanceof MessageInProgressError) return ofOneWhoWaits(key);
                throw error;
              });
          };
          for (const key of keys) seen.push({ key, turn: await ofOneWhoWaits(key) });
          const stored = await fixture.messages(conversationId);
          expect(stored.map(({ seq }) => seq)).toEqual(stored.map((_, at) => at + 1));
          expect(stored).toHaveLength(keys.length * 2);
          for (const key of keys) {
            const [question, answer, ...more] = stored.filter(
              ({ idempotencyKey }) => idempotencyKey === `k${key}`,
            );
            expect(more).toEqual([]);
            expect(question).toMatchObject({ role: 'user', content: `Question ${key}` });
            expect(answer).toMatchObject({ role: 'assistant', metadata: { replyTo: question!.seq } });
            // Whoever was told an answer was told this one.
            for (const told of seen.filter((each) => each.key === key))
              expect(told.turn.reply).toMatchObject({ id: answer!.id, content: answer!.content });
          }
        },
      ),
      { numRuns: 40, endOnFailure: true },
    );
  });
});
