import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type OpenAiBehaviour, OpenAiServer } from '@sparkle/llm/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { embeddedToken, eventually, ingest, type Reply, RunningApp } from './running-app.js';

const GUIDE = new URL('../../../docs/guides/model-faults.md', import.meta.url);
const TIMEOUT_MS = 1000;
const DIMENSIONS = 512;
const ANSWER = 'Greta Holm lit the lighthouse of Norvale in 1877 [C1].';
const FINE: OpenAiBehaviour = { kind: 'answer', text: ANSWER };

const status = (code: number, headers: Record<string, string> = {}, message?: string): OpenAiBehaviour => ({
  kind: 'status',
  status: code,
  headers,
  ...(message && { message }),
});

/** What the model server does to every request until it recovers; the rows of the table in the guide. */
const FAULTS: readonly (readonly [fault: string, behaviour: OpenAiBehaviour])[] = [
  ['does not answer', { kind: 'stall' }],
  ['stops in the middle', { kind: 'stall-after', parts: 3 }],
  ['breaks the connection in the middle', { kind: 'cut-after', parts: 3 }],
  ['breaks the connection at once', { kind: 'cut-after', parts: 0 }],
  ['429', status(429)],
  ['429, `Retry-After: 120`', status(429, { 'retry-after': '120' })],
  ['500', status(500)],
  ['503, `Retry-After: 120`', status(503, { 'retry-after': '120' })],
  ['401', status(401)],
  ['404, unknown model', status(404)],
  ['prompt too long', status(400, {}, 'context_length_exceeded')],
  ['malformed JSON', { kind: 'malformed-json' }],
  ['web page', { kind: 'web-page' }],
  ['empty answer', { kind: 'answer', text: '' }],
];

interface Stream {
  readonly status: number;
  readonly deltas: number;
  readonly last: string;
}

/** Reads server-sent events to their end; a refusal before the first one is a problem document. */
async function readEvents(response: Response): Promise<Stream> {
  const text = await response.text();
  if (!response.headers.get('content-type')?.includes('text/event-stream'))
    return { status: response.status, deltas: 0, last: JSON.parse(text).code };
  const events = text
    .split('\n\n')
    .filter((block) => block !== '')
    .map((block) => ({
      event: /^event: (.*)$/m.exec(block)?.[1] ?? '',
      data: JSON.parse(/^data: (.*)$/m.exec(block)?.[1] ?? '{}'),
    }));
  const last = events.at(-1);
  return {
    status: response.status,
    deltas: events.filter(({ event }) => event === 'delta').length,
    last: last?.event === 'error' ? last.data.code : (last?.event ?? 'nothing'),
  };
}

/** Model calls counted so far, by outcome. */
async function callsOf(app: RunningApp): Promise<Map<string, number>> {
  const { body } = await app.send('/metrics');
  const counted = new Map<string, number>();
  for (const [, labels = '', value] of String(body).matchAll(/^\w*model_calls_total\{(.*)\} (\d+)/gm)) {
    if (!labels.includes('model="stand-in"')) continue;
    const outcome = /outcome="(\w+)"/.exec(labels)?.[1] ?? '';
    counted.set(outcome, (counted.get(outcome) ?? 0) + Number(value));
  }
  return counted;
}

function difference(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): string {
  return [...after]
    .map(([outcome, count]) => [outcome, count - (before.get(outcome) ?? 0)] as const)
    .filter(([, count]) => count > 0)
    .map(([outcome, count]) => `${count} × \`${outcome}\``)
    .sort()
    .join(', ');
}

class Scene {
  private asked = 0;
  private constructor(
    readonly app: RunningApp,
    readonly token: string,
    private readonly data: string,
  ) {}

  static async start(env: Record<string, string>): Promise<Scene> {
    const data = await mkdtemp(join(tmpdir(), 'sparkle-e2e-'));
    const app = await RunningApp.start('standalone', {
      SPARKLE_DATA: data,
      // One permit: a call that did not give it back would be the last one.
      SPARKLE_DEFAULT_PLAN: '{"qps":1000,"burst":1000,"permits":1}',
      SPARKLE_LIMIT_USER_PER_HOUR: '100000',
      SPARKLE_LIMIT_ACTION_PER_HOUR: '100000',
      SPARKLE_LIMIT_TENANT_PER_HOUR: '100000',
      SPARKLE_CHAT_MODEL: 'stand-in',
      SPARKLE_CHAT_PRICE_INPUT: '1000',
      SPARKLE_CHAT_PRICE_OUTPUT: '5000',
      SPARKLE_CHAT_TIMEOUT_MS: String(TIMEOUT_MS),
      SPARKLE_CHAT_MAX_ATTEMPTS: '2',
      ...env,
    });
    const scene = new Scene(app, await embeddedToken(data, 'acme', 'alice'), data);
    try {
      await ingest(app, scene.token, 'Norvale', 'The lighthouse of Norvale was lit by Greta Holm in 1877.');
      return scene;
    } catch (error) {
      await scene.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.app.stop();
    await rm(this.data, { recursive: true, force: true });
  }

  /** Never the same question twice, so that no answer comes from a cache. */
  question(): string {
    this.asked += 1;
    return `Who lit the lighthouse of Norvale, attempt ${this.asked * 101}?`;
  }

  ask(): Promise<Reply> {
    return this.app.send('/v1/answers', { token: this.token, json: { question: this.question() } });
  }

  askStreamed(signal?: AbortSignal): Promise<Response> {
    return this.post('/v1/answers', { question: this.question() }, {}, signal);
  }

  async beginConversation(): Promise<string> {
    const { body } = await this.app.send('/v1/conversations', { token: this.token, json: {} });
    return `/v1/conversations/${body.id}/messages`;
  }

  say(path: string, key: string): Promise<Reply> {
    const headers = { 'idempotency-key': key };
    return this.app.send(path, { token: this.token, json: { content: `Who lit it? (${key})` }, headers });
  }

  sayStreamed(path: string, key: string, signal?: AbortSignal): Promise<Response> {
    return this.post(path, { content: `Who lit it? (${key})` }, { 'idempotency-key': key }, signal);
  }

  /** Roles of the messages on record. */
  async stored(path: string): Promise<string[]> {
    const { body } = await this.app.send(path, { token: this.token });
    return body.messages.map(({ role }: { role: string }) => role);
  }

  private post(path: string, json: unknown, headers: Record<string, string>, signal?: AbortSignal) {
    return fetch(this.app.address + path, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${this.token}`,
        'content-type': 'application/json',
        accept: 'text/event-stream',
        ...headers,
      },
      body: JSON.stringify(json),
      ...(signal && { signal }),
    });
  }
}

const refusal = ({ status, body, headers }: Reply) =>
  status < 300
    ? String(status)
    : `${status} \`${body.code}\`${headers.has('retry-after') ? `, Retry-After ${headers.get('retry-after')}` : ''}`;

const streamed = ({ status, deltas, last }: Stream) =>
  status >= 300 ? `${status} \`${last}\`` : `${deltas > 0 ? 'text, then' : 'event'} \`${last}\``;

describe('while the model server fails and nothing stands in', () => {
  let server: OpenAiServer;
  let scene: Scene;
  const rows: string[] = [];
  const durations: string[] = [];

  beforeAll(async () => {
    server = await OpenAiServer.start();
    server.otherwise = FINE;
    scene = await Scene.start({
      SPARKLE_CHAT_BASE_URL: server.baseUrl,
      SPARKLE_CHAT_FALLBACK_LOCAL: 'false',
      SPARKLE_CHAT_BREAKER_FAILURES: '1000',
    });
  });
  afterEach(() => {
    server.reset();
    server.otherwise = FINE;
  });
  afterAll(async () => {
    await scene?.stop();
    await server?.stop();
    process.stdout.write(`${[...rows, ...durations].join('\n')}\n`);
  });

  it('a fine answer says what it cost', async () => {
    const { body } = await scene.ask();
    expect(body).toMatchObject({ model: 'stand-in', fallback: false, answer: ANSWER, supported: true });
    expect(body.usage).toEqual({ inputTokens: 20, outputTokens: 10, costUsd: (20 * 1000 + 10 * 5000) / 1e6 });
  });

  it.each(FAULTS)(
    '%s: every client is told, the message stays, and a retry gets the answer',
    async (fault, behaviour) => {
      server.otherwise = behaviour;
      const before = await callsOf(scene.app);
      const startedAt = performance.now();
      const json = await scene.ask();
      durations.push(`${fault}: JSON after ${Math.round(performance.now() - startedAt)} ms`);
      const counted = difference(before, await callsOf(scene.app));
      const events = await readEvents(await scene.askStreamed());
      const path = await scene.beginConversation();
      const said = await scene.say(path, 'a');
      const saidStreamed = await readEvents(await scene.sayStreamed(path, 'b'));

      const failed = json.status >= 300;
      for (const reply of failed ? [json, said] : []) {
        expect(reply.headers.get('content-type')).toContain('application/problem+json');
        expect(JSON.stringify(reply.body)).not.toMatch(/127\.0\.0\.1|node_modules|context_length|Norvale/);
      }
      expect(said.body.code).toBe(json.body.code);
      // What was shown before a stream broke is on record neither as an answer nor as half of one.
      const stored = await scene.stored(path);
      expect(stored.filter((role) => role === 'user')).toHaveLength(2);

      server.reset();
      server.otherwise = FINE;
      const retried = await scene.say(path, 'a');
      expect(retried.body.answer).toBe(ANSWER);
      expect(retried.status).toBe(failed ? 201 : 200);
      const again = await scene.say(path, 'a');
      expect(again.body).toMatchObject({ answer: ANSWER, replayed: true });
      expect(server.requests.length).toBeLessThanOrEqual(1);
      const roles = await scene.stored(path);
      expect(roles.filter((role) => role === 'user')).toHaveLength(2);
      expect((await scene.ask()).status).toBe(200);

      const kept = stored.includes('assistant') ? 'message and answer' : 'message';
      rows.push(
        `| ${fault} | ${refusal(json)} | ${streamed(events)} | ${streamed(saidStreamed)} | ${kept} | ${counted} |`,
      );
    },
  );

  it('an answer that was cut at its length is shown and kept', async () => {
    server.otherwise = { kind: 'answer', text: ANSWER, finishReason: 'length' };
    const before = await callsOf(scene.app);
    const json = await scene.ask();
    const counted = difference(before, await callsOf(scene.app));
    const events = await readEvents(await scene.askStreamed());
    const path = await scene.beginConversation();
    const saidStreamed = await readEvents(await scene.sayStreamed(path, 'a'));
    expect((await scene.stored(path)).length).toBe(2);
    rows.push(
      `| cut at its length | ${refusal(json)} | ${streamed(events)} | ${streamed(saidStreamed)} | message and answer | ${counted} |`,
    );
  });

  it('tool arguments that are no JSON are told to the model, and the user gets an answer', async () => {
    const wrong: OpenAiBehaviour = {
      kind: 'answer',
      toolCalls: [{ id: 't1', name: 'graph_search', arguments: '{"query": oops' }],
    };
    const path = await scene.beginConversation();
    server.enqueue(wrong);
    const before = await callsOf(scene.app);
    const said = await scene.say(path, 'a');
    const counted = difference(before, await callsOf(scene.app));
    expect([said.status, said.body.answer]).toEqual([201, ANSWER]);
    const { messages } = server.requests[1]!.body as { messages: { role: string; content: string }[] };
    expect(messages.at(-1)).toMatchObject({
      role: 'tool',
      content: expect.stringContaining('not valid JSON'),
    });
    server.enqueue(wrong);
    const saidStreamed = await readEvents(await scene.sayStreamed(path, 'b'));
    expect((await scene.stored(path)).length).toBe(4);
    rows.push(
      `| wrong tool arguments | ${refusal(said)} | no tools there | ${streamed(saidStreamed)} | message and answer | ${counted} |`,
    );
  });

  it('the table in the guide is what clients saw', async () => {
    const guide = await readFile(GUIDE, 'utf8');
    const table = guide
      .split('\n')
      .filter((line) => line.startsWith('| '))
      .map((line) => line.replaceAll(/ +/g, ' '));
    expect(table).toEqual(expect.arrayContaining(rows));
  });

  it.each(['/v1/answers', '/v1/conversations'] as const)(
    'a client that leaves %s ends the call of the model, and gives the permit back',
    async (door) => {
      server.enqueue({ kind: 'stall-after', parts: 3 });
      const client = new AbortController();
      const path = await scene.beginConversation();
      const response =
        door === '/v1/answers'
          ? await scene.askStreamed(client.signal)
          : await scene.sayStreamed(path, 'left', client.signal);
      const reader = response.body!.getReader();
      let text = '';
      while (!text.includes('event: delta')) {
        const { value } = await reader.read();
        text += new TextDecoder().decode(value);
      }
      client.abort();
      await server.requests[0]!.abandoned;
      expect((await scene.ask()).status).toBe(200);
      if (door === '/v1/answers') return;
      await eventually(
        () => scene.app.send(path, { token: scene.token }),
        ({ body }) => body.messages.length > 0,
      );
      expect((await scene.stored(path))[0]).toBe('user');
    },
  );
});

describe('while the model server fails and others stand in', () => {
  let server: OpenAiServer;
  let second: OpenAiServer;
  let embeddings: OpenAiServer;
  let scene: Scene;

  beforeAll(async () => {
    [server, second, embeddings] = await Promise.all([
      OpenAiServer.start(),
      OpenAiServer.start(),
      OpenAiServer.start(DIMENSIONS),
    ]);
    scene = await Scene.start({
      SPARKLE_CHAT_BASE_URL: server.baseUrl,
      SPARKLE_CHAT_FALLBACKS: JSON.stringify([
        { baseUrl: second.baseUrl, model: 'second', priceInput: 1, priceOutput: 1 },
      ]),
      SPARKLE_CHAT_FALLBACK_LOCAL: 'true',
      SPARKLE_CHAT_BREAKER_FAILURES: '4',
      SPARKLE_CHAT_BREAKER_OPEN_MS: '3600000',
      SPARKLE_EMBEDDING_BASE_URL: embeddings.baseUrl,
      SPARKLE_EMBEDDING_MODEL: 'stand-in-embed',
      SPARKLE_EMBEDDING_DIMENSIONS: String(DIMENSIONS),
    });
  });
  afterEach(() => {
    for (const each of [server, second, embeddings]) {
      each.reset();
      each.otherwise = FINE;
    }
  });
  afterAll(async () => {
    await scene?.stop();
    await Promise.all([server, second, embeddings].map((each) => each?.stop()));
  });

  it('without its embedding model a question is answered from words and graph, and says that it is degraded', async () => {
    server.otherwise = FINE;
    embeddings.otherwise = status(500);
    const { status: code, body } = await scene.ask();
    expect([code, body.retrieval.degraded, body.answer]).toEqual([200, true, ANSWER]);
  });

  it('the next endpoint answers, then the local model, and each answer names who it is from', async () => {
    server.otherwise = status(500);
    second.otherwise = FINE;
    const { body } = await scene.ask();
    expect(body).toMatchObject({ model: 'second', fallback: true, answer: ANSWER });
    expect(body.usage.costUsd).toBe(30 / 1e6);
    second.otherwise = status(401);
    const path = await scene.beginConversation();
    const { body: turn } = await scene.say(path, 'x');
    expect(turn).toMatchObject({ model: 'local-extractive', fallback: true });
    expect(turn.usage.costUsd).toBe(0);
  });

  it('an endpoint that keeps failing is left alone: answers come at once from the next one', async () => {
    server.otherwise = status(500);
    second.otherwise = FINE;
    for (let failures = 0; failures < 2; failures++) await scene.ask();
    server.reset();
    expect((await scene.ask()).body).toMatchObject({ model: 'second', fallback: true });
    expect(server.requests).toHaveLength(0);
    second.otherwise = status(500);
    expect((await scene.ask()).body).toMatchObject({ model: 'local-extractive', fallback: true });
  });
});
