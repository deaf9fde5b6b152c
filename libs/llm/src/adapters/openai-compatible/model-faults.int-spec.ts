import { channels, type ModelEvent, parseTenantId } from '@sparkle/contracts';
import { SeededRandom } from '@sparkle/contracts/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ResilientChatModel, type ResilientChatOptions } from '../../core/resilient-chat.model.js';
import { ResilientEmbeddingModel } from '../../core/resilient-embedding.model.js';
import { isLlmError } from '../../errors.js';
import type { ChatRequest } from '../../ports/chat-model.port.js';
import { type OpenAiBehaviour, OpenAiServer } from '../../testing/openai-server.js';
import { ScriptedChatModel } from '../../testing/scripted-chat.model.js';
import { OpenAICompatibleChatModel } from './openai-compatible-chat.model.js';
import { OpenAICompatibleEmbeddingModel } from './openai-compatible-embedding.model.js';

const tenantId = parseTenantId('acme');
const request: ChatRequest = { tenantId, messages: [{ role: 'user', content: 'Why?' }] };
/** For faults that end in a time-out, and for all others, whose answers may take their time on a busy machine. */
const [SHORT_MS, LONG_MS] = [200, 30_000];

/** One fault of a chat model's server and what it must come to, per way of asking. */
interface ChatFault {
  readonly name: string;
  readonly behaviour: OpenAiBehaviour;
  readonly generate: Expected;
  readonly stream: Expected;
}

interface Expected {
  /** What the port throws; absent where the fault does no harm. */
  readonly code?: string;
  /** Requests that reach the server when it fails every time and two attempts are allowed. */
  readonly requests: 1 | 2;
  /** The failure counts towards opening the breaker. */
  readonly breaks: boolean;
  /** A fallback answers in its place. */
  readonly fallsBack: boolean;
  readonly retryAfterMs?: number;
}

const timeoutFor = (code: string | undefined) => (code === 'LLM_TIMEOUT' ? SHORT_MS : LONG_MS);

const unavailable: Expected = { code: 'LLM_UNAVAILABLE', requests: 2, breaks: true, fallsBack: true };
const bad: Expected = { code: 'LLM_BAD_RESPONSE', requests: 2, breaks: true, fallsBack: true };
const timeout: Expected = { code: 'LLM_TIMEOUT', requests: 1, breaks: true, fallsBack: true };
const limited: Expected = { code: 'LLM_RATE_LIMITED', requests: 2, breaks: false, fallsBack: true };
const refused: Expected = { code: 'LLM_REQUEST_REJECTED', requests: 1, breaks: false, fallsBack: true };
const unauthorised: Expected = { code: 'LLM_AUTH_FAILED', requests: 1, breaks: false, fallsBack: true };
const tooLong: Expected = { code: 'LLM_CONTEXT_TOO_LONG', requests: 1, breaks: false, fallsBack: false };
const harmless: Expected = { requests: 1, breaks: false, fallsBack: false };
/** After the first part has been read nothing is repeated and nobody stands in. */
const broken = (expected: Expected): Expected => ({ ...expected, requests: 1, fallsBack: false });
const both = (expected: Expected) => ({ generate: expected, stream: expected });

const status = (
  code: number,
  headers: Record<string, string> = {},
  more: { message?: string; code?: string } = {},
) => ({ kind: 'status', status: code, headers, ...more }) as const;

const CHAT_FAULTS: readonly ChatFault[] = [
  { name: 'stall before headers', behaviour: { kind: 'stall' }, ...both(timeout) },
  {
    name: 'stall in the middle',
    behaviour: { kind: 'stall-after', parts: 2 },
    generate: timeout,
    stream: broken(timeout),
  },
  {
    name: 'stall after the headers of a stream',
    behaviour: { kind: 'stall-after', parts: 0 },
    ...both(timeout),
  },
  {
    name: 'cut in the middle',
    behaviour: { kind: 'cut-after', parts: 2 },
    generate: unavailable,
    stream: broken(unavailable),
  },
  { name: 'cut before the first part', behaviour: { kind: 'cut-after', parts: 0 }, ...both(unavailable) },
  {
    name: 'stream that ends without saying so',
    behaviour: { kind: 'end-after', parts: 2 },
    generate: harmless,
    stream: broken(unavailable),
  },
  {
    name: 'error event inside a stream',
    behaviour: { kind: 'error-after', parts: 2 },
    generate: harmless,
    stream: broken(unavailable),
  },
  { name: '429', behaviour: status(429), ...both(limited) },
  {
    name: '429 with Retry-After in seconds, longer than is waited',
    behaviour: status(429, { 'retry-after': '120' }),
    ...both({ ...limited, requests: 1, retryAfterMs: 120_000 }),
  },
  {
    name: '429 with Retry-After as a date in the past',
    behaviour: status(429, { 'retry-after': 'Thu, 01 Jan 2026 00:00:30 GMT' }),
    ...both({ ...limited, retryAfterMs: 0 }),
  },
  { name: '500', behaviour: status(500), ...both(unavailable) },
  { name: '502', behaviour: status(502), ...both(unavailable) },
  {
    name: '503 with Retry-After, longer than is waited',
    behaviour: status(503, { 'retry-after': '120' }),
    ...both({ ...unavailable, requests: 1, retryAfterMs: 120_000 }),
  },
  { name: '401', behaviour: status(401), ...both(unauthorised) },
  { name: '402, no balance left', behaviour: status(402), ...both(refused) },
  { name: '404, unknown model', behaviour: status(404), ...both(refused) },
  {
    name: 'redirect',
    behaviour: status(307, { location: 'http://127.0.0.1:1/elsewhere' }),
    ...both(refused),
  },
  {
    name: 'too many tokens',
    behaviour: status(400, {}, { code: 'context_length_exceeded', message: 'Please reduce the length.' }),
    ...both(tooLong),
  },
  { name: 'malformed JSON', behaviour: { kind: 'malformed-json' }, generate: bad, stream: broken(bad) },
  {
    name: 'web page in place of an answer',
    behaviour: { kind: 'web-page' },
    ...both(bad),
  },
  { name: 'empty answer', behaviour: { kind: 'answer', text: '' }, ...both(bad) },
  {
    name: 'answer of nothing but thoughts',
    behaviour: { kind: 'answer', text: '<think>hm hm hm' },
    ...both(bad),
  },
  {
    name: 'endless answer',
    behaviour: { kind: 'huge', bytes: 200_000 },
    ...both(bad),
  },
  { name: 'cut off at its length', behaviour: { kind: 'answer', finishReason: 'length' }, ...both(harmless) },
  { name: 'end said twice', behaviour: { kind: 'answer', done: 2 }, ...both(harmless) },
  { name: 'slow drip', behaviour: { kind: 'answer', everyMs: 5 }, ...both(harmless) },
];

describe('a fault of the chat model server', () => {
  let server: OpenAiServer;
  const events: ModelEvent[] = [];
  let unsubscribe: () => void;
  beforeAll(async () => {
    server = await OpenAiServer.start();
  });
  beforeEach(() => {
    events.length = 0;
    unsubscribe = channels.model.subscribe((event) => events.push({ ...event }));
  });
  afterEach(() => {
    unsubscribe();
    server.reset();
  });
  afterAll(() => server.stop());

  const build = (options: ResilientChatOptions = {}) =>
    new ResilientChatModel(
      new OpenAICompatibleChatModel({
        baseUrl: server.baseUrl,
        model: 'test-chat',
        maxResponseBytes: 100_000,
      }),
      {
        timeoutMs: LONG_MS,
        maxAttempts: 2,
        baseDelayMs: 1,
        breakerHalfOpenAfterMs: 3_600_000,
        random: new SeededRandom(1),
        ...options,
      },
    );

  const ask = async (model: ResilientChatModel, way: 'generate' | 'stream'): Promise<string> => {
    if (way === 'generate') return (await model.generate(request)).model;
    for await (const chunk of model.stream(request)) if (chunk.type === 'done') return chunk.result.model;
    throw new Error('The stream had no end.');
  };
  const failureOf = async (model: ResilientChatModel, way: 'generate' | 'stream') => {
    const outcome = await ask(model, way).catch((error: unknown) => error);
    return isLlmError(outcome) ? outcome : undefined;
  };

  const cases = CHAT_FAULTS.flatMap((fault) =>
    (['generate', 'stream'] as const).map((way) => [fault.name, way, fault.behaviour, fault[way]] as const),
  );

  it.each(cases)(
    '%s (%s) is what it is, and is repeated no oftener than it helps',
    async (_, way, behaviour, expected) => {
      server.otherwise = behaviour;
      const error = await failureOf(build({ timeoutMs: timeoutFor(expected.code) }), way);
      expect(error?.code).toBe(expected.code);
      expect(server.requests).toHaveLength(expected.requests);
      if (expected.retryAfterMs !== undefined) expect(error?.retryAfterMs).toBe(expected.retryAfterMs);
      expect(events).toHaveLength(expected.requests);
      expect(events.every(({ tenantId: tenant, model }) => tenant === 'acme' && model === 'test-chat')).toBe(
        true,
      );
    },
  );

  it.each(cases)(
    '%s (%s) opens the breaker only when the server is at fault',
    async (_, way, behaviour, expected) => {
      server.otherwise = behaviour;
      const model = build({ breakerFailures: 1, maxAttempts: 1, timeoutMs: timeoutFor(expected.code) });
      await failureOf(model, way);
      server.otherwise = { kind: 'answer' };
      const error = await failureOf(model, way);
      expect(error?.code).toBe(expected.breaks ? 'LLM_BREAKER_OPEN' : undefined);
      if (expected.breaks) expect(error?.retryAfterMs).toBeGreaterThan(0);
    },
  );

  it.each(cases)(
    '%s (%s) is hidden by a fallback where nothing was shown yet',
    async (_, way, behaviour, expected) => {
      server.otherwise = behaviour;
      const model = build({
        fallbacks: [new ScriptedChatModel('stand-in', 'fine')],
        maxAttempts: 1,
        timeoutMs: timeoutFor(expected.code),
      });
      const outcome = await ask(model, way).catch((error: unknown) =>
        isLlmError(error) ? error.code : error,
      );
      expect(outcome).toBe(expected.fallsBack ? 'stand-in' : (expected.code ?? 'test-chat'));
    },
  );

  it('charges for a prompt that was read and for nothing that was refused', async () => {
    const charged = async (behaviour: OpenAiBehaviour) => {
      events.length = 0;
      server.otherwise = behaviour;
      const timeoutMs = behaviour.kind === 'stall' ? SHORT_MS : LONG_MS;
      await failureOf(build({ maxAttempts: 1, timeoutMs }), 'generate');
      return (events[0]?.inputTokens ?? 0) > 0;
    };
    expect(await charged({ kind: 'stall' })).toBe(true);
    expect(await charged({ kind: 'answer', text: '' })).toBe(true);
    expect(await charged(status(500))).toBe(false);
    expect(await charged(status(429))).toBe(false);
    expect(await charged(status(401))).toBe(false);
  });
});

describe('a fault of the embedding server', () => {
  let server: OpenAiServer;
  beforeAll(async () => {
    server = await OpenAiServer.start();
  });
  afterEach(() => server.reset());
  afterAll(() => server.stop());

  const build = (options: { batchSize?: number; timeoutMs?: number } = {}) =>
    new ResilientEmbeddingModel(
      new OpenAICompatibleEmbeddingModel({
        baseUrl: server.baseUrl,
        model: 'test-embed',
        dimensions: 8,
        batchSize: options.batchSize ?? 4,
        maxResponseBytes: 100_000,
      }),
      {
        timeoutMs: options.timeoutMs ?? LONG_MS,
        maxAttempts: 2,
        baseDelayMs: 1,
        random: new SeededRandom(1),
      },
    );
  const texts = ['one', 'two', 'three'];

  it.each<[string, OpenAiBehaviour, string, number]>([
    ['stall', { kind: 'stall' }, 'LLM_TIMEOUT', 1],
    ['500', status(500), 'LLM_UNAVAILABLE', 2],
    ['429', status(429), 'LLM_RATE_LIMITED', 2],
    ['401', status(401), 'LLM_AUTH_FAILED', 1],
    ['malformed JSON', { kind: 'malformed-json' }, 'LLM_BAD_RESPONSE', 2],
    ['web page', { kind: 'web-page' }, 'LLM_BAD_RESPONSE', 2],
    ['wrong dimensions', { kind: 'wrong-vectors', dimensions: 5 }, 'LLM_BAD_RESPONSE', 2],
    ['far too many dimensions', { kind: 'wrong-vectors', dimensions: 50_000 }, 'LLM_BAD_RESPONSE', 2],
    ['too few vectors', { kind: 'wrong-vectors', count: 1 }, 'LLM_BAD_RESPONSE', 2],
    ['NaN', { kind: 'wrong-vectors', values: 'nan' }, 'LLM_BAD_RESPONSE', 2],
    ['null', { kind: 'wrong-vectors', values: 'null' }, 'LLM_BAD_RESPONSE', 2],
    ['zeros', { kind: 'wrong-vectors', values: 'zero' }, 'LLM_BAD_RESPONSE', 2],
    ['wrong numbering', { kind: 'wrong-vectors', order: 'numbered-wrongly' }, 'LLM_BAD_RESPONSE', 2],
  ])('%s is reported, and no vector is made up', async (_, behaviour, code, requests) => {
    server.otherwise = behaviour;
    const model = build({ timeoutMs: timeoutFor(code) });
    await expect(model.embed({ tenantId, texts })).rejects.toMatchObject({ code });
    expect(server.requests).toHaveLength(requests);
  });

  it('vectors in another order than the texts are put in order by their numbers', async () => {
    const straight = await build().embed({ tenantId, texts });
    server.enqueue({ kind: 'wrong-vectors', order: 'reversed' });
    expect(await build().embed({ tenantId, texts })).toEqual(straight);
  });

  it('one refused text does not lose the others, whatever batch it is in', async () => {
    const many = Array.from({ length: 11 }, (_, index) => `text ${index}`);
    const expected = await build().embed({ tenantId, texts: many });
    server.refuses = (text) => text === 'text 6' || text === 'text 9';
    const error = await build()
      .embed({ tenantId, texts: many })
      .catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'LLM_TEXTS_REJECTED', indexes: [6, 9] });
    const { vectors } = error as { vectors: readonly (Float32Array | undefined)[] };
    expect(vectors).toEqual(
      expected.map((vector, index) => (index === 6 || index === 9 ? undefined : vector)),
    );
  });

  it('a request that is refused for every text is a refused request, found out with few calls', async () => {
    server.refuses = () => true;
    const many = Array.from({ length: 64 }, (_, index) => `text ${index}`);
    await expect(build({ batchSize: 64 }).embed({ tenantId, texts: many })).rejects.toMatchObject({
      code: 'LLM_REQUEST_REJECTED',
    });
    expect(server.requests.length).toBeLessThan(30);
    await expect(build().embed({ tenantId, texts: ['one'] })).rejects.toMatchObject({
      code: 'LLM_REQUEST_REJECTED',
    });
  });

  it('a failing batch is repeated alone', async () => {
    server.enqueue({ kind: 'answer' }, status(500), { kind: 'answer' });
    await build({ batchSize: 2 }).embed({ tenantId, texts });
    expect(server.requests.map(({ body }) => body.input)).toEqual([['one', 'two'], ['three'], ['three']]);
  });
});
