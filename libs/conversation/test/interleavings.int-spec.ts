import { LlmUnavailableError } from '@sparkle/llm';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Turn } from '../src/index.js';
import { type Script, ScriptedChatModel } from '../src/testing/index.js';
import { Fixture } from './fixture.js';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.open();
});
afterAll(async () => {
  await fixture?.db.drop();
});

const script = fc.constantFrom<Script>(
  { kind: 'text', text: 'An answer in five words.' },
  { kind: 'error', error: new LlmUnavailableError('scripted', 'down') },
  { kind: 'error', error: new LlmUnavailableError('scripted', 'down'), after: 'Half an' },
  { kind: 'text', text: '' },
);

const command = fc.record({
  key: fc.nat(3),
  process: fc.nat(1),
  how: fc.constantFrom('reply', 'stream', 'leave', 'abort', 'append'),
});

describe('whatever is done at once', () => {
  it('numbers have no gaps, a key has one question and one answer, and a retry completes every turn', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(command, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 }),
        fc.array(script, { maxLength: 12 }),
        async (groups, scripts) => {
          const model = new ScriptedChatModel().script(...scripts);
          const processes = [fixture.assemble({ model }), fixture.assemble({ model })] as const;
          const { id: conversationId } = await fixture.conversation();
          const owner = { tenantId: fixture.tenantId, userId: 'ada', conversationId };
          const used = new Set<number>();
          let appended = 0;

          const perform = async ({
            key,
            process,
            how,
          }: (typeof groups)[number][number]): Promise<Turn | undefined> => {
            const { chat, conversations } = processes[process as 0 | 1];
            if (how === 'append') {
              appended += 1;
              await conversations.append({ ...owner, role: 'user', content: 'By the way.' });
              return undefined;
            }
            used.add(key);
            const request = { ...owner, content: `Question ${key}`, idempotencyKey: `k${key}` };
            if (how === 'reply') return chat.reply(request);
            const controller = new AbortController();
            let turn: Turn | undefined;
            for await (const event of chat.replyStream({ ...request, signal: controller.signal })) {
              if (event.type === 'turn') turn = event.turn;
              if (event.type === 'delta' && how === 'leave') break;
              if (event.type === 'delta' && how === 'abort') controller.abort();
            }
            return turn;
          };

          for (const group of groups) await Promise.allSettled(group.map(perform));
          const answers = new Map<number, string>();
          for (const key of used)
            for (let tries = 0; tries < 20 && !answers.has(key); tries += 1)
              await perform({ key, process: 0, how: 'reply' }).then(
                (turn) => answers.set(key, turn!.answer),
                () => undefined,
              );

          const stored = await fixture.messages(conversationId);
          expect(stored.map(({ seq }) => seq)).toEqual(stored.map((_, index) => index + 1));
          expect(stored).toHaveLength(used.size * 2 + appended);
          for (const key of used) {
            const turn = stored.filter(({ idempotencyKey }) => idempotencyKey === `k${key}`);
            expect(turn.map(({ role }) => role)).toEqual(['user', 'assistant']);
            const [question, answer] = turn;
            expect(answer).toMatchObject({ content: answers.get(key), metadata: { replyTo: question!.seq } });
            expect(answer!.metadata.cancelled).toBeUndefined();
            expect(question!.metadata.turn).toEqual({ state: 'answered' });
          }
          const conversation = await fixture.store((store) => store.find(conversationId));
          expect(conversation?.messageCount).toBe(stored.length);
        },
      ),
      { numRuns: 25, endOnFailure: true },
    );
  });
});
