import { TestClock } from '@sparkle/contracts/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CacheSummaryCache,
  type Conversation,
  ConversationNotFoundError,
  ConversationTitleInvalidError,
  CursorInvalidError,
  IdempotencyKeyReusedError,
  MessageInvalidError,
  PageInvalidError,
} from '../src/index.js';
import { ScriptedChatModel } from '../src/testing/index.js';
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

describe('the list of conversations', () => {
  const userId = 'lister';
  const mine = () => ({ tenantId: fixture.tenantId, userId });

  async function walk(limit: number): Promise<Conversation[]> {
    const { conversations } = fixture.assemble();
    const seen: Conversation[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await conversations.list({ ...mine(), limit, ...(cursor && { cursor }) });
      expect(page.items.length).toBeLessThanOrEqual(limit);
      seen.push(...page.items);
      cursor = page.nextCursor;
    }
    return seen;
  }

  it('holds a user’s own ones, the one spoken in last first, page by page, none twice or missing', async () => {
    const { conversations } = fixture.assemble();
    expect(await conversations.list(mine())).toEqual({ items: [], nextCursor: null });
    const made: string[] = [];
    for (let count = 0; count < 7; count += 1) made.push((await conversations.create(mine())).id);
    await conversations.create(owner());
    await conversations.create({ ...mine(), tenantId: fixture.otherTenantId });
    await conversations.append({ ...mine(), conversationId: made[2]!, role: 'user', content: 'Hello' });
    // Written in one transaction, they differ in their ids alone.
    await fixture.db.database.withTenant(fixture.tenantId, (sql) =>
      sql.query('UPDATE conversations SET updated_at = $1 WHERE id = ANY($2::uuid[])', [
        '2020-01-01T00:00:00.123456Z',
        made.slice(3),
      ]),
    );
    const all = await walk(200);
    expect(all).toHaveLength(7);
    expect(all[0]).toMatchObject({ id: made[2], title: 'Hello', messageCount: 1, userId });
    for (const limit of [1, 2, 3, 7]) expect(await walk(limit)).toEqual(all);
  });

  it('refuses cursors that no page gave, and limits out of range', async () => {
    const { conversations } = fixture.assemble();
    const id = '00000000-0000-4000-8000-000000000000';
    const odd = [
      'x',
      '',
      `2020-01-01T00:00:00.123456Z ${id}x`,
      `2020-99-01T00:00:00.123456Z ${id}`,
      `now ${id}`,
    ];
    for (const cursor of odd)
      await expect(
        conversations.list({ ...mine(), cursor: Buffer.from(cursor).toString('base64url') }),
      ).rejects.toThrow(CursorInvalidError);
    for (const limit of [0, 201, 1.5])
      await expect(conversations.list({ ...mine(), limit })).rejects.toThrow(PageInvalidError);
  });
});

describe('deleting a conversation', () => {
  it('takes its messages and summaries along, and what is cached of them', async () => {
    const entries = new Map<string, string[]>();
    const cache = new CacheSummaryCache({
      get: async () => undefined,
      set: async (_scope, key, _value, options) => void entries.set(key, (options?.tags ?? []) as string[]),
      deleteByTag: async (_scope, tag) => {
        for (const [key, tags] of entries) if (tags.includes(tag as string)) entries.delete(key);
        return { coherent: true } as never;
      },
    });
    const { conversations, memory, summaries } = fixture.assemble({ cache });
    const { id } = await fixture.conversation(60);
    const other = await fixture.conversation(60);
    for (const conversationId of [id, other.id]) {
      await summaries.process({ tenantId: fixture.tenantId, conversationId });
      await memory.assemble({
        tenantId: fixture.tenantId,
        conversationId,
        question: 'What?',
        tokenBudget: 500,
      });
    }
    expect([...entries.keys()].some((key) => key.startsWith(id))).toBe(true);
    await conversations.delete({ ...owner(), conversationId: id });
    await expect(conversations.get({ ...owner(), conversationId: id })).rejects.toThrow(
      ConversationNotFoundError,
    );
    expect([...entries.keys()].filter((key) => key.startsWith(id))).toEqual([]);
    expect([...entries.keys()].some((key) => key.startsWith(other.id))).toBe(true);
    const left = await fixture.db.database.withTenant(fixture.tenantId, async (sql) => {
      const tables = await sql.query<{ name: string }>(
        `SELECT table_name AS name FROM information_schema.columns
         WHERE column_name = 'conversation_id' AND table_schema = current_schema()`,
      );
      expect(tables.length).toBeGreaterThanOrEqual(2);
      return Promise.all(
        tables.map(async ({ name }) => {
          const [row] = await sql.query<{ count: number }>(
            `SELECT count(*)::int AS count FROM ${name} WHERE conversation_id = $1`,
            [id],
          );
          return [name, row!.count];
        }),
      );
    });
    expect(left.filter(([, count]) => count !== 0)).toEqual([]);
    expect(await fixture.messages(other.id)).toHaveLength(60);
  });

  it('is refused to anybody but its owner, and a second time', async () => {
    const { conversations } = fixture.assemble();
    const { id } = await fixture.conversation(2);
    for (const stranger of [{ userId: 'eve' }, { tenantId: fixture.otherTenantId }, { conversationId: 'x' }])
      await expect(conversations.delete({ ...owner(), conversationId: id, ...stranger })).rejects.toThrow(
        ConversationNotFoundError,
      );
    expect(await fixture.messages(id)).toHaveLength(2);
    await conversations.delete({ ...owner(), conversationId: id });
    await expect(conversations.delete({ ...owner(), conversationId: id })).rejects.toThrow(
      ConversationNotFoundError,
    );
  });

  it('ends a turn under way: its model call stops, and it writes nothing', async () => {
    const clock = new TestClock();
    const model = new ScriptedChatModel().script({ kind: 'hang', before: 'Half' });
    const { chat, conversations } = fixture.assemble({ model, clock });
    const { id } = await fixture.conversation();
    const reply = chat.reply({ ...owner(), conversationId: id, content: 'Still there?' });
    reply.catch(() => undefined);
    await model.untilHanging();
    await conversations.delete({ ...owner(), conversationId: id });
    await clock.advance(5_000);
    await expect(reply).rejects.toThrow(ConversationNotFoundError);
    expect(model.cancelled).toBe(1);
    expect(await fixture.messages(id)).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('between the model’s last word and its storing leaves no answer behind', async () => {
    const { chat, conversations } = fixture.assemble();
    const { id } = await fixture.conversation();
    const events = chat.replyStream({ ...owner(), conversationId: id, content: 'Quick?' });
    const outcome = (async () => {
      for await (const event of events)
        if (event.type === 'delta') await conversations.delete({ ...owner(), conversationId: id });
    })();
    await outcome.catch((error) => expect(error).toBeInstanceOf(ConversationNotFoundError));
    expect(await fixture.messages(id)).toEqual([]);
  });
});
