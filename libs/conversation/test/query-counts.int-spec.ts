import { QueryCounter } from '@sparkle/database';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Conversation } from '../src/index.js';
import { Fixture } from './fixture.js';

let fixture: Fixture;
let small: Conversation;
let large: Conversation;

beforeAll(async () => {
  fixture = await Fixture.open();
  const say = (seq: number) => (seq % 7 === 0 ? `The gradient of layer ${seq} vanishes.` : undefined);
  small = await fixture.conversation(210, say);
  large = await fixture.conversation(630, say);
});
afterAll(() => fixture.db.drop());

async function counts(work: (conversation: Conversation) => Promise<unknown>): Promise<number[]> {
  const found: number[] = [];
  for (const conversation of [small, large])
    found.push((await QueryCounter.run(() => work(conversation))).queries.count);
  return found;
}

describe('the number of statements does not grow with the length of a conversation', () => {
  it('for a page of messages', async () => {
    const { conversations } = fixture.assemble();
    const [few, many] = await counts(({ id, tenantId }) =>
      conversations.messages({ tenantId, userId: 'ada', conversationId: id, limit: 100 }),
    );
    expect(many).toBe(few);
    expect(few).toBeLessThanOrEqual(2);
  });

  it('for the memory of a question, recall included', async () => {
    const { memory } = fixture.assemble();
    const [few, many] = await counts(({ id, tenantId }) =>
      memory.assemble({
        tenantId,
        conversationId: id,
        question: 'Why does the gradient vanish?',
        tokenBudget: 2_000,
      }),
    );
    expect(many).toBe(few);
    expect(few).toBeLessThanOrEqual(6);
  });

  it('for a turn', async () => {
    const { chat } = fixture.assemble();
    const [few, many] = await counts(({ id, tenantId }) =>
      chat.reply({ tenantId, userId: 'ada', conversationId: id, content: 'And then?' }),
    );
    expect(many).toBe(few);
  });
});
