import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseTenantId, type TenantId } from '@sparkle/contracts';
import { ConversationService } from '@sparkle/conversation';
import { ChatModel, type ChatRequest, LlmUnavailableError } from '@sparkle/llm';
import { PrometheusMetrics } from '@sparkle/metrics';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { ApiUnderTest } from './api-under-test.js';
import type { Answered, Door, Outcome } from './door.js';
import { GrpcAskDoor, GrpcChatDoor } from './grpc-doors.js';
import { JsonDoor, SseDoor } from './http-doors.js';
import { WebSocketDoor } from './web-socket-door.js';

const NAMES = ['HTTP', 'SSE', 'WebSocket', 'gRPC Ask', 'gRPC Chat'];
const QUESTION = 'Who founded Port Ellery?';
const TEXT = '# Port Ellery\n\nPort Ellery is a harbour town. It was founded in 1702 by Captain Rosa Lind.';

describe('every door', () => {
  let api: ApiUnderTest;
  let tenant: TenantId;
  let token: string;
  let doors: readonly Door[];

  beforeAll(async () => {
    api = await ApiUnderTest.start();
    tenant = await api.createTenant();
    token = await api.tokenOf(tenant);
    await api.teach(tenant, 'Harbour', TEXT);
    doors = [
      new JsonDoor(api.address),
      new SseDoor(api.address),
      new WebSocketDoor(api.address),
      new GrpcAskDoor(api.grpcAddress),
      new GrpcChatDoor(api.grpcAddress),
    ];
    expect(doors.map(({ name }) => name)).toEqual(NAMES);
  });
  afterAll(async () => {
    for (const door of doors ?? []) door.close();
    await api?.close();
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** The same call through each door, one after the other. */
  async function throughAll(call: (door: Door, index: number) => Promise<Outcome>): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    for (const [index, door] of doors.entries()) outcomes.push(await call(door, index));
    return outcomes;
  }

  const begin = async (of: TenantId = tenant, userId = 'alice') =>
    (await api.app.get(ConversationService).create({ tenantId: of, userId })).id;

  const answers = (outcomes: readonly Outcome[]): Answered[] =>
    outcomes.map(({ answered, problem }) => {
      expect(problem).toBeUndefined();
      return answered!;
    });

  /** Expects one refusal, told in the same words through every door, and gives it. */
  function refusal(outcomes: readonly Outcome[], status: number, code: string) {
    const problems = outcomes.map(({ problem }) => problem);
    for (const [index, problem] of problems.entries())
      expect([NAMES[index], problem]).toEqual([NAMES[index], { ...problems[0] }]);
    expect(problems[0]).toMatchObject({ status, code });
    return problems[0]!;
  }

  /** A model that writes one word and then waits to be stopped. */
  function hangingModel() {
    const model = api.app.get<ChatModel>(ChatModel);
    const signals: AbortSignal[] = [];
    const hang = async ({ signal }: ChatRequest) => {
      signals.push(signal!);
      if (!signal!.aborted) await once(signal!, 'abort');
      throw signal!.reason;
    };
    vi.spyOn(model, 'generate').mockImplementation(hang);
    vi.spyOn(model, 'stream').mockImplementation(async function* (request: ChatRequest) {
      yield { type: 'text' as const, text: 'Captain' };
      await hang(request);
    });
    return signals;
  }

  it('gives the same question the same answer, with the same citations and usage', async () => {
    const asked = answers(await throughAll((door) => door.ask({ token, question: QUESTION })));
    expect(asked[0]).toMatchObject({ cache: 'miss', supported: true, strategy: expect.any(String) });
    expect(asked[0]!.answer).toContain('Rosa Lind');
    expect(asked[0]!.citations).toHaveLength(1);
    for (const [index, answer] of asked.entries())
      expect([NAMES[index], answer]).toEqual([
        NAMES[index],
        { ...asked[0], cache: index === 0 ? 'miss' : 'exact' },
      ]);
  });

  it('gives the same turn of a conversation', async () => {
    const said = answers(
      await throughAll(async (door) => door.say({ token, conversationId: await begin(), content: QUESTION })),
    );
    for (const [index, { turn, ...answer }] of said.entries()) {
      const { turn: _, ...first } = said[0]!;
      expect([NAMES[index], answer]).toEqual([NAMES[index], first]);
      expect(turn).toMatchObject({ replayed: false, memory: 'full' });
    }
    expect(said[0]!.answer).toContain('Rosa Lind');
  });

  it('streams what happens, and text that becomes the answer', async () => {
    const outcomes = await throughAll(async (door) =>
      door.say({ token, conversationId: await begin(), content: QUESTION }),
    );
    const streams = outcomes.filter((_, index) => [1, 2, 4].includes(index));
    for (const { events, answered } of streams) {
      const text = events.flatMap(({ type, data }) =>
        type === 'delta' ? [(data as { text: string }).text] : [],
      );
      expect(text.join('')).toBe(answered!.answer);
      const states = events.flatMap(({ type, data }) =>
        type === 'state' ? [(data as { state: string }).state] : [],
      );
      expect(states).toEqual(
        expect.arrayContaining(['admitted', 'recalled', 'retrieved', 'answered', 'persisted']),
      );
      expect(states).toEqual(
        streams[0]!.events.flatMap(({ type, data }) =>
          type === 'state' ? [(data as { state: string }).state] : [],
        ),
      );
    }
  });

  it('gives a retry through another door the turn that was made through the first', async () => {
    const conversationId = await begin();
    const idempotencyKey = randomUUID();
    const retries = answers(
      await throughAll((_door, index) => {
        // Begun through the last door, retried through all.
        const through = index === 0 ? doors.at(-1)! : doors[index - 1]!;
        return through.say({ token, conversationId, content: QUESTION, idempotencyKey });
      }),
    );
    expect(retries.map(({ turn }) => turn!.replayed)).toEqual([false, true, true, true, true]);
    expect(new Set(retries.map(({ turn }) => turn!.replyId)).size).toBe(1);
    const stored = await api.app
      .get(ConversationService)
      .messages({ tenantId: tenant, userId: 'alice', conversationId, cursor: 0, limit: 50 });
    expect(stored.items).toHaveLength(2);
  });

  it('refuses who has no token, a wrong one, an expired one, or one without the scope', async () => {
    const ask = (as: string | undefined) => throughAll((door) => door.ask({ token: as, question: QUESTION }));
    refusal(await ask(undefined), 401, 'TOKEN_MISSING');
    refusal(await ask('not.a.token'), 401, 'TOKEN_INVALID');
    refusal(await ask(await api.tokenOf(tenant, { lifetimeSeconds: -1 })), 401, 'TOKEN_EXPIRED');
    expect(
      refusal(await ask(await api.tokenOf(tenant, { scopes: ['write'] })), 403, 'SCOPE_MISSING'),
    ).toMatchObject({
      scope: 'read',
    });
  });

  it('refuses a tenant without a plan', async () => {
    const stranger = await api.tokenOf(parseTenantId(`nobody-${randomUUID().slice(0, 8)}`));
    refusal(
      await throughAll((door) => door.ask({ token: stranger, question: QUESTION })),
      403,
      'TENANT_PLAN_MISSING',
    );
  });

  it('tells the same limits, and refuses who is over them with the time to wait', async () => {
    const hourly = { user: 1, action: 100, tenant: 100 };
    const outcomes = await throughAll(async (door) => {
      const limited = await api.createTenant({ hourly });
      const as = await api.tokenOf(limited);
      const conversationId = await begin(limited);
      const first = await door.say({ token: as, conversationId, content: 'Good morning.' });
      expect([door.name, first.problem]).toEqual([door.name, undefined]);
      expect([door.name, first.rateLimit]).toEqual([
        door.name,
        expect.stringMatching(/"user";r=0;t=3[56]\d\d/),
      ]);
      return door.ask({ token: as, question: QUESTION });
    });
    for (const { problem, rateLimit } of outcomes) {
      expect(problem).toMatchObject({
        status: 429,
        code: 'RATE_LIMITED',
        dimension: 'user',
        limit: 1,
        remaining: 0,
      });
      expect(problem!.retryAfterMs).toBeGreaterThan(3_500_000);
      expect(rateLimit).toContain('"user";r=0');
    }
  });

  it("answers another user's, another tenant's and a missing conversation alike", async () => {
    const own = await begin();
    const say = async (as: string, conversationId: string) =>
      refusal(
        await throughAll((door) => door.say({ token: as, conversationId, content: 'Hello.' })),
        404,
        'CONVERSATION_NOT_FOUND',
      );
    const missing = await say(token, randomUUID());
    expect(await say(await api.tokenOf(tenant, { user: 'bob' }), own)).toEqual(missing);
    expect(await say(await api.tokenOf(await api.createTenant()), own)).toEqual(missing);
  });

  it('refuses messages that are empty, too long, or for no conversation there could be', async () => {
    const conversationId = await begin();
    const say = (content: string, id = conversationId) =>
      throughAll((door) => door.say({ token, conversationId: id, content }));
    refusal(await say(' \n '), 400, 'MESSAGE_EMPTY');
    refusal(await say('x'.repeat(32_001)), 413, 'MESSAGE_TOO_LONG');
    const codes = (await say('Hello.', 'not-a-uuid')).map(({ problem }) => [problem!.status, problem!.code]);
    expect(new Set(codes.map(String))).toEqual(new Set(['400,REQUEST_INVALID']));
    const asked = await throughAll((door) => door.ask({ token, question: '  ' }));
    const odd = await throughAll((door) => door.ask({ token, question: QUESTION, strategy: 'guess' }));
    for (const { problem } of [...asked, ...odd]) {
      expect(problem).toMatchObject({ status: 400, code: 'REQUEST_INVALID' });
      expect(problem!.issues).toHaveLength(1);
    }
  });

  it('refuses a retry of what is still being answered, and a key that was used for something else', async () => {
    const conversationId = await begin();
    const idempotencyKey = randomUUID();
    const signals = hangingModel();
    const leaving = new AbortController();
    const first = doors[0]!
      .say({ token, conversationId, content: QUESTION, idempotencyKey, signal: leaving.signal })
      .catch(() => undefined);
    await vi.waitFor(() => expect(signals).toHaveLength(1), 10_000);
    const busy = await throughAll((door) =>
      door.say({ token, conversationId, content: QUESTION, idempotencyKey }),
    );
    for (const { problem } of busy)
      expect(problem).toMatchObject({ status: 409, code: 'MESSAGE_IN_PROGRESS', retryable: true });
    refusal(
      await throughAll((door) =>
        door.say({ token, conversationId, content: 'Something else.', idempotencyKey }),
      ),
      422,
      'IDEMPOTENCY_KEY_REUSED',
    );
    leaving.abort();
    await first;
  });

  it('says that the model is down, and nothing of why', async () => {
    const model = api.app.get<ChatModel>(ChatModel);
    const down = () => {
      throw new LlmUnavailableError('extractive', 'it refuses connections', {
        cause: new Error('10.0.0.7 refused'),
      });
    };
    vi.spyOn(model, 'generate').mockImplementation(async () => down());
    // biome-ignore lint/correctness/useYield: it fails before it has written anything.
    vi.spyOn(model, 'stream').mockImplementation(async function* () {
      down();
    });
    const outcomes = await throughAll(async (door) =>
      door.say({ token, conversationId: await begin(), content: 'Where is Port Ellery?' }),
    );
    const problem = refusal(outcomes, 503, 'LLM_UNAVAILABLE');
    expect(JSON.stringify(problem)).not.toContain('10.0.0.7');
    refusal(
      await throughAll((door, index) =>
        door.ask({ token, question: `Where is Port Ellery, asked ${index}?` }),
      ),
      503,
      'LLM_UNAVAILABLE',
    );
  });

  it('says nothing of a defect of ours', async () => {
    vi.spyOn(api.app.get<ChatModel>(ChatModel), 'countTokens').mockImplementation(() => {
      throw new TypeError('password=secret');
    });
    const outcomes = await throughAll(async (door) =>
      door.say({ token, conversationId: await begin(), content: QUESTION }),
    );
    expect(JSON.stringify(refusal(outcomes, 500, 'INTERNAL_ERROR'))).not.toContain('secret');
  });

  it('cancels the model call of a turn when the client leaves, and a retry then gets its answer', async () => {
    for (const door of doors) {
      const signals = hangingModel();
      const conversationId = await begin();
      const leaving = new AbortController();
      const idempotencyKey = randomUUID();
      const call = { token, conversationId, content: QUESTION, idempotencyKey };
      const left = door.say({ ...call, signal: leaving.signal }).catch(() => undefined);
      await vi.waitFor(() => expect([door.name, signals.length]).toEqual([door.name, 1]), 10_000);
      leaving.abort();
      await vi.waitFor(() => expect([door.name, signals[0]!.aborted]).toEqual([door.name, true]), 10_000);
      await left;
      vi.restoreAllMocks();
      await nextTurn();
      await vi.waitFor(async () => {
        const { answered, problem } = await door.say(call);
        expect([door.name, problem]).toEqual([door.name, undefined]);
        expect(answered!.turn!.conversationId).toBe(conversationId);
      }, 10_000);
    }
  });

  it('cancels the model call of a question when its only asker leaves', async () => {
    for (const door of doors) {
      const signals = hangingModel();
      const leaving = new AbortController();
      const left = door
        .ask({ token, question: `Is Port Ellery a harbour, ${door.name}?`, signal: leaving.signal })
        .catch(() => undefined);
      await vi.waitFor(() => expect([door.name, signals.length]).toEqual([door.name, 1]), 10_000);
      leaving.abort();
      await vi.waitFor(() => expect([door.name, signals[0]!.aborted]).toEqual([door.name, true]), 10_000);
      await left;
      vi.restoreAllMocks();
    }
  });

  it('counts its requests, by door, in the figures of the process', async () => {
    await throughAll((door) => door.ask({ token, question: QUESTION }));
    await throughAll((door) => door.ask({ token, question: ' ' }));
    const scraped = await api.app.get(PrometheusMetrics).scrape();
    for (const labels of [
      'transport="http",method="POST",route="/v1/answers",status="2xx"',
      'transport="ws",method="ask",route="/v1/ws",status="2xx"',
      'transport="grpc",method="Ask",route="sparkle.agent.v1.AgentService",status="2xx"',
      'transport="grpc",method="Chat",route="sparkle.agent.v1.AgentService",status="4xx"',
    ])
      expect(scraped).toContain(labels);
    expect(scraped).toMatch(
      /request_errors_total\{transport="grpc",type="REQUEST_INVALID",status="4xx"[^}]*\} [1-9]/,
    );
  });
});
