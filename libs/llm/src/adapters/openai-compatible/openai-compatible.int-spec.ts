import { parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ResilientChatModel } from '../../core/resilient-chat.model.js';
import { promptTokens } from '../../core/token-price.js';
import type { ChatChunk, ChatRequest, ChatResult } from '../../ports/chat-model.port.js';
import { chatModelContract } from '../../testing/chat-model.contract.js';
import { embeddingModelContract } from '../../testing/embedding-model.contract.js';
import { OpenAiServer, type ReceivedRequest } from '../../testing/openai-server.js';
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

  const ask = async (way: 'generate' | 'stream'): Promise<ChatResult> => {
    if (way === 'generate') return chat.generate(request);
    const last = (await collect()).at(-1);
    if (last?.type !== 'done') throw new Error('The stream had no end.');
    return last.result;
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

  it.each(['generate', 'stream'] as const)(
    'has several tool calls of one turn put together from fragments that alternate (%s)',
    async (way) => {
      const toolCalls = [
        { id: 't1', name: 'search', arguments: '{"query":"graphs and 图谱","limit":3}' },
        { id: 't2', name: 'progress', arguments: '' },
        { id: 't3', name: 'search', arguments: '{"query":"trees"}' },
      ];
      // Some servers end such a turn with `stop`.
      server.enqueue({ kind: 'answer', text: 'Let me see. ', toolCalls, fragments: 9, finishReason: 'stop' });
      const result = await ask(way);
      expect(result).toMatchObject({ text: 'Let me see. ', finishReason: 'tool_calls' });
      expect(result.toolCalls).toEqual([
        { id: 't1', name: 'search', arguments: { query: 'graphs and 图谱', limit: 3 } },
        { id: 't2', name: 'progress', arguments: {} },
        { id: 't3', name: 'search', arguments: { query: 'trees' } },
      ]);
    },
  );

  it.each(['generate', 'stream'] as const)(
    'has tool arguments that are not JSON handed on as the text they are, with the reason (%s)',
    async (way) => {
      const toolCalls = [{ id: 't9', name: 'search', arguments: '{"query": oops' }];
      server.enqueue({ kind: 'answer', toolCalls });
      const [call] = (await ask(way)).toolCalls;
      expect(call?.arguments).toBe('{"query": oops');
      expect(call?.argumentsError).toContain('not valid JSON');
    },
  );

  it('gets arguments that were no JSON object back inside of one, which every chat template can read', async () => {
    await chat.generate({
      tenantId,
      messages: [
        { role: 'user', content: 'Find it.' },
        {
          role: 'assistant',
          content: '',
          toolCalls: [
            { id: 't1', name: 'search', arguments: '{"query": oops', argumentsError: 'not JSON' },
            { id: 't2', name: 'search', arguments: [1, 2] },
          ],
        },
        { role: 'tool', content: 'The arguments are not valid JSON.', toolCallId: 't1' },
        { role: 'tool', content: 'query: expected string', toolCallId: 't2' },
      ],
    });
    const { messages } = (server.requests[0] as ReceivedRequest).body as {
      messages: { tool_calls?: { function: { arguments: string } }[] }[];
    };
    expect(messages[1]?.tool_calls?.map((call) => call.function.arguments)).toEqual([
      '{"invalid_arguments":"{\\"query\\": oops"}',
      '{"invalid_arguments":"[1,2]"}',
    ]);
  });

  it('can be forbidden to call the tools it is told of', async () => {
    const tools = [{ name: 'search', description: 'Finds', parameters: { type: 'object', properties: {} } }];
    await chat.generate({ ...request, tools, toolChoice: 'none' });
    await chat.generate({ ...request, toolChoice: 'none' });
    expect(server.requests.map(({ body }) => body.tool_choice)).toEqual(['none', undefined]);
    expect(server.requests[0]?.body.tools).toHaveLength(1);
  });

  it('is not told of tools where it refuses requests with them', async () => {
    const model = new OpenAICompatibleChatModel({ baseUrl: server.baseUrl, model: 'x', tools: false });
    const tools = [{ name: 'search', description: 'Finds', parameters: { type: 'object', properties: {} } }];
    await model.generate({ ...request, tools, toolChoice: 'auto' });
    expect(server.requests[0]?.body).not.toHaveProperty('tools');
    expect(server.requests[0]?.body).not.toHaveProperty('tool_choice');
  });

  it.each([
    ['off', undefined],
    ['object', { type: 'json_object' }],
    ['schema', { type: 'json_schema', json_schema: { schema: { type: 'object' } } }],
  ] as const)('is asked for JSON as it is configured (%s)', async (jsonMode, expected) => {
    const model = new OpenAICompatibleChatModel({ baseUrl: server.baseUrl, model: 'x', jsonMode });
    await model.generate({ ...request, jsonSchema: { type: 'object' } });
    await model.generate(request);
    const [first, second] = server.requests.map(({ body }) => body.response_format);
    if (expected) expect(first).toMatchObject(expected);
    else expect(first).toBeUndefined();
    expect(second).toBeUndefined();
  });

  it('gets fields of its own, and is spared fields it does not know', async () => {
    const model = new OpenAICompatibleChatModel({
      baseUrl: server.baseUrl,
      model: 'x',
      extraBody: { enable_thinking: false, max_tokens: null, max_completion_tokens: 900, temperature: null },
    });
    await model.generate(request);
    for await (const _ of model.stream(request));
    for (const { body } of server.requests) {
      expect(body).toMatchObject({ model: 'x', enable_thinking: false, max_completion_tokens: 900 });
      expect(Object.keys(body)).not.toEqual(expect.arrayContaining(['max_tokens']));
      expect(Object.keys(body)).not.toEqual(expect.arrayContaining(['temperature']));
    }
  });

  it.each(['generate', 'stream'] as const)('has its thoughts kept out of its answer (%s)', async (way) => {
    server.enqueue({ kind: 'answer', reasoning: 'I should say hello.', text: 'Hello there.' });
    expect((await ask(way)).text).toBe('Hello there.');
    server.enqueue({ kind: 'answer', text: '<think>I should say hello.</think>\n\nHello there.' });
    expect((await ask(way)).text).toBe('Hello there.');
  });

  it('without a key gets no authorization', async () => {
    await new OpenAICompatibleChatModel({ baseUrl: server.baseUrl, model: 'qwen3:8b' }).generate(request);
    expect(server.requests[0]?.headers.authorization).toBeUndefined();
    expect(server.requests[0]?.body.model).toBe('qwen3:8b');
  });

  it('has its tokens counted here when its stream reports none', async () => {
    server.enqueue({ kind: 'answer', text: 'four words of text', usage: false });
    const { usage } = await ask('stream');
    const [inputTokens, outputTokens] = [promptTokens(chat, request), chat.countTokens('four words of text')];
    expect(usage).toEqual({ inputTokens, outputTokens, costUsd: (inputTokens * 2 + outputTokens * 8) / 1e6 });
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

  it.each([
    "This model's maximum context length is 8192 tokens.",
    'Range of input length should be [1, 30720]',
    'the request exceeds the available context size',
  ])('that refuses a long prompt with "%s" is reported as such', async (message) => {
    server.enqueue({ kind: 'status', status: 400, message });
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

  it.each(['client', 'permit', 'time'] as const)(
    'sees its connection closed, and the permit given back, when the %s of a call is gone, whole chain included',
    async (gone) => {
      const log: string[] = [];
      const lease = new AbortController();
      const client = new AbortController();
      const clock = new TestClock();
      const model = new ResilientChatModel(chat, {
        clock,
        maxAttempts: 1,
        admission: {
          admit: async () => ({
            signal: lease.signal,
            settle: async ({ inputTokens, outputTokens }) => {
              log.push(`settled ${inputTokens > 0} ${outputTokens}`);
            },
            release: async () => {
              log.push('released');
            },
          }),
        },
      });
      server.enqueue({ kind: 'stall-after', parts: 2 });
      let text = '';
      const reading = (async () => {
        for await (const chunk of model.stream({ ...request, signal: client.signal }))
          if (chunk.type === 'text') {
            text += chunk.text;
            if (text.split(' ').length < 3) continue;
            if (gone === 'client') client.abort(new Error('the client left'));
            if (gone === 'permit') lease.abort(new Error('the lease was lost'));
            if (gone === 'time') void clock.advance(300_000);
          }
      })();
      await expect(reading).rejects.toThrow(/left|lost|did not answer/u);
      await server.requests[0]?.abandoned;
      expect(log).toEqual([`settled true ${chat.countTokens(text)}`, 'released']);
    },
  );

  it('is read no faster than the reader takes it, whole chain included', async () => {
    const parts = 200_000;
    server.enqueue({ kind: 'answer', text: 'word '.repeat(parts) });
    const iterator = new ResilientChatModel(chat).stream(request)[Symbol.asyncIterator]();
    await iterator.next();
    const sent = server.requests[0]?.sent ?? { parts };
    for (let seen = -1; seen !== sent.parts; ) {
      seen = sent.parts;
      for (let turn = 0; turn < 2000; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(sent.parts).toBeLessThan(parts);
    await iterator.return?.();
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
