import { type ConversationEvent, channels } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { LlmUnavailableError } from '@sparkle/llm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Admission,
  AnswerEmptyError,
  ConversationNotFoundError,
  IdempotencyKeyReusedError,
  MessageEmptyError,
  MessageInProgressError,
  MessageTooLongError,
  TurnCancelledError,
  type TurnEvent,
  TurnLostError,
  TurnTimeoutError,
} from '../src/index.js';
import { RecordingSummaryRequests, ScriptedChatModel, ScriptedRetriever } from '../src/testing/index.js';
import { Fixture } from './fixture.js';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.open();
});
afterAll(async () => {
  await fixture?.db.drop();
});

function ask(
  conversationId: string,
  content: string,
  more: { idempotencyKey?: string; signal?: AbortSignal } = {},
) {
  return { tenantId: fixture.tenantId, userId: 'ada', conversationId, content, ...more };
}

async function collect(events: AsyncIterable<TurnEvent>): Promise<TurnEvent[]> {
  const all: TurnEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

describe('a turn', () => {
  it('walks through every state in order and stores question and answer', async () => {
    const retriever = new ScriptedRetriever();
    retriever.passages = [{ id: 'C1', kind: 'chunk', text: 'Entropy measures disorder.' }];
    retriever.linked = [{ id: 'n1', name: 'Entropy' }];
    const model = new ScriptedChatModel().script({ kind: 'text', text: 'It measures disorder [C1] [C9].' });
    const { chat } = fixture.assemble({ model, retriever });
    const { id } = await fixture.conversation();
    const turn = await chat.reply(ask(id, 'What is entropy?'));
    expect(turn.trace.map(({ from, to }) => `${from}>${to}`)).toEqual([
      'received>admitted',
      'admitted>recalled',
      'recalled>retrieved',
      'retrieved>model',
      'model>answered',
      'answered>persisted',
    ]);
    expect(turn).toMatchObject({
      answer: 'It measures disorder [C1].',
      replayed: false,
      model: 'scripted',
      memory: { strategy: 'full', length: 0 },
      retrieval: {
        strategy: 'scripted',
        passages: 1,
        query: 'What is entropy?',
        linked: [{ name: 'Entropy' }],
      },
      citations: [{ id: 'C1', quote: 'Entropy measures disorder.' }],
      replyTo: 1,
    });
    const stored = await fixture.messages(id);
    expect(stored.map(({ seq, role }) => [seq, role])).toEqual([
      [1, 'user'],
      [2, 'assistant'],
    ]);
    expect(stored[1]!.metadata).toMatchObject({ replyTo: 1, usage: turn.usage });
    expect((await fixture.store((store) => store.find(id)))?.title).toBe('What is entropy?');
  });

  it('stores the user message before the model is called', async () => {
    const model = new ScriptedChatModel().script({ kind: 'hang', text: 'Done.' });
    const { chat } = fixture.assemble({ model });
    const { id } = await fixture.conversation();
    const reply = chat.reply(ask(id, 'Are you there?'));
    await model.untilHanging();
    expect((await fixture.messages(id)).map(({ content }) => content)).toEqual(['Are you there?']);
    model.release();
    expect((await reply).answer).toBe('Done.');
  });

  it('streams states and text, and ends with the whole turn', async () => {
    const model = new ScriptedChatModel().script({ kind: 'text', text: 'One two three.' });
    const { chat } = fixture.assemble({ model });
    const { id } = await fixture.conversation();
    const events = await collect(chat.replyStream(ask(id, 'Count.')));
    expect(events.flatMap((event) => (event.type === 'state' ? [event.state] : []))).toEqual([
      'admitted',
      'recalled',
      'retrieved',
      'model',
      'answered',
      'persisted',
    ]);
    expect(events.flatMap((event) => (event.type === 'delta' ? [event.text] : [])).join('')).toBe(
      'One two three.',
    );
    expect(events.at(-1)).toMatchObject({ type: 'turn', turn: { answer: 'One two three.' } });
  });

  it('is refused for anybody but its owner, with the same error as a conversation that does not exist', async () => {
    const { chat, conversations } = fixture.assemble();
    const { id } = await fixture.conversation(2);
    const foreign = [
      { ...ask(id, 'Hi'), userId: 'eve' },
      { ...ask(id, 'Hi'), tenantId: fixture.otherTenantId },
      ask('00000000-0000-4000-8000-000000000000', 'Hi'),
      ask("x'; DROP TABLE messages; --", 'Hi'),
    ];
    for (const request of foreign) {
      await expect(chat.reply(request)).rejects.toThrow(ConversationNotFoundError);
      await expect(collect(chat.replyStream(request))).rejects.toThrow(ConversationNotFoundError);
      await expect(conversations.messages(request)).rejects.toThrow(ConversationNotFoundError);
      await expect(conversations.get(request)).rejects.toThrow(ConversationNotFoundError);
      await expect(conversations.append({ ...request, role: 'user' })).rejects.toThrow(
        ConversationNotFoundError,
      );
    }
    expect(await fixture.messages(id)).toHaveLength(2);
  });

  it('refuses empty and oversized messages and stores nothing', async () => {
    const { chat } = fixture.assemble();
    const { id } = await fixture.conversation();
    await expect(chat.reply(ask(id, ' \n\t\u200b'))).rejects.toThrow(MessageEmptyError);
    await expect(chat.reply(ask(id, 'x'.repeat(32_001)))).rejects.toThrow(MessageTooLongError);
    await expect(chat.reply(ask(id, 'a\0b'))).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
    await expect(chat.reply(ask(id, 'Hi', { idempotencyKey: 'ü' }))).rejects.toMatchObject({
      code: 'IDEMPOTENCY_KEY_INVALID',
    });
    expect(await fixture.messages(id)).toEqual([]);
  });

  it('takes a message of the greatest length, Chinese, with half a surrogate pair in it', async () => {
    const { chat } = fixture.assemble({ model: new ScriptedChatModel(() => '好的') });
    const { id } = await fixture.conversation();
    const content = `${'熵'.repeat(31_998)}\ud83d?`;
    const first = await chat.reply(ask(id, content, { idempotencyKey: 'k' }));
    const second = await chat.reply(ask(id, content, { idempotencyKey: 'k' }));
    expect(first.answer).toBe('好的');
    expect(second.replayed).toBe(true);
  });
});

describe('a retry with the same key', () => {
  it('gets the stored turn without a second model call', async () => {
    const model = new ScriptedChatModel();
    const retriever = new ScriptedRetriever();
    retriever.paths = [{ nodes: ['a', 'b'] }];
    const { chat } = fixture.assemble({ model, retriever });
    const { id } = await fixture.conversation();
    const first = await chat.reply(ask(id, 'Hello?', { idempotencyKey: 'k1' }));
    const second = await chat.reply(ask(id, 'Hello?', { idempotencyKey: 'k1' }));
    const streamed = await collect(chat.replyStream(ask(id, 'Hello?', { idempotencyKey: 'k1' })));
    expect(second.replayed).toBe(true);
    const { trace: storedTrace, replayed: _, ...rest } = second;
    expect({ ...first, question: undefined }).toMatchObject({ ...rest, question: undefined });
    expect(first.trace.slice(0, -1)).toEqual(storedTrace);
    expect(streamed).toMatchObject([{ type: 'state', state: 'persisted' }, { type: 'turn' }]);
    expect(model.requests).toHaveLength(1);
    expect(await fixture.messages(id)).toHaveLength(2);
  });

  it('is refused when it carries another message', async () => {
    const { chat } = fixture.assemble();
    const { id } = await fixture.conversation();
    await chat.reply(ask(id, 'Hello?', { idempotencyKey: 'k' }));
    await expect(chat.reply(ask(id, 'Bye?', { idempotencyKey: 'k' }))).rejects.toThrow(
      IdempotencyKeyReusedError,
    );
    expect(await fixture.messages(id)).toHaveLength(2);
  });

  it('twenty at once over two processes make one turn', async () => {
    const model = new ScriptedChatModel();
    const processes = [fixture.assemble({ model }), fixture.assemble({ model })];
    const { id } = await fixture.conversation();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, (_, index) =>
        processes[index % 2]!.chat.reply(ask(id, 'Once?', { idempotencyKey: 'same' })),
      ),
    );
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(outcomes.length - refused.length).toBeGreaterThanOrEqual(1);
    for (const { reason } of refused) {
      expect(reason).toBeInstanceOf(MessageInProgressError);
      expect(reason).toMatchObject({ retryable: true });
      expect(reason.retryAfterMs).toBeGreaterThan(0);
    }
    expect(model.requests).toHaveLength(1);
    expect(await fixture.messages(id)).toHaveLength(2);
    const again = await processes[1]!.chat.reply(ask(id, 'Once?', { idempotencyKey: 'same' }));
    expect(again.replayed).toBe(true);
  });

  it('answers a message whose process died, once the claim has run out, and not before', async () => {
    const { chat } = fixture.assemble();
    const { id } = await fixture.conversation();
    const claim = (leaseMs: number) =>
      fixture.store((store) => store.recordTurn(id, 1, { state: 'answering', claim: 'dead' }, leaseMs));
    await fixture.store(async (store) => {
      const conversation = (await store.find(id, { lock: true }))!;
      await store.append(conversation, {
        role: 'user',
        content: 'Lost?',
        idempotencyKey: 'k',
        metadata: {},
        tokens: 2,
      });
    });
    await claim(60_000);
    await expect(chat.reply(ask(id, 'Lost?', { idempotencyKey: 'k' }))).rejects.toThrow(
      MessageInProgressError,
    );
    await claim(-1);
    const turn = await chat.reply(ask(id, 'Lost?', { idempotencyKey: 'k' }));
    expect(turn.answer).toBe('Answer to: Lost?');
    expect((await fixture.messages(id)).map(({ seq, role }) => [seq, role])).toEqual([
      [1, 'user'],
      [2, 'assistant'],
    ]);
  });

  it('answers at once what a model failure left unanswered, and keeps the failure and its trace', async () => {
    const model = new ScriptedChatModel().script({
      kind: 'error',
      error: new LlmUnavailableError('scripted', 'down'),
      after: 'Half of',
    });
    const { chat } = fixture.assemble({ model });
    const { id } = await fixture.conversation();
    await expect(collect(chat.replyStream(ask(id, 'Again?', { idempotencyKey: 'k' })))).rejects.toMatchObject(
      {
        code: 'LLM_UNAVAILABLE',
      },
    );
    const [question, ...others] = await fixture.messages(id);
    expect(others).toEqual([]);
    expect(question!.metadata.turn).toMatchObject({ state: 'failed', code: 'LLM_UNAVAILABLE' });
    expect(JSON.stringify(question!.metadata)).toContain('"to":"failed"');
    const turn = await chat.reply(ask(id, 'Again?', { idempotencyKey: 'k' }));
    expect(turn.answer).toBe('Answer to: Again?');
    expect(await fixture.messages(id)).toHaveLength(2);
  });

  it('completes an answer that was cut short, under its old number', async () => {
    const model = new ScriptedChatModel().script({ kind: 'hang', before: 'The first half' });
    const { chat } = fixture.assemble({ model });
    const { id } = await fixture.conversation();
    const controller = new AbortController();
    const stream = collect(
      chat.replyStream(ask(id, 'Long?', { idempotencyKey: 'k', signal: controller.signal })),
    );
    stream.catch(() => undefined);
    await model.untilHanging();
    controller.abort();
    await expect(stream).rejects.toThrow(TurnCancelledError);
    await chat.reply(ask(id, 'Something else.'));
    const turn = await chat.reply(ask(id, 'Long?', { idempotencyKey: 'k' }));
    expect(turn.replayed).toBe(false);
    expect((await fixture.messages(id)).map(({ seq, content }) => [seq, content])).toEqual([
      [1, 'Long?'],
      [2, 'Answer to: Long?'],
      [3, 'Something else.'],
      [4, 'Answer to: Something else.'],
    ]);
  });
});

describe('many turns at once', () => {
  it('twenty different messages make forty messages without a gap, each answer pointing at its question', async () => {
    const { chat } = fixture.assemble();
    const { id } = await fixture.conversation();
    const turns = await Promise.all(
      Array.from({ length: 20 }, (_, index) => chat.reply(ask(id, `Question ${index}?`))),
    );
    const stored = await fixture.messages(id);
    expect(stored.map(({ seq }) => seq)).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
    for (const turn of turns) {
      expect(turn.answer).toBe(`Answer to: ${turn.question.content}`);
      expect(stored[turn.reply.seq - 1]!.metadata.replyTo).toBe(turn.question.seq);
    }
    expect((await fixture.store((store) => store.find(id)))?.messageCount).toBe(40);
  });
});

describe('a caller that leaves', () => {
  it('cancels the model call and keeps the text so far, marked as cancelled', async () => {
    const model = new ScriptedChatModel().script({ kind: 'hang', before: 'Once upon a time' });
    const { chat } = fixture.assemble({ model });
    const { id } = await fixture.conversation();
    const events: ConversationEvent[] = [];
    const stop = channels.conversation.subscribe((event) => events.push(event));
    for await (const event of chat.replyStream(ask(id, 'Tell me a story.')))
      if (event.type === 'delta') break;
    stop();
    expect(model.cancelled).toBe(1);
    const [question, partial] = await fixture.messages(id);
    expect(partial).toMatchObject({ content: 'Once upon a time', metadata: { cancelled: true, replyTo: 1 } });
    expect(question!.metadata.turn).toMatchObject({ state: 'cancelled' });
    expect(events).toMatchObject([{ kind: 'turn', outcome: 'cancelled' }]);
  });

  it('ends the stream at once also while the model is silent', async () => {
    const model = new ScriptedChatModel().script({ kind: 'hang' });
    const { chat } = fixture.assemble({ model });
    const { id } = await fixture.conversation();
    const stream = chat.replyStream(ask(id, 'Hm?'));
    let pending = stream.next();
    while ((await Promise.race([pending.then(() => true), model.untilHanging().then(() => false)])) === true)
      pending = stream.next();
    await stream.return?.();
    expect(await pending).toEqual({ done: true, value: undefined });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(model.cancelled).toBe(1);
    const messages = await fixture.messages(id);
    expect(messages.map(({ metadata }) => metadata.turn)).toMatchObject([{ state: 'cancelled' }]);
  });

  it('that never came in makes no model call', async () => {
    const model = new ScriptedChatModel();
    const { chat } = fixture.assemble({ model });
    const { id } = await fixture.conversation();
    await expect(chat.reply(ask(id, 'Hi', { signal: AbortSignal.abort() }))).rejects.toThrow(
      TurnCancelledError,
    );
    const stream = chat.replyStream(ask(id, 'Hi'));
    await stream.return?.();
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(model.requests).toEqual([]);
    expect(await fixture.messages(id)).toEqual([]);
  });

  it('does not undo an answer that is complete already', async () => {
    const model = new ScriptedChatModel();
    const { chat } = fixture.assemble({ model });
    const { id } = await fixture.conversation();
    const controller = new AbortController();
    const seen: TurnEvent[] = [];
    for await (const event of chat.replyStream(ask(id, 'Quick?', { signal: controller.signal }))) {
      seen.push(event);
      if (event.type === 'state' && event.state === 'answered') controller.abort();
    }
    expect(seen.at(-1)).toMatchObject({ type: 'turn', turn: { answer: 'Answer to: Quick?' } });
  });
});

describe('time', () => {
  it('a state that overruns its budget fails the turn, cancels its work and frees the message', async () => {
    const clock = new TestClock();
    const model = new ScriptedChatModel().script({ kind: 'hang', before: 'Slow' });
    const { chat } = fixture.assemble({
      model,
      clock,
      options: { turn: { budgetsMs: { model: 4_000 } } },
    });
    const { id } = await fixture.conversation();
    const reply = chat.reply(ask(id, 'Soon?', { idempotencyKey: 'k' }));
    reply.catch(() => undefined);
    await model.untilHanging();
    await clock.advance(4_000);
    await expect(reply).rejects.toMatchObject({
      code: 'TURN_TIMED_OUT',
      state: 'model',
      budgetMs: 4_000,
      budgetOf: 'state',
    });
    await expect(reply).rejects.toThrow(TurnTimeoutError);
    expect(model.cancelled).toBe(1);
    expect((await chat.reply(ask(id, 'Soon?', { idempotencyKey: 'k' }))).answer).toBe('Answer to: Soon?');
    expect(clock.pendingTimers).toBe(0);
  });

  it('a turn whose states are each in time fails when all its time is up', async () => {
    const clock = new TestClock();
    const model = new ScriptedChatModel().script({ kind: 'hang' });
    const { chat } = fixture.assemble({ model, clock, options: { turn: { totalMs: 9_000 } } });
    const { id } = await fixture.conversation();
    const reply = chat.reply(ask(id, 'Soon?'));
    reply.catch(() => undefined);
    await model.untilHanging();
    await clock.advance(9_000);
    await expect(reply).rejects.toMatchObject({ state: 'model', budgetMs: 9_000, budgetOf: 'turn' });
    expect(model.cancelled).toBe(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it('a turn keeps its claim alive while the model is at work', async () => {
    const clock = new TestClock();
    const model = new ScriptedChatModel().script({ kind: 'hang', text: 'At last.' });
    const { chat } = fixture.assemble({ model, clock });
    const { id } = await fixture.conversation();
    const reply = chat.reply(ask(id, 'Slow?', { idempotencyKey: 'k' }));
    await model.untilHanging();
    const until = async () => {
      const [question] = await fixture.messages(id);
      return (question!.metadata.turn as { until: number }).until;
    };
    const before = await until();
    await fixture.store((store) => store.renewClaim(id, 1, 'not-the-claim', 60_000));
    expect(await until()).toBe(before);
    await clock.advance(5_000);
    await expect.poll(until).toBeGreaterThan(before);
    model.release();
    await reply;
    expect(clock.pendingTimers).toBe(0);
  });

  it('a turn that lost its claim stops its model call and writes nothing', async () => {
    const clock = new TestClock();
    const model = new ScriptedChatModel().script({ kind: 'hang', before: 'Mine' });
    const { chat } = fixture.assemble({ model, clock });
    const { id } = await fixture.conversation();
    const reply = chat.reply(ask(id, 'Whose?', { idempotencyKey: 'k' }));
    reply.catch(() => undefined);
    await model.untilHanging();
    await fixture.store((store) => store.recordTurn(id, 1, { state: 'answering', claim: 'thief' }, 60_000));
    await clock.advance(5_000);
    await expect(reply).rejects.toThrow(TurnLostError);
    expect(model.cancelled).toBe(1);
    const messages = await fixture.messages(id);
    expect(messages).toHaveLength(1);
    expect(messages[0]!.metadata.turn).toMatchObject({ state: 'answering', claim: 'thief' });
  });
});

describe('admission', () => {
  it('that refuses reaches the caller as it is, and nothing is stored', async () => {
    const refusal = new Error('too many');
    const admission: Admission = { admit: () => Promise.reject(refusal) };
    const { chat } = fixture.assemble({ admission });
    const { id } = await fixture.conversation();
    await expect(chat.reply(ask(id, 'Hi'))).rejects.toBe(refusal);
    expect(await fixture.messages(id)).toEqual([]);
  });

  it('settles exactly once with what was used, also after failure and cancellation, and not for replays', async () => {
    const settled: (number | undefined)[] = [];
    const admission: Admission = {
      admit: async () => ({ settle: async (usage) => void settled.push(usage?.outputTokens) }),
    };
    const model = new ScriptedChatModel().script(
      { kind: 'text', text: 'Four' },
      { kind: 'error', error: new Error('broken') },
      { kind: 'text', text: ' ' },
      { kind: 'hang', before: 'Eight ch' },
    );
    const { chat } = fixture.assemble({ admission, model });
    const { id } = await fixture.conversation();
    await chat.reply(ask(id, 'One', { idempotencyKey: 'one' }));
    await chat.reply(ask(id, 'One', { idempotencyKey: 'one' }));
    await expect(chat.reply(ask(id, 'Two'))).rejects.toThrow('broken');
    await expect(chat.reply(ask(id, 'Three'))).rejects.toThrow(AnswerEmptyError);
    for await (const event of chat.replyStream(ask(id, 'Four'))) if (event.type === 'delta') break;
    expect(settled).toEqual([1, undefined, 1, 2]);
  });
});

describe('follow-ups', () => {
  it('are searched for with the entities of the turn before, through a chain of them', async () => {
    const retriever = new ScriptedRetriever();
    const { chat } = fixture.assemble({ retriever });
    const { id } = await fixture.conversation();
    retriever.linked = [{ id: 'n1', name: 'Entropy' }];
    await chat.reply(ask(id, 'What is entropy?'));
    retriever.linked = [];
    const second = await chat.reply(ask(id, 'And how does it relate to enthalpy?'));
    const third = await chat.reply(ask(id, '它呢？'));
    expect(second.retrieval).toMatchObject({
      query: 'And how does it relate to enthalpy? (Entropy)',
      appended: ['Entropy'],
    });
    expect(third.retrieval.query).toContain('entropy');
    expect(third.retrieval.query).toContain('enthalpy');
    expect(retriever.requests[1]!.history).toMatchObject([{ role: 'user' }, { role: 'assistant' }]);
  });
});

describe('the context', () => {
  it('stays within one budget, whatever retrieval gives', async () => {
    const retriever = new ScriptedRetriever();
    retriever.passages = Array.from({ length: 50 }, (_, index) => ({
      id: `C${index}`,
      kind: 'chunk' as const,
      text: 'word '.repeat(100),
    }));
    const model = new ScriptedChatModel();
    const { chat } = fixture.assemble({
      model,
      retriever,
      options: { turn: { contextTokens: 1_000, memoryTokens: 400 } },
    });
    const { id } = await fixture.conversation(30, (seq) => `Fact ${seq}: ${'long '.repeat(60)}`);
    await chat.reply(ask(id, 'What?'));
    const [request] = model.requests;
    const history = request!.messages.slice(1, -1);
    const cost = (text: string) => model.countTokens(text) + 4;
    const spent =
      history.reduce((sum, { content }) => sum + cost(content), 0) +
      request!.context!.filter(({ kind }) => kind === 'chunk').reduce((sum, { text }) => sum + cost(text), 0);
    expect(spent).toBeLessThanOrEqual(1_000);
    expect(spent).toBeGreaterThan(700);
    expect(retriever.requests[0]!.tokenBudget).toBeGreaterThanOrEqual(400);
  });

  it('shows what the user said before, and cites it', async () => {
    const model = new ScriptedChatModel(() => 'Your name is Ada [M1].');
    const { chat } = fixture.assemble({ model });
    const { id } = await fixture.conversation(2, (seq) => (seq === 1 ? 'My name is Ada.' : 'Hello.'));
    const turn = await chat.reply(ask(id, 'What is my name?'));
    expect(model.requests[0]!.context).toEqual([
      { id: 'M1', kind: 'message', text: 'User: My name is Ada.' },
    ]);
    expect(turn.citations).toEqual([{ id: 'M1', kind: 'message', seq: 1, quote: 'User: My name is Ada.' }]);
  });
});

describe('summaries', () => {
  it('are asked for by turns, never made by them, and once for turns at the same time', async () => {
    const requests = new RecordingSummaryRequests();
    const model = new ScriptedChatModel();
    const { chat } = fixture.assemble({ model, requests });
    const { id } = await fixture.conversation(26);
    await Promise.all(Array.from({ length: 3 }, (_, index) => chat.reply(ask(id, `Question ${index}`))));
    expect(model.requests.every(({ task }) => task === 'answer')).toBe(true);
    expect(requests.requests).toEqual([{ tenantId: fixture.tenantId, conversationId: id, upToSeq: 20 }]);
  });
});
