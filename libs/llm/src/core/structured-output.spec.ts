import { parseTenantId } from '@sparkle/contracts';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { ChatRequest } from '../ports/chat-model.port.js';
import { ScriptedChatModel } from '../testing/scripted-chat.model.js';
import { generateStructured, parseStructuredOutput } from './structured-output.js';

const schema = z.object({ entities: z.array(z.string()) });

describe('reading structured output', () => {
  it.each([
    ['{"entities":["a"]}'],
    ['```json\n{"entities":["a"]}\n```'],
    ['Here you are:\n```\n{"entities":["a"]}\n```\nAnything else?'],
    ['Sure! {"entities":["a"]} Done.'],
  ])('finds the JSON in %j', (text) => {
    expect(parseStructuredOutput(text, schema, 'm')).toEqual({ entities: ['a'] });
  });

  it.each([
    ['no JSON at all', 'no valid JSON'],
    ['{"entities": [', 'no valid JSON'],
    ['{"entities": "a"}', 'does not fit the schema'],
    ['[1, 2]', 'does not fit the schema'],
  ])('refuses %j', (text, reason) => {
    const read = () => parseStructuredOutput(text, schema, 'm');
    expect(read).toThrow(expect.objectContaining({ code: 'LLM_BAD_RESPONSE' }));
    expect(read).toThrow(reason);
  });
});

describe('asking for structured output', () => {
  const request: ChatRequest = {
    tenantId: parseTenantId('acme'),
    messages: [{ role: 'user', content: 'Which entities?' }],
  };

  it('takes the first answer that fits', async () => {
    const model = new ScriptedChatModel('m', '{"entities":["a"]}');
    expect(await generateStructured(model, request, schema)).toMatchObject({
      value: { entities: ['a'] },
      attempts: 1,
      model: 'm',
    });
  });

  it('tells the model what was wrong, and adds up what all attempts used', async () => {
    const model = new ScriptedChatModel(
      'm',
      'Sure, here they are!',
      '{"entities":[1]}',
      '{"entities":["a"]}',
    );
    const { value, attempts, usage } = await generateStructured(model, request, schema);
    expect([value, attempts]).toEqual([{ entities: ['a'] }, 3]);
    expect(usage.inputTokens).toBe(30);
    const [, second, third] = model.requests.map(({ messages }) => messages);
    expect(second?.map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
    expect(second?.[1]?.content).toBe('Sure, here they are!');
    expect(second?.[2]?.content).toContain('no valid JSON');
    // One round of correction at a time: prompts do not grow with the attempts.
    expect(third).toHaveLength(3);
    expect(third?.[2]?.content).toContain('entities.0');
  });

  it('gives up after the repairs it was allowed, and quotes nothing of the answer', async () => {
    const model = new ScriptedChatModel('m', 'my secret thoughts');
    const call = generateStructured(model, request, schema, { maxRepairs: 1 });
    const error = (await call.catch((caught: unknown) => caught)) as Error;
    expect(error).toMatchObject({ code: 'LLM_BAD_RESPONSE' });
    expect(error.message).not.toContain('secret');
    expect(model.requests).toHaveLength(2);
  });
});
