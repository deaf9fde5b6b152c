import { parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ChatChunk, ChatRequest } from '../../ports/chat-model.port.js';
import { chatModelContract } from '../../testing/chat-model.contract.js';
import { embeddingModelContract } from '../../testing/embedding-model.contract.js';
import { OpenAiServer } from '../../testing/openai-server.js';
import { OpenAICompatibleChatModel } from './openai-compatible-chat.model.js';
import { OpenAICompatibleEmbeddingModel } from './openai-compatible-embedding.model.js';

const API_KEY = 'sk-very-secret-0123456789';
const tenantId = parseTenantId('acme');
const request: ChatRequest = { tenantId, messages: [{ role: 'user', content: 'Why?' }] };

chatModelContract('OpenAICompatibleChatModel', async () => {
  const server = await OpenAiServer.start();
  return {
    model: new OpenAICompatibleChatModel({ baseUrl: server.baseUrl, apiKey: API_KEY, model: 'test-chat' }),
    close: () => server.stop(),
  };
});

embeddingModelContract('OpenAICompatibleEmbeddingModel', async () => {
  const server = await OpenAiServer.start(32);
  return {
    model: new OpenAICompatibleEmbeddingModel({
      baseUrl: server.baseUrl,
      model: 'test-embed',
      dimensions: 32,
    }),
    close: () => server.stop(),
  };
});

describe('an OpenAI-compatible endpoint', () => {
  let server: OpenAiServer;
  let chat: OpenAICompatibleChatModel;
  let embedding: OpenAICompatibleEmbeddingModel;
  beforeAll(async () => {
    server = await OpenAiServer.start();
    const clock = new TestClock(Date.UTC(2026, 0, 1));
    chat = new OpenAICompatibleChatModel({
      baseUrl: server.baseUrl,
      apiKey: API_KEY,
      model: 'test-chat',
      inputPricePerMillion: 2,
      outputPricePerMillion: 8,
      clock,
    });
    embedding = new OpenAICompatibleEmbeddingModel({
      baseUrl: server.baseUrl,
      apiKey: API_KEY,
      model: 'test-embed',
      dimensions: 8,
      batchSize: 2,
    });
  });
  afterEach(() => server.reset());
  afterAll(() => server.stop());

  const collect = async (asked: ChatRequest = request) => {
    const chunks: ChatChunk[] = [];
    for await (const chunk of chat.stream(asked)) chunks.push(chunk);
    return chunks;
  };

  it('gets messages, tools and earlier tool results in the wire format, and the key as a bearer token', async () => {
    await chat.generate({
      tenantId,
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Weather?' },
        {
          role: 'assistant',
          content: '',
          toolCalls: [{ id: 't1', name: 'weather', arguments: { city: 'Oslo' } }],
        },
        { role: 'tool', content: '-3 degrees', toolCallId: 't1' },
      ],
      tools: [
        { name: 'weather', description: 'Weather now', parameters: { type: 'object', properties: {} } },
      ],
      maxOutputTokens: 77,
      temperature: 0.5,
    });
    const received = server.requests[0];
    expect(received?.headers.authorization).toBe(`Bearer ${API_KEY}`);
    expect(received?.body).toMatchObject({
      model: 'test-chat',
      max_tokens: 77,
      temperature: 0.5,
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Weather?' },
        {
          role: 'assistant',
          tool_calls: [
            { id: 't1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
          ],
        },
        { role: 'tool', tool_call_id: 't1', content: '-3 degrees' },
      ],
      tools: [{ type: 'function', function: { name: 'weather', description: 'Weather now' } }],
    });
  });

  it('is charged for what it reports, at the configured prices', async () => {
    const { usage } = await chat.generate(request);
    expect(usage).toEqual({ inputTokens: 20, outputTokens: 10, costUsd: (20 * 2 + 10 * 8) / 1e6 });
  });

  it('has its tokens counted here when it reports none', async () => {
    server.enqueue({ kind: 'answer', text: 'four words of text', usage: false });
    const { usage } = await chat.generate(request);
    expect(usage.outputTokens).toBe(chat.countTokens('four words of text'));
    expect(usage.inputTokens).toBeGreaterThan(0);
  });

  it.each(['generate', 'stream'] as const)('has its tool calls read (%s)', async (way) => {
    server.enqueue({
      kind: 'answer',
      toolCalls: [{ id: 't9', name: 'search', arguments: '{"query":"graphs"}' }],
    });
    const last = way === 'generate' ? await chat.generate(request) : (await collect()).at(-1);
    const result = last && 'type' in last ? (last.type === 'done' ? last.result : undefined) : last;
    expect(result?.finishReason).toBe('tool_calls');
    expect(result?.toolCalls).toEqual([{ id: 't9', name: 'search', arguments: { query: 'graphs' } }]);
  });

  it('has tool arguments that are not JSON handed on as the text they are', async () => {
    server.enqueue({
      kind: 'answer',
      toolCalls: [{ id: 't9', name: 'search', arguments: '{"query": oops' }],
    });
    const { toolCalls } = await chat.generate(request);
    expect(toolCalls[0]?.arguments).toBe('{"query": oops');
  });

  it.each([
    [429, { 'retry-after': '7' }, 'LLM_RATE_LIMITED', 7000],
    [429, { 'retry-after-ms': '250' }, 'LLM_RATE_LIMITED', 250],
    [429, { 'retry-after': 'Thu, 01 Jan 2026 00:00:30 GMT' }, 'LLM_RATE_LIMITED', 30_000],
    [503, { 'retry-after': '2' }, 'LLM_UNAVAILABLE', 2000],
    [500, {}, 'LLM_UNAVAILABLE', undefined],
    [401, {}, 'LLM_AUTH_FAILED', undefined],
    [403, {}, 'LLM_AUTH_FAILED', undefined],
    [404, {}, 'LLM_REQUEST_REJECTED', undefined],
  ])('that answers %i %o is reported as %s', async (status, headers, code, retryAfterMs) => {
    for (const call of [() => chat.generate(request), () => collect()]) {
      server.enqueue({ kind: 'status', status, headers, message: `Incorrect API key provided: ${API_KEY}` });
      const error = await call().catch((caught: unknown) => caught as Error);
      expect(error).toMatchObject({ code, ...(retryAfterMs && { retryAfterMs }) });
      expect(inspectable(error)).not.toContain(API_KEY);
    }
    expect(server.requests).toHaveLength(2);
  });

  it('that refuses a long prompt is reported as such', async () => {
    server.enqueue({
      kind: 'status',
      status: 400,
      message: "This model's maximum context length is 8192 tokens.",
    });
    await expect(chat.generate(request)).rejects.toMatchObject({ code: 'LLM_CONTEXT_TOO_LONG' });
  });

  it('that sends no valid JSON is a bad response', async () => {
    server.enqueue({ kind: 'malformed-json' }, { kind: 'malformed-json' });
    await expect(chat.generate(request)).rejects.toMatchObject({ code: 'LLM_BAD_RESPONSE' });
    await expect(embedding.embed({ tenantId, texts: ['x'] })).rejects.toMatchObject({
      code: 'LLM_BAD_RESPONSE',
    });
  });

  it('that sends nothing is a bad response', async () => {
    server.enqueue({ kind: 'answer', text: '' });
    await expect(chat.generate(request)).rejects.toMatchObject({ code: 'LLM_BAD_RESPONSE' });
  });

  it('that cuts a stream is unavailable, never a short answer', async () => {
    server.enqueue({ kind: 'cut-after', parts: 3 });
    await expect(collect()).rejects.toMatchObject({ code: 'LLM_UNAVAILABLE' });
  });

  it('that cannot be reached is unavailable', async () => {
    const gone = await OpenAiServer.start();
    const { baseUrl } = gone;
    await gone.stop();
    const model = new OpenAICompatibleChatModel({ baseUrl, model: 'x' });
    await expect(model.generate(request)).rejects.toMatchObject({ code: 'LLM_UNAVAILABLE' });
  });

  it('sees its connection closed when a call is cancelled', async () => {
    server.enqueue({ kind: 'stall' });
    const controller = new AbortController();
    const reason = new Error('the client left');
    const call = chat.generate({ ...request, signal: controller.signal });
    const rejection = expect(call).rejects.toBe(reason);
    await server.received(1);
    controller.abort(reason);
    await rejection;
    await server.requests[0]?.abandoned;
  });

  it('sees its connection closed when a reader leaves a stream', async () => {
    server.enqueue({ kind: 'stall-after', parts: 2 });
    for await (const chunk of chat.stream(request)) {
      expect(chunk.type).toBe('text');
      break;
    }
    await server.requests[0]?.abandoned;
  });

  it('is read no faster than the reader takes it', async () => {
    const parts = 200_000;
    server.enqueue({ kind: 'answer', text: 'word '.repeat(parts) });
    const iterator = chat.stream(request);
    await iterator.next();
    const sent = server.requests[0]?.sent ?? { parts };
    for (let seen = -1; seen !== sent.parts; ) {
      seen = sent.parts;
      for (let turn = 0; turn < 2000; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(sent.parts).toBeLessThan(parts);
    await iterator.return();
    await server.requests[0]?.abandoned;
  });

  it('gets texts to embed in batches', async () => {
    await embedding.embed({ tenantId, texts: ['a', 'b', 'c', 'd', 'e'] });
    expect(server.requests.map(({ body }) => body.input)).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
  });

  it.each([{ dimensions: 5 }, { count: 1 }])(
    'that sends other vectors than asked (%o) is a bad response',
    async (wrong) => {
      server.enqueue({ kind: 'wrong-vectors', ...wrong });
      await expect(embedding.embed({ tenantId, texts: ['a', 'b'] })).rejects.toMatchObject({
        code: 'LLM_BAD_RESPONSE',
      });
    },
  );
});

/** Everything a logger could print of an error. */
function inspectable(error: unknown): string {
  const seen: unknown[] = [];
  for (let current = error; current instanceof Error && !seen.includes(current); current = current.cause) {
    seen.push(current);
  }
  return seen
    .map(
      (item) =>
        `${String(item)} ${(item as Error).stack} ${JSON.stringify(item, Object.getOwnPropertyNames(item))}`,
    )
    .join('\n');
}
