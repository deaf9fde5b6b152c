import { once } from 'node:events';
import type { ServiceError } from '@grpc/grpc-js';
import { ConversationService } from '@sparkle/conversation';
import { ChatModel, type ChatRequest, type ChatResult } from '@sparkle/llm';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ApiUnderTest } from './api-under-test.js';
import type { Wire } from './door.js';
import { agentClient, bearer } from './grpc-doors.js';
import { WebSocketClient } from './web-socket-door.js';

const QUESTION = 'Who founded Port Ellery?';

describe('a shutdown', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('lets what is under way end, through every door, and takes nothing new', async () => {
    const api = await ApiUnderTest.start();
    const tenant = await api.createTenant();
    const token = await api.tokenOf(tenant);
    await api.teach(tenant, 'Harbour', 'Port Ellery was founded in 1702 by Captain Rosa Lind.');
    const conversations = api.app.get(ConversationService);
    const begin = async () => (await conversations.create({ tenantId: tenant, userId: 'alice' })).id;

    let calls = 0;
    let finish = () => {};
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const model = api.app.get<ChatModel>(ChatModel);
    const result = (): ChatResult => ({
      text: 'Captain Rosa Lind did. [C1]',
      usage: { inputTokens: 1, outputTokens: 1, costUsd: 0 },
      model: 'test',
      finishReason: 'stop',
      toolCalls: [],
    });
    vi.spyOn(model, 'generate').mockImplementation(async () => {
      calls += 1;
      await finished;
      return result();
    });
    vi.spyOn(model, 'stream').mockImplementation(async function* (_request: ChatRequest) {
      calls += 1;
      yield { type: 'text' as const, text: 'Captain' };
      await finished;
      yield { type: 'done' as const, result: result() };
    });

    const client = await WebSocketClient.connect(api.address, token);
    client.say({ type: 'chat', id: 'a', conversationId: await begin(), content: QUESTION });
    const grpc: Wire = agentClient(api.grpcAddress);
    const conversationId = await begin();
    const asked = new Promise<Wire>((resolve, reject) =>
      grpc.Ask(
        { message: QUESTION, conversationId },
        bearer(token),
        (error: ServiceError | null, reply: Wire) => (error ? reject(error) : resolve(reply)),
      ),
    );
    const path = `${api.address}/v1/conversations/${await begin()}/messages`;
    const posted = fetch(path, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ content: QUESTION }),
    });
    const idle = await WebSocketClient.connect(api.address, token);
    await vi.waitFor(() => expect(calls).toBe(3), 10_000);

    const goodbye = once(client.socket, 'close');
    const idleGoodbye = once(idle.socket, 'close');
    const closed = api.close();
    expect((await idleGoodbye)[0]).toBe(1001);
    client.say({ type: 'ask', id: 'late', question: QUESTION });
    expect((await client.replies('late')).at(-1)).toMatchObject({
      type: 'error',
      data: { code: 'SERVER_CLOSING' },
    });
    finish();
    expect((await client.replies('a')).at(-1)).toMatchObject({ type: 'answer', data: { model: 'test' } });
    expect((await goodbye)[0]).toBe(1001);
    expect((await asked).model).toBe('test');
    expect((await posted).status).toBe(201);
    await closed;
    grpc.close();
  });
});
