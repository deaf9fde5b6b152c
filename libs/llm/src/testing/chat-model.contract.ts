import { parseTenantId } from '@sparkle/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChatModel, ChatRequest, ChatResult } from '../ports/chat-model.port.js';

export interface ChatModelSubject {
  readonly model: ChatModel;
  close(): Promise<void>;
}

/** Every guarantee of the {@link ChatModel} port; run it against each adapter. */
export function chatModelContract(name: string, create: () => Promise<ChatModelSubject>): void {
  describe(`${name} keeps the chat model contract`, () => {
    let subject: ChatModelSubject;
    beforeAll(async () => {
      subject = await create();
    });
    afterAll(() => subject.close());

    const request: ChatRequest = {
      tenantId: parseTenantId('contract'),
      messages: [
        { role: 'system', content: 'Answer from the passages.' },
        { role: 'user', content: 'What is the powerhouse of the cell?' },
      ],
      context: [
        { id: 'c1', kind: 'chunk', text: 'The mitochondrion is the powerhouse of the cell. It makes ATP.' },
      ],
    };

    it('answers with text, usage, a finish reason and the name of the model', async () => {
      const result = await subject.model.generate(request);
      expect(result.text).toContain('mitochondrion');
      expect(result.finishReason).toBe('stop');
      expect(result.model).toBe(subject.model.id);
      expect(result.toolCalls).toEqual([]);
      expect(result.usage.inputTokens).toBeGreaterThan(0);
      expect(result.usage.outputTokens).toBeGreaterThan(0);
      if (subject.model.local) expect(result.usage.costUsd).toBe(0);
    });

    it('streams parts that add up to the result, which comes last and once', async () => {
      let text = '';
      const results: ChatResult[] = [];
      for await (const chunk of subject.model.stream(request)) {
        expect(results).toEqual([]);
        if (chunk.type === 'text') text += chunk.text;
        else results.push(chunk.result);
      }
      expect(results).toHaveLength(1);
      expect(results[0]?.text).toBe(text);
      expect(text).toContain('mitochondrion');
    });

    it('can be left in the middle of a stream', async () => {
      for await (const chunk of subject.model.stream(request)) {
        expect(chunk.type).toBe('text');
        break;
      }
    });

    it('rejects with the reason of a signal that has aborted, plain and streamed', async () => {
      const reason = new Error('gone');
      const aborted = { ...request, signal: AbortSignal.abort(reason) };
      await expect(subject.model.generate(aborted)).rejects.toBe(reason);
      await expect(collect(subject.model, aborted)).rejects.toBe(reason);
    });

    it('stops with the reason of a signal that aborts between two parts', async () => {
      const controller = new AbortController();
      const reason = new Error('left');
      const read = async () => {
        for await (const chunk of subject.model.stream({ ...request, signal: controller.signal })) {
          if (chunk.type === 'text') controller.abort(reason);
          else throw new Error('The stream went on to its end.');
        }
      };
      await expect(read()).rejects.toBe(reason);
    });

    it('counts tokens', () => {
      expect(subject.model.countTokens('')).toBe(0);
      expect(subject.model.countTokens('two words')).toBeGreaterThan(1);
    });
  });
}

async function collect(model: ChatModel, request: ChatRequest): Promise<string> {
  let text = '';
  for await (const chunk of model.stream(request)) if (chunk.type === 'text') text += chunk.text;
  return text;
}
