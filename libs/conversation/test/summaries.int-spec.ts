import {
  type ChatRequest,
  LlmContextTooLongError,
  LlmRateLimitedError,
  LlmUnavailableError,
} from '@sparkle/llm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ScriptedChatModel } from '../src/testing/index.js';
import { Fixture } from './fixture.js';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.open();
});
afterAll(async () => {
  await fixture?.db.drop();
});

/** Names the first and last message or summary it was given. */
function echo(request: ChatRequest): string {
  // Asked for notes, it has none to give.
  if (!request.context) return '';
  const ids = request.context.map(({ kind, id, text }) => (kind === 'summary' ? text : id));
  return request.context[0]!.kind === 'summary' ? `(${ids.join('+')})` : `${ids[0]}-${ids.at(-1)}`;
}

function key(conversationId: string) {
  return { tenantId: fixture.tenantId, conversationId };
}

async function rows(conversationId: string) {
  return fixture.db.database.withTenant(fixture.tenantId, (sql) =>
    sql.query<{ from_seq: number; to_seq: number; content: string; method: string }>(
      `SELECT from_seq, to_seq, content, method FROM conversation_summaries
       WHERE tenant_id = $1 AND conversation_id = $2 ORDER BY to_seq`,
      [fixture.tenantId, conversationId],
    ),
  );
}

async function grow(
  conversationId: string,
  count: number,
  say: (index: number) => string = (n) => `More ${n}.`,
) {
  const { conversations } = fixture.assemble();
  for (let index = 0; index < count; index += 1)
    await conversations.append({
      tenantId: fixture.tenantId,
      userId: 'ada',
      conversationId,
      role: index % 2 === 0 ? 'user' : 'assistant',
      content: say(index),
    });
}

describe('a summary', () => {
  it('is made for a conversation of 24 messages, leaving the half window out', async () => {
    const { summaries } = fixture.assemble({ model: new ScriptedChatModel(echo) });
    const { id } = await fixture.conversation(24);
    expect(await summaries.process(key(id))).toEqual({
      made: 1,
      summarisedTo: 19,
      method: 'model',
      superseded: false,
      embedded: 0,
    });
    expect(await rows(id)).toEqual([{ from_seq: 1, to_seq: 19, content: 'M1-M19', method: 'model' }]);
    expect((await fixture.store((store) => store.find(id)))?.summarisedTo).toBe(19);
  });

  it('is made of batches of twenty, merged in pairs', async () => {
    const model = new ScriptedChatModel(echo);
    const { summaries } = fixture.assemble({ model });
    const { id } = await fixture.conversation(105);
    await summaries.process(key(id));
    expect((await rows(id)).at(-1)?.content).toBe('(((M1-M20+M21-M40)+(M41-M60+M61-M80))+M81-M100)');
  });

  it('grows by what is new only', async () => {
    const model = new ScriptedChatModel(echo);
    const { summaries } = fixture.assemble({ model });
    const { id } = await fixture.conversation(24);
    await summaries.process(key(id));
    const calls = model.requests.length;
    expect(await summaries.process(key(id))).toMatchObject({ made: 0, summarisedTo: 19 });
    expect(model.requests).toHaveLength(calls);
    await grow(id, 10);
    await summaries.process(key(id));
    expect(
      model.requests
        .slice(calls)
        .filter(({ task }) => task)
        .map(echo),
    ).toEqual(['M20-M29', '(M1-M19+M20-M29)']);
    expect(await rows(id)).toMatchObject([
      { to_seq: 19 },
      { from_seq: 20, to_seq: 29, content: '(M1-M19+M20-M29)' },
    ]);
  });

  it('of a very long conversation is stored step by step, so that a crash loses one step', async () => {
    const model = new ScriptedChatModel(echo);
    const { summaries } = fixture.assemble({ model, options: { summaries: { batchesPerStep: 1 } } });
    const { id } = await fixture.conversation(65);
    const controller = new AbortController();
    model.script({ kind: 'text', text: 'first' }, { kind: 'text', text: 'no notes' }, { kind: 'hang' });
    const run = summaries.process({ ...key(id), signal: controller.signal });
    run.catch(() => undefined);
    await model.untilHanging();
    controller.abort(new Error('worker stops'));
    await expect(run).rejects.toThrow('worker stops');
    expect(model.cancelled).toBe(1);
    expect(await rows(id)).toMatchObject([{ to_seq: 20, content: 'first' }]);
    expect(await summaries.process(key(id))).toMatchObject({ made: 2, summarisedTo: 60 });
    expect(await rows(id)).toMatchObject([{ to_seq: 20 }, { to_seq: 40 }, { to_seq: 60 }]);
  });

  it('is stored once when two workers make it at the same time', async () => {
    const { id } = await fixture.conversation(30);
    const results = await Promise.all(
      Array.from({ length: 5 }, () =>
        fixture.assemble({ model: new ScriptedChatModel(echo) }).summaries.process(key(id)),
      ),
    );
    expect(results.reduce((sum, { made }) => sum + made, 0)).toBe(1);
    expect(results.every(({ summarisedTo }) => summarisedTo === 25)).toBe(true);
    expect(await rows(id)).toHaveLength(1);
  });

  it('keeps names, figures, decisions and open questions word for word', async () => {
    const { summaries } = fixture.assemble({ model: new ScriptedChatModel(() => 'They talked.') });
    const facts: Record<number, string> = {
      1: 'Hi! My name is Ada Lovelace.',
      2: 'Nice to meet you.',
      3: 'My exam is on 12 May.',
      5: "Let's start with thermodynamics.",
      7: 'What is the meaning of life?',
      8: 'I do not know; the material does not say.',
      9: 'What is entropy?',
      10: 'Disorder.',
      11: '我叫小明。我打算先学微积分。',
    };
    const { id } = await fixture.conversation(24, (seq) => facts[seq] ?? 'Right.');
    await summaries.process(key(id));
    const stored = await fixture.store((store) => store.latestSummary(id, 1_000));
    expect(stored?.notes).toEqual([
      { kind: 'name', text: 'My name is Ada Lovelace.', seq: 1 },
      { kind: 'number', text: 'My exam is on 12 May.', seq: 3 },
      { kind: 'decision', text: "Let's start with thermodynamics.", seq: 5 },
      { kind: 'question', text: 'What is the meaning of life?', seq: 7 },
      { kind: 'question', text: 'What is entropy?', seq: 9, answered: true },
      { kind: 'decision', text: '我打算先学微积分。', seq: 11 },
      { kind: 'name', text: '我叫小明。', seq: 11 },
    ]);
  });

  it('replaces what is contradicted later, and shows the model what holds now', async () => {
    const model = new ScriptedChatModel(({ task }) => (task === 'summarise' ? 'They talked.' : 'Yes [S1].'));
    const { summaries, memory } = fixture.assemble({ model });
    const { id } = await fixture.conversation(25, (seq) =>
      seq === 1 ? 'My exam is on 3 May.' : seq === 3 ? 'My dog is called Rex.' : 'Right.',
    );
    await summaries.process(key(id));
    await grow(id, 10, (index) => (index === 2 ? 'The exam was moved to 10 May.' : 'Right.'));
    await summaries.process(key(id));
    const stored = await fixture.store((store) => store.latestSummary(id, 1_000));
    expect(stored?.notes).toEqual([
      { kind: 'number', text: 'My exam is on 3 May.', seq: 1, supersededBy: 28 },
      { kind: 'name', text: 'My dog is called Rex.', seq: 3 },
      { kind: 'number', text: 'The exam was moved to 10 May.', seq: 28 },
    ]);
    const context = await memory.assemble({ ...key(id), question: 'When?', tokenBudget: 1_000 });
    expect(context.summary?.text).toBe(
      'They talked.\nUser: My dog is called Rex.\nUser: The exam was moved to 10 May.',
    );
  });

  it('serves the next answer, facts included', async () => {
    const model = new ScriptedChatModel(({ task }) => (task === 'summarise' ? 'They met.' : 'Ada [S1].'));
    const { summaries, chat } = fixture.assemble({ model });
    const { id } = await fixture.conversation(24, (seq) => (seq === 1 ? 'My name is Ada.' : 'Right.'));
    await summaries.process(key(id));
    const turn = await chat.reply({
      tenantId: fixture.tenantId,
      userId: 'ada',
      conversationId: id,
      content: 'Who am I?',
    });
    expect(turn.memory).toMatchObject({ strategy: 'summary-window', summarisedTo: 19, shown: 5, bridged: 0 });
    expect(turn.citations).toMatchObject([{ id: 'S1', kind: 'summary' }]);
    const request = model.requests.at(-1)!;
    expect(request.context).toContainEqual({
      id: 'S1',
      kind: 'summary',
      text: 'They met.\nUser: My name is Ada.',
    });
    expect(request.messages[0]!.content).toContain('<passage id="S1" kind="summary">\nThey met.');
  });
});

describe('when the model fails, a summary', () => {
  it('is made from fewer messages at a time on a token limit', async () => {
    const model = new ScriptedChatModel(echo).script({
      kind: 'error',
      error: new LlmContextTooLongError('scripted'),
    });
    const { summaries } = fixture.assemble({ model });
    const { id } = await fixture.conversation(25);
    expect(await summaries.process(key(id))).toMatchObject({ method: 'model-split', summarisedTo: 20 });
    expect(await rows(id)).toMatchObject([{ content: '(M1-M10+M11-M20)', method: 'model-split' }]);
  });

  it('is made without a model when even one message is too long', async () => {
    const model = new ScriptedChatModel((request) => {
      throw new LlmContextTooLongError(`scripted ${request.context!.length}`);
    });
    const { summaries } = fixture.assemble({ model });
    const { id } = await fixture.conversation(25);
    expect(await summaries.process(key(id))).toMatchObject({ method: 'model-split', summarisedTo: 20 });
    expect((await rows(id))[0]!.content).toContain('Message number 1 of the talk.');
  });

  it('picks sentences on a rate limit, at once, without asking again', async () => {
    const model = new ScriptedChatModel(echo).script({
      kind: 'error',
      error: new LlmRateLimitedError('scripted'),
    });
    const { summaries } = fixture.assemble({ model });
    const { id } = await fixture.conversation(25, (seq) =>
      seq === 3 ? 'Photosynthesis turns light into sugar.' : 'Photosynthesis needs light.',
    );
    expect(await summaries.process(key(id))).toMatchObject({
      made: 1,
      method: 'heuristic',
      summarisedTo: 20,
    });
    expect(model.requests).toHaveLength(1);
    expect((await rows(id))[0]!.content).toContain('Photosynthesis');
  });

  it('holds the last three messages after any other failure, and is made anew when the model is back', async () => {
    const model = new ScriptedChatModel(echo).script({
      kind: 'error',
      error: new LlmUnavailableError('scripted', 'down'),
    });
    const { summaries } = fixture.assemble({ model });
    const { id } = await fixture.conversation(25);
    expect(await summaries.process(key(id))).toMatchObject({ method: 'last-messages', summarisedTo: 20 });
    expect((await rows(id))[0]!.content).toBe(
      'Assistant: Message number 18 of the talk.\nUser: Message number 19 of the talk.\n' +
        'Assistant: Message number 20 of the talk.',
    );
    await grow(id, 10);
    await summaries.process(key(id));
    expect((await rows(id)).at(-1)).toMatchObject({
      from_seq: 1,
      to_seq: 30,
      content: '(M1-M20+M21-M30)',
      method: 'model',
    });
  });

  it('does not lose what was known before', async () => {
    const model = new ScriptedChatModel(echo);
    const { summaries } = fixture.assemble({ model });
    const { id } = await fixture.conversation(25);
    await summaries.process(key(id));
    await grow(id, 10);
    model.script({ kind: 'error', error: new Error('odd') });
    await summaries.process(key(id));
    expect((await rows(id)).at(-1)).toMatchObject({ method: 'last-messages' });
    expect((await rows(id)).at(-1)!.content).toMatch(/^M1-M20\n/);
  });
});

describe('warm-up', () => {
  it('finds long conversations without a summary, of every tenant, and no others', async () => {
    const { summaries, conversations } = fixture.assemble({ model: new ScriptedChatModel(echo) });
    const short = await fixture.conversation(30);
    const long = await fixture.conversation(31);
    const summarised = await fixture.conversation(31);
    await summaries.process(key(summarised.id));
    const foreign = await conversations.create({ tenantId: fixture.otherTenantId, userId: 'bob' });
    for (let index = 0; index < 31; index += 1)
      await conversations.append({
        tenantId: fixture.otherTenantId,
        userId: 'bob',
        conversationId: foreign.id,
        role: 'user',
        content: 'Hi',
      });
    const found = await summaries.warmupCandidates();
    expect(found).toContainEqual({ tenantId: fixture.tenantId, conversationId: long.id, messageCount: 31 });
    expect(found).toContainEqual({
      tenantId: fixture.otherTenantId,
      conversationId: foreign.id,
      messageCount: 31,
    });
    const ids = found.map(({ conversationId }) => conversationId);
    expect(ids).not.toContain(short.id);
    expect(ids).not.toContain(summarised.id);
  });
});
