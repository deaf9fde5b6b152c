import { TestClock } from '@sparkle/contracts/testing';
import type { ChatRequest } from '@sparkle/llm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { MessageInProgressError, type Tool, TurnLostError } from '../src/index.js';
import { type Script, ScriptedChatModel, ScriptedRetriever } from '../src/testing/index.js';
import { Fixture, gate } from './fixture.js';
import { InterruptingDatabase } from './interrupting-database.js';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.open();
});
afterAll(async () => {
  await fixture?.db.drop();
});

const SCRIPTS: readonly Script[] = [
  { kind: 'tools', calls: [{ name: 'look', arguments: {} }] },
  { kind: 'text', text: 'The first answer.' },
];

/** A process that stops for good at one point of its turn: in a transaction, retrieval, a tool or a model call. */
function dyingProcess(isPoint: (point: string) => boolean) {
  const reached = gate();
  const revival = gate();
  let stops = 0;
  const at = async (point: string) => {
    if (stops > 0 || !isPoint(point)) return;
    stops += 1;
    reached.open();
    await revival.opened;
  };
  const points: string[] = [];
  const pass = async (point: string) => {
    points.push(point);
    await at(point);
  };
  const tool: Tool = {
    name: 'look',
    description: 'x',
    schema: z.object({}),
    run: async () => {
      await pass('tool');
      return { passages: [{ text: 'Found.' }] };
    },
  };
  class DyingModel extends ScriptedChatModel {
    override async generate(request: ChatRequest) {
      await pass(`model call ${this.requests.length + 1}`);
      const result = await super.generate(request);
      await pass(`model end ${this.requests.length}`);
      return result;
    }
  }
  class DyingRetriever extends ScriptedRetriever {
    override async retrieve(request: Parameters<ScriptedRetriever['retrieve']>[0]) {
      await pass('retrieval');
      return super.retrieve(request);
    }
  }
  const database = new InterruptingDatabase(fixture.db.database, (transaction, phase) =>
    pass(`transaction ${transaction} ${phase}`),
  );
  const { chat } = fixture.assemble({
    database,
    clock: new TestClock(),
    model: new DyingModel().script(...SCRIPTS),
    retriever: new DyingRetriever(),
    tools: [tool],
  });
  return { chat, points, reached: reached.opened, revive: revival.open };
}

describe('a process that dies in the middle of a turn', () => {
  it('at any point leaves a message that a retry answers exactly once, and writes nothing if it comes back', async () => {
    const whole = dyingProcess(() => false);
    const { id: first } = await fixture.conversation();
    const request = (conversationId: string) => ({
      tenantId: fixture.tenantId,
      userId: 'ada',
      conversationId,
      content: 'Are you there?',
      idempotencyKey: 'k',
    });
    await whole.chat.reply(request(first));
    // Look-up, claim, memory and answer: each before its transaction and after its commit.
    expect(whole.points.filter((point) => point.startsWith('transaction'))).toHaveLength(8);
    expect(whole.points).toEqual(
      expect.arrayContaining([
        'retrieval',
        'model call 1',
        'model end 1',
        'tool',
        'model call 2',
        'model end 2',
      ]),
    );

    for (const point of whole.points) {
      const dead = dyingProcess((reached) => reached === point);
      const { id } = await fixture.conversation();
      const lost = dead.chat.reply(request(id)).then(
        (turn) => turn.answer,
        (error) => error,
      );
      await dead.reached;
      const retry = fixture.assemble({ model: new ScriptedChatModel(() => 'The second answer.') }).chat;
      const stored = await fixture.messages(id);
      const answered = stored.length === 2;
      if (stored.length === 1) {
        await expect(retry.reply(request(id)), point).rejects.toThrow(MessageInProgressError);
        await fixture.expireClaims(id);
      }
      const turn = await retry.reply(request(id));
      expect([point, turn.answer]).toEqual([point, answered ? 'The first answer.' : 'The second answer.']);
      expect(turn.replayed).toBe(answered);

      // Not dead after all, only slow: it finds that it came too late, or the answer that is there.
      dead.revive();
      const outcome = await lost;
      if (!answered && outcome instanceof Error)
        expect([point, outcome]).toEqual([point, new TurnLostError()]);
      else expect([point, outcome]).toEqual([point, turn.answer]);
      const final = await fixture.messages(id);
      expect(final.map(({ seq, role, content }) => [seq, role, content])).toEqual([
        [1, 'user', 'Are you there?'],
        [2, 'assistant', turn.answer],
      ]);
      expect(final[0]!.metadata.turn).toEqual({ state: 'answered' });
    }
  });
});
