import { once } from 'node:events';
import { connect } from 'node:net';
import type { TenantId } from '@sparkle/contracts';
import { ConversationService } from '@sparkle/conversation';
import { ChatModel, type ChatRequest } from '@sparkle/llm';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { ApiUnderTest } from './api-under-test.js';
import { WebSocketClient } from './web-socket-door.js';

const QUESTION = 'Who founded Port Ellery?';

describe('a WebSocket', () => {
  let api: ApiUnderTest;
  let tenant: TenantId;
  let token: string;
  const clients: WebSocketClient[] = [];

  beforeAll(async () => {
    api = await ApiUnderTest.start({
      SPARKLE_WS_ORIGINS: 'https://learn.example',
      SPARKLE_WS_CONNECTIONS_PER_TENANT: '3',
    });
    tenant = await api.createTenant();
    token = await api.tokenOf(tenant);
    await api.teach(tenant, 'Harbour', 'Port Ellery was founded in 1702 by Captain Rosa Lind.');
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    const gone = clients.splice(0).map((client) => client.closed());
    for (const { socket } of [...clients]) socket.close();
    await Promise.all(gone);
  });
  afterAll(() => api?.close());

  async function open(as = token, headers?: Record<string, string>): Promise<WebSocketClient> {
    return WebSocketClient.connect(api.address, as, headers);
  }

  const begin = async () =>
    (await api.app.get(ConversationService).create({ tenantId: tenant, userId: 'alice' })).id;

  /** A model that writes what it is given, one word at a time, and then waits to be stopped. */
  function hangingModel(words: readonly string[] = ['Captain']) {
    const signals: AbortSignal[] = [];
    vi.spyOn(api.app.get<ChatModel>(ChatModel), 'stream').mockImplementation(async function* ({
      signal,
    }: ChatRequest) {
      signals.push(signal!);
      for (const text of words) yield { type: 'text' as const, text };
      if (!signal!.aborted) await once(signal!, 'abort');
      throw signal!.reason;
    });
    return signals;
  }

  /** Sends bytes as they are and gives everything that comes back until the server hangs up or falls silent. */
  async function exchange(bytes: string, until: RegExp): Promise<string> {
    const socket = connect(Number(new URL(api.address).port), '127.0.0.1');
    socket.write(bytes);
    let reply = '';
    for await (const chunk of socket) {
      reply += String(chunk);
      if (until.test(reply)) break;
    }
    socket.destroy();
    return reply;
  }

  it('takes the token from the header, or from the protocols as a browser can send it, and from nowhere else', async () => {
    const fromHeader = await open();
    expect(fromHeader.socket.protocol).toBe('');
    fromHeader.socket.close();
    const fromProtocols = await WebSocketClient.open(api.address, { protocols: ['bearer', token] });
    expect(fromProtocols).toBeInstanceOf(WebSocketClient);
    expect((fromProtocols as WebSocketClient).socket.protocol).toBe('bearer');
    (fromProtocols as WebSocketClient).socket.close();
    const { port } = new URL(api.address);
    const handshake = `GET /v1/ws?access_token=${token} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
    expect(await exchange(handshake, /TOKEN_MISSING/)).toMatch(/^HTTP\/1\.1 401 /);
  });

  it('refuses the handshake as it would a request: status, problem document, headers', async () => {
    const refused = await WebSocketClient.open(api.address, { token: 'x.y.z' });
    if (refused instanceof WebSocketClient) throw new Error('it was let in');
    expect(refused.response.statusCode).toBe(401);
    expect(refused.response.headers).toMatchObject({
      'content-type': 'application/problem+json; charset=utf-8',
      'www-authenticate': 'Bearer realm="sparkle"',
    });
    expect(refused.body).toMatchObject({ code: 'TOKEN_INVALID', instance: '/v1/ws' });
  });

  it('tells the limits at the handshake', async () => {
    const client = await open();
    const [response] = await Promise.all([once(client.socket, 'close'), client.socket.close()]);
    expect(response[0]).toBe(1005);
    const { port } = new URL(api.address);
    const handshake = `GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
    const reply = await exchange(handshake, /\r\n\r\n/);
    expect(reply).toMatch(/^HTTP\/1\.1 101 /);
    expect(reply).toContain('Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
    expect(reply).toMatch(/ratelimit: "plan";r=\d+;t=\d/i);
  });

  it('answers a plain request for its address with 426, and other addresses as ever', async () => {
    const plain = await api.app.inject({ url: '/v1/ws', headers: { authorization: `Bearer ${token}` } });
    expect([plain.statusCode, plain.json().code]).toEqual([426, 'UPGRADE_REQUIRED']);
    expect(plain.headers.upgrade).toBe('websocket');
    const elsewhere = await exchange(
      'GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      /"up"/,
    );
    expect(elsewhere).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('answers clients that offer HTTP/2 as if they had not, bodies included', async () => {
    const body = JSON.stringify({ question: QUESTION });
    const request = (rest: string) =>
      `POST /v1/answers HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\n${rest}`;
    const whole = await exchange(request(`Content-Length: ${body.length}\r\n\r\n${body}`), /"model"/);
    expect(whole).toMatch(/^HTTP\/1\.1 200 /);
    expect(whole).toContain('Rosa Lind');
    const unauthorised = await exchange(
      'GET /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
      /code/,
    );
    expect(unauthorised).toMatch(/^HTTP\/1\.1 40[14] /);
  });

  it('lets pages of named origins in, no others, and programs that have none', async () => {
    const client = await open(token, { origin: 'https://learn.example' });
    client.socket.close();
    const refused = await WebSocketClient.open(api.address, {
      token,
      headers: { origin: 'https://evil.example' },
    });
    expect(refused).toMatchObject({ body: { status: 403, code: 'ORIGIN_FORBIDDEN' } });
  });

  it("bounds a tenant's connections, and counts one that was closed no longer", async () => {
    const crowded = await api.createTenant();
    const as = await api.tokenOf(crowded);
    const held = [await open(as), await open(as), await open(as)];
    const refused = await WebSocketClient.open(api.address, { token: as });
    expect(refused).toMatchObject({ body: { status: 429, code: 'CONNECTION_LIMIT_REACHED', limit: 3 } });
    (await open()).socket.close();
    const gone = held[0]!.closed();
    held[0]!.socket.close();
    await gone;
    await vi.waitFor(async () =>
      expect(await WebSocketClient.open(api.address, { token: as })).toBeInstanceOf(WebSocketClient),
    );
    for (const client of held) client.socket.terminate();
  });

  it('answers several requests at once, each under its own id', async () => {
    const client = await open();
    client.say({ type: 'begin', id: 'c', title: 'Harbours' });
    const [, begun] = await client.replies('c');
    expect(begun).toMatchObject({ type: 'conversation', data: { title: 'Harbours', userId: 'alice' } });
    client.say({ type: 'ask', id: 'one', question: QUESTION });
    client.say({ type: 'chat', id: 'two', conversationId: begun!.data.id, content: QUESTION });
    client.say({ type: 'ping', id: 'three' });
    const [one, two, three] = await Promise.all(['one', 'two', 'three'].map((id) => client.replies(id)));
    expect(one!.map(({ type }) => type)).toEqual(expect.arrayContaining(['limits', 'delta', 'answer']));
    expect(two!.map(({ type }) => type)).toEqual(
      expect.arrayContaining(['limits', 'state', 'delta', 'answer']),
    );
    expect(three).toEqual([{ type: 'pong', id: 'three' }]);
    expect(one!.at(-1)!.data.answer).toContain('Rosa Lind');
    expect(two!.at(-1)!.data.conversationId).toBe(begun!.data.id);
    client.socket.close();
  });

  it('bounds the requests under way, keeps their ids apart, and cancels one of them', async () => {
    const signals = hangingModel();
    const client = await open();
    const chat = async (id: string) =>
      client.say({ type: 'chat', id, conversationId: await begin(), content: QUESTION });
    for (let index = 0; index < 16; index++) await chat(`r${index}`);
    await chat('one-more');
    expect((await client.replies('one-more')).at(-1)!.data).toMatchObject({
      status: 429,
      code: 'CONNECTION_BUSY',
      limit: 16,
    });
    await chat('r3');
    const confused = await client.next(({ type, id }) => type === 'error' && id === undefined);
    expect(confused!.data).toMatchObject({ code: 'REQUEST_INVALID', issues: [{ path: 'id' }] });
    await vi.waitFor(() => expect(signals.length).toBeGreaterThan(0), 10_000);
    client.say({ type: 'cancel', id: 'r0' });
    expect((await client.replies('r0')).at(-1)!.data).toMatchObject({ status: 499, code: 'TURN_CANCELLED' });
    const pending = [...signals];
    client.socket.terminate();
    await vi.waitFor(() => expect(pending.every(({ aborted }) => aborted)).toBe(true), 10_000);
  });

  it('says what is wrong with a message, goes on, and has enough of it in the end', async () => {
    const client = await open();
    const wrong = async (message: object | string, id?: string) => {
      client.say(message);
      const told = await client.next(({ type }) => type === 'error');
      expect(told!.id).toBe(id);
      return told!.data;
    };
    expect(await wrong('{"type":')).toMatchObject({ status: 400, code: 'JSON_MALFORMED' });
    expect(await wrong('['.repeat(40))).toMatchObject({ code: 'JSON_TOO_DEEP' });
    expect(await wrong('null')).toMatchObject({ code: 'REQUEST_INVALID' });
    expect(await wrong({ type: 'sing', id: 'a' }, 'a')).toMatchObject({ issues: [{ path: 'type' }] });
    expect(await wrong({ type: 'ask', id: 'b', question: QUESTION, k: 'many' }, 'b')).toMatchObject({
      issues: [{ path: 'k' }],
    });
    expect(await wrong({ type: 'ask', question: QUESTION })).toMatchObject({ issues: [{ path: 'id' }] });
    expect(
      await wrong({ type: 'chat', id: 'c', conversationId: 'x', content: 'y', more: 1 }, 'c'),
    ).toMatchObject({
      issues: expect.arrayContaining([{ path: 'conversationId', message: 'must be a UUID' }]),
    });
    client.say({ type: 'ping' });
    expect(await client.next(({ type }) => type === 'pong')).toEqual({ type: 'pong' });
    const closed = client.closed();
    for (let index = 0; index < 9; index++) client.say('nonsense');
    expect(await closed).toMatchObject({ code: 1008 });
  });

  it.each([
    ['binary', (client: WebSocketClient) => client.socket.send(Buffer.from('{}')), 1003],
    ['larger than it may be', (client: WebSocketClient) => client.say(`"${'x'.repeat(300_000)}"`), 1009],
  ])('is closed by a message that is %s', async (_what, send, code) => {
    const client = await open();
    const closed = client.closed();
    send(client);
    expect((await closed).code).toBe(code);
  });

  it('joins text while its client does not read, and holds no more than its bound', async () => {
    const words = Array.from({ length: 2_000 }, (_, index) => `${index}:${'x'.repeat(1_000)} `);
    hangingModel(words);
    const client = await open();
    const conversationId = await begin();
    client.socket.pause();
    client.say({ type: 'chat', id: 'a', conversationId, content: QUESTION });
    await vi.waitFor(() => expect(client.told.length).toBe(0));
    client.socket.resume();
    let text = '';
    let deltas = 0;
    while (text.length < words.join('').length) {
      const told = await client.next(({ type }) => type === 'delta');
      text += told!.data.text;
      deltas += 1;
    }
    expect(text).toBe(words.join(''));
    expect(deltas).toBeLessThan(words.length);
    client.socket.terminate();
  });
});
