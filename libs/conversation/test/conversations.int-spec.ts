import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ConversationTitleInvalidError,
  IdempotencyKeyReusedError,
  MessageInvalidError,
  PageInvalidError,
} from '../src/index.js';
import { Fixture } from './fixture.js';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.open();
});
afterAll(async () => {
  await fixture?.db.drop();
});

const owner = () => ({ tenantId: fixture.tenantId, userId: 'ada' });

describe('a conversation', () => {
  it('keeps its title, or takes it from the first user message', async () => {
    const { conversations } = fixture.assemble();
    const named = await conversations.create({ ...owner(), title: ' Physics ' });
    expect(named).toMatchObject({ title: 'Physics', messageCount: 0, summarisedTo: 0, userId: 'ada' });
    const { id } = await conversations.create(owner());
    await conversations.append({
      ...owner(),
      conversationId: id,
      role: 'user',
      content: `  Line one\nline two ${'x'.repeat(100)}`,
    });
    const { title } = await conversations.get({ ...owner(), conversationId: id });
    expect(title).toMatch(/^Line one line two x+…$/);
    expect(title).toHaveLength(80);
    await expect(conversations.create({ ...owner(), title: ' ' })).rejects.toThrow(
      ConversationTitleInvalidError,
    );
    await expect(conversations.create({ ...owner(), title: 'a\0' })).rejects.toThrow(
      ConversationTitleInvalidError,
    );
  });

  it('is read page by page, without a message twice or missing', async () => {
    const { conversations } = fixture.assemble();
    const { id } = await fixture.conversation(7);
    const seen: number[] = [];
    for (let cursor: number | null = 0; cursor !== null; ) {
      const page: Awaited<ReturnType<typeof conversations.messages>> = await conversations.messages({
        ...owner(),
        conversationId: id,
        cursor,
        limit: 3,
      });
      seen.push(...page.items.map(({ seq }) => seq));
      cursor = page.nextCursor;
    }
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7]);
    for (const wrong of [
      { cursor: -1 },
      { cursor: 1.5 },
      { limit: 0 },
      { limit: 201 },
      { limit: Number.NaN },
    ])
      await expect(conversations.messages({ ...owner(), conversationId: id, ...wrong })).rejects.toThrow(
        PageInvalidError,
      );
  });

  it('numbers fifty messages appended at once from 1 to 50', async () => {
    const { conversations } = fixture.assemble();
    const { id } = await conversations.create(owner());
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        conversations.append({ ...owner(), conversationId: id, role: 'user', content: `Message ${index}` }),
      ),
    );
    const { items } = await conversations.messages({ ...owner(), conversationId: id, limit: 200 });
    expect(items.map(({ seq }) => seq)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
  });

  it('stores an append once per key, whatever was tried at once', async () => {
    const { conversations } = fixture.assemble();
    const { id } = await conversations.create(owner());
    const message = {
      ...owner(),
      conversationId: id,
      role: 'user' as const,
      content: 'Once',
      idempotencyKey: 'k',
    };
    const results = await Promise.all(Array.from({ length: 10 }, () => conversations.append(message)));
    expect(results.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    await expect(conversations.append({ ...message, content: 'Twice' })).rejects.toThrow(
      IdempotencyKeyReusedError,
    );
    expect(await fixture.messages(id)).toHaveLength(1);
  });

  it('takes metadata as it is, but nothing PostgreSQL cannot hold', async () => {
    const { conversations } = fixture.assemble();
    const { id } = await conversations.create(owner());
    const message = { ...owner(), conversationId: id, role: 'assistant' as const, content: 'Hi' };
    const metadata = { a: '\\u0000', b: '😀' };
    expect((await conversations.append({ ...message, metadata })).message.metadata).toEqual(metadata);
    for (const bad of ['\0', '\ud800'])
      await expect(conversations.append({ ...message, metadata: { bad } })).rejects.toThrow(
        MessageInvalidError,
      );
  });

  it('does not show the claim on a message to anybody', async () => {
    const { conversations } = fixture.assemble();
    const { id } = await fixture.conversation(1);
    await fixture.store((store) => store.recordTurn(id, 1, { state: 'answering', claim: 'secret' }, 1_000));
    const { items } = await conversations.messages({ ...owner(), conversationId: id });
    expect(items[0]!.metadata).toEqual({ turn: { state: 'answering' } });
  });
});
