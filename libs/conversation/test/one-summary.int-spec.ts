import type { ChatModel, ChatRequest } from '@sparkle/llm';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SummaryRequest, SummaryRequests } from '../src/index.js';
import { RecordingSummaryRequests, ScriptedChatModel } from '../src/testing/index.js';
import { Fixture } from './fixture.js';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.open();
});
afterAll(async () => {
  await fixture?.db.drop();
});

/** A scripted model whose summaries are written as `generate` says. */
function summarisedBy(generate: (request: ChatRequest, write: ChatModel['generate']) => Promise<unknown>) {
  const model = new ScriptedChatModel(({ context }) => `${context?.[0]?.id}-${context?.at(-1)?.id}`);
  const write = model.generate.bind(model);
  return Object.assign(model, {
    generate: (request: ChatRequest) =>
      request.task === 'summarise' ? generate(request, write) : write(request),
  });
}

function ranges(conversationId: string) {
  return fixture.db.database.withTenant(fixture.tenantId, (sql) =>
    sql.query<{ from_seq: number; to_seq: number }>(
      `SELECT from_seq, to_seq FROM conversation_summaries
       WHERE tenant_id = $1 AND conversation_id = $2 ORDER BY to_seq`,
      [fixture.tenantId, conversationId],
    ),
  );
}

describe('of each state of a conversation there is one summary', () => {
  it('however many workers make it, and however their model calls interleave', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 2, max: 5 }),
        fc.integer({ min: 24, max: 60 }),
        async (scheduler, workers, length) => {
          const model = summarisedBy(async (request, write) => {
            await scheduler.schedule(Promise.resolve());
            return write(request);
          });
          const { id: conversationId } = await fixture.conversation(length);
          const results = await scheduler.waitFor(
            Promise.all(
              Array.from({ length: workers }, () =>
                fixture.assemble({ model }).summaries.process({ tenantId: fixture.tenantId, conversationId }),
              ),
            ),
          );
          const stored = await ranges(conversationId);
          expect(results.reduce((sum, { made }) => sum + made, 0)).toBe(stored.length);
          for (const [index, { from_seq }] of stored.entries())
            expect(from_seq).toBe((stored[index - 1]?.to_seq ?? 0) + 1);
          expect(stored.at(-1)?.to_seq).toBe(length - 5);
        },
      ),
      { numRuns: 12, endOnFailure: true },
    );
  });

  it('and one request for it, however many turns end at once', async () => {
    const requests = new RecordingSummaryRequests();
    const { chat } = fixture.assemble({ requests });
    const { id } = await fixture.conversation(40);
    await Promise.all(
      Array.from({ length: 8 }, (_, turn) =>
        chat.reply({
          tenantId: fixture.tenantId,
          userId: 'ada',
          conversationId: id,
          content: `Question ${turn}`,
        }),
      ),
    );
    // 42 to 56 messages call for summaries to message 30, 40 or 50: three states, so three requests at most.
    const asked = requests.requests.map(({ upToSeq }) => upToSeq);
    expect([30, 40, 50]).toEqual(expect.arrayContaining(asked));
    expect(new Set(asked).size).toBe(asked.length);
  });
});

describe('while a summary never gets finished', () => {
  it('every turn is answered all the same, from the window', async () => {
    const stop = new AbortController();
    const atWork: Promise<unknown>[] = [];
    const model = summarisedBy(
      (request) =>
        new Promise((_, reject) =>
          request.signal?.addEventListener('abort', () => reject(request.signal?.reason), { once: true }),
        ),
    );
    const worker = fixture.assemble({ model }).summaries;
    const requests: SummaryRequests = {
      request: async ({ tenantId, conversationId }: SummaryRequest) => {
        atWork.push(worker.process({ tenantId, conversationId, signal: stop.signal }).catch(() => undefined));
      },
    };
    const { chat } = fixture.assemble({ model, requests });
    const { id } = await fixture.conversation();
    const strategies: string[] = [];
    for (let turn = 1; turn <= 30; turn += 1) {
      const { answer, memory } = await chat.reply({
        tenantId: fixture.tenantId,
        userId: 'ada',
        conversationId: id,
        content: `Question ${turn}`,
      });
      expect(answer).not.toBe('');
      expect(memory.shown).toBeLessThanOrEqual(19);
      strategies.push(memory.strategy);
    }
    expect(strategies).toEqual([...Array(10).fill('full'), ...Array(20).fill('window')]);
    expect(atWork.length).toBeGreaterThan(0);
    expect(await ranges(id)).toEqual([]);
    stop.abort();
    await Promise.all(atWork);
  });
});
