import { parseTenantId } from '@sparkle/contracts';
import { LlmContextTooLongError } from '@sparkle/llm';
import { ScriptedChatModel } from '@sparkle/llm/testing';
import { describe, expect, it } from 'vitest';
import { AnswerService } from '../nest/answer.service.js';
import type { Retrieval, RetrievalService } from '../nest/retrieval.service.js';

const QUESTION = 'What is it?';

/** Twenty passages of about a hundred tokens each, none of which is in the corpus. */
function service(model: ScriptedChatModel): AnswerService {
  const passages = Array.from({ length: 20 }, (_, index) => ({
    id: `C${index + 1}`,
    kind: 'chunk' as const,
    text: `Passage ${index + 1}. ${'words and more words '.repeat(25)}`,
  }));
  const retrieved = {
    context: { passages, sources: new Map(), tokens: 2000 },
    paths: [],
    chunks: [],
    linked: [],
    degraded: false,
  } as unknown as Retrieval;
  return new AnswerService({ retrieve: async () => retrieved } as unknown as RetrievalService, model);
}

const passagesIn = (model: ScriptedChatModel) =>
  model.requests.map(({ messages }) => messages[0]?.content.match(/<passage /gu)?.length);

const request = { tenantId: parseTenantId('acme'), question: QUESTION };

describe('a context that is longer than the model takes', () => {
  it('loses its last passages, and the answer says that it is degraded', async () => {
    const model = new ScriptedChatModel('m', 'It is.');
    model.contextTokens = 2000;
    const answer = await service(model).answer(request);
    const [sent] = passagesIn(model);
    expect(sent).toBeGreaterThan(3);
    expect(sent).toBeLessThan(20);
    expect(model.requests[0]?.context?.map(({ id }) => id)).toEqual(
      Array.from({ length: sent ?? 0 }, (_, index) => `C${index + 1}`),
    );
    expect(answer.retrieval.degraded).toBe(true);
  });

  it('is sent whole to a model that has room, or whose window is not known', async () => {
    for (const contextTokens of [undefined, 100_000]) {
      const model = new ScriptedChatModel('m', 'It is.');
      if (contextTokens !== undefined) model.contextTokens = contextTokens;
      const answer = await service(model).answer(request);
      expect(passagesIn(model)).toEqual([20]);
      expect(answer.retrieval.degraded).toBe(false);
    }
  });

  it.each(['answer', 'stream'] as const)(
    'is sent again with half of its passages, once, when the model finds it too long (%s)',
    async (way) => {
      const model = new ScriptedChatModel('m', new LlmContextTooLongError('m'), 'It is.');
      let degraded: boolean | undefined;
      if (way === 'answer') degraded = (await service(model).answer(request)).retrieval.degraded;
      else
        for await (const chunk of service(model).stream(request))
          if (chunk.type === 'done') degraded = chunk.answer.retrieval.degraded;
      expect(passagesIn(model)).toEqual([20, 10]);
      expect(degraded).toBe(true);
      const hopeless = new ScriptedChatModel('m', new LlmContextTooLongError('m'));
      await expect(service(hopeless).answer(request)).rejects.toMatchObject({ code: 'LLM_CONTEXT_TOO_LONG' });
      expect(passagesIn(hopeless)).toEqual([20, 10]);
    },
  );
});
