import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { TenantId } from '@sparkle/contracts';
import { ConversationService } from '@sparkle/conversation';
import { ChatModel, type ChatRequest } from '@sparkle/llm';
import { HealthRegistry } from '@sparkle/metrics';
import { protoPath as healthProto } from 'grpc-health-check';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { ApiUnderTest } from './api-under-test.js';
import type { Wire } from './door.js';
import { agentClient, bearer, problemOfCall, unary } from './grpc-doors.js';

const QUESTION = 'Who founded Port Ellery?';

describe('gRPC', () => {
  let api: ApiUnderTest;
  let tenant: TenantId;
  let token: string;
  let client: Wire;
  const services: Wire[] = [];

  beforeAll(async () => {
    api = await ApiUnderTest.start();
    tenant = await api.createTenant();
    token = await api.tokenOf(tenant);
    await api.teach(tenant, 'Harbour', 'Port Ellery was founded in 1702 by Captain Rosa Lind.');
    client = agentClient(api.grpcAddress);
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });
  afterAll(async () => {
    for (const service of [client, ...services]) service?.close();
    await api?.close();
  });

  /** A client of one of the standard services. */
  function standard(file: string, path: readonly string[]): Wire {
    const loaded = loadPackageDefinition(loadSync(file, { longs: Number, enums: String, oneofs: true }));
    const Service = path.reduce<Wire>((part, name) => part[name], loaded) as ServiceClientConstructor;
    const service = new Service(api.grpcAddress, credentials.createInsecure());
    services.push(service);
    return service;
  }

  const begin = async () =>
    (await api.app.get(ConversationService).create({ tenantId: tenant, userId: 'alice' })).id;

  function hangingModel() {
    const signals: AbortSignal[] = [];
    const hang = async ({ signal }: ChatRequest) => {
      signals.push(signal!);
      if (!signal!.aborted) await once(signal!, 'abort');
      throw signal!.reason;
    };
    const model = api.app.get<ChatModel>(ChatModel);
    vi.spyOn(model, 'generate').mockImplementation(hang);
    // biome-ignore lint/correctness/useYield: it hangs before it has written anything.
    vi.spyOn(model, 'stream').mockImplementation(async function* (request: ChatRequest) {
      await hang(request);
    });
    return signals;
  }

  it('begins a conversation, answers in it, and gives the metadata back', async () => {
    const begun = await unary(client, 'BeginConversation', { title: 'Harbours' }, bearer(token));
    expect(begun.reply).toMatchObject({ title: 'Harbours', messageCount: 0 });
    expect(new Date(begun.reply.createdAt).getTime()).toBeGreaterThan(0);
    const request = {
      message: QUESTION,
      conversationId: begun.reply.id,
      userId: 'alice',
      metadata: { ticket: 'T-7', 语言: '中文' },
      idempotencyKey: randomUUID(),
    };
    const { reply } = await unary(client, 'Ask', request, bearer(token));
    expect(reply.metadata).toEqual(request.metadata);
    expect(reply).toMatchObject({
      supported: true,
      cache: 'miss',
      usage: { outputTokens: expect.any(Number) },
      turn: {
        conversationId: begun.reply.id,
        replayed: false,
        message: { seq: 1, role: 'user', content: QUESTION },
        reply: { seq: 2, role: 'assistant' },
        memory: { strategy: 'full' },
        modelCalls: [{ model: expect.any(String), outputTokens: expect.any(Number) }],
      },
    });
    expect(reply.turn.trace.length).toBeGreaterThan(3);
    const again = await unary(client, 'Ask', request, bearer(token));
    expect(again.reply.turn).toMatchObject({ replayed: true, reply: { id: reply.turn.reply.id } });
  });

  it("refuses to act for another user than the token's", async () => {
    for (const method of ['Ask', 'BeginConversation']) {
      const { error } = await unary(client, method, { message: QUESTION, userId: 'bob' }, bearer(token));
      expect(error!.code).toBe(status.PERMISSION_DENIED);
      expect(problemOfCall(error!)).toMatchObject({ status: 403, code: 'USER_MISMATCH' });
    }
  });

  it('refuses requests that contradict themselves or carry too much, and says where', async () => {
    const conversationId = await begin();
    const refused = async (request: object) => {
      const { error } = await unary(client, 'Ask', { message: QUESTION, ...request }, bearer(token));
      const problem = problemOfCall(error!);
      expect([error!.code, problem.code]).toEqual([status.INVALID_ARGUMENT, 'REQUEST_INVALID']);
      return problem.issues.map(({ path }: Wire) => path);
    };
    expect(await refused({ conversationId, retrieval: { k: 3 } })).toEqual(['retrieval']);
    expect(await refused({ idempotencyKey: 'x' })).toEqual(['idempotencyKey']);
    expect(await refused({ metadata: { much: 'x'.repeat(5_000) } })).toEqual(['metadata']);
    expect(
      await refused({ metadata: Object.fromEntries(Array.from({ length: 33 }, (_, key) => [key, ''])) }),
    ).toEqual(['metadata']);
    expect(await refused({ message: '' })).toEqual(['message']);
    expect(await refused({ retrieval: { k: 0, tokenBudget: 1 } })).toEqual([
      'retrieval.k',
      'retrieval.tokenBudget',
    ]);
  });

  it('refuses a message over its bound before reading it', async () => {
    const { error } = await unary(client, 'Ask', { message: 'x'.repeat(300_000) }, bearer(token));
    expect(error!.code).toBe(status.RESOURCE_EXHAUSTED);
  });

  it('tells a refusal in trailers: code, problem, limits and when to come back', async () => {
    const limited = await api.tokenOf(await api.createTenant({ hourly: { user: 1, action: 9, tenant: 9 } }));
    const first = await unary(client, 'Ask', { message: QUESTION }, bearer(limited));
    expect(first.initial.get('ratelimit')[0]).toContain('"user";r=0');
    expect(first.initial.get('ratelimit-policy')[0]).toContain('"user";q=1;w=3600');
    const { error } = await unary(client, 'Ask', { message: QUESTION }, bearer(limited));
    expect(error!.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(error!.metadata.get('sparkle-code')).toEqual(['RATE_LIMITED']);
    expect(Number(error!.metadata.get('retry-after')[0])).toBeGreaterThan(3_500);
    expect(error!.metadata.get('ratelimit')[0]).toContain('"user";r=0');
  });

  it.each(['Ask', 'Chat'])('cancels the model call of %s at the deadline', async (method) => {
    const signals = hangingModel();
    const request = { message: QUESTION, conversationId: await begin() };
    // The model has been called by the time the deadline comes: it hangs until then.
    const deadline = Date.now() + 3_000;
    const failure = new Promise<Wire>((resolve) => {
      if (method === 'Ask') client.Ask(request, bearer(token), { deadline }, (error: Wire) => resolve(error));
      else
        client
          .Chat(request, bearer(token), { deadline })
          .on('data', () => {})
          .on('error', resolve);
    });
    expect((await failure).code).toBe(status.DEADLINE_EXCEEDED);
    await vi.waitFor(() => expect(signals.map(({ aborted }) => aborted)).toEqual([true]), 10_000);
  });

  it('describes itself by reflection', async () => {
    const require = (await import('node:module')).createRequire(import.meta.url);
    const path = require
      .resolve('@grpc/reflection')
      .replace(/src\/index\.js$/, 'proto/grpc/reflection/v1/reflection.proto');
    const reflection = standard(path, ['grpc', 'reflection', 'v1', 'ServerReflection']);
    const call = reflection.ServerReflectionInfo().on('error', () => {});
    const ask = async (request: object) => {
      call.write(request);
      const [reply] = await once(call, 'data');
      return reply;
    };
    const listed = await ask({ listServices: '*' });
    const names = JSON.stringify(listed);
    expect(names).toContain('sparkle.agent.v1.AgentService');
    const described = await ask({ fileContainingSymbol: 'sparkle.agent.v1.AgentService' });
    expect(JSON.stringify(described)).toContain('fileDescriptorProto');
    call.end();
  });

  it('is as healthy as the process is ready, asked or watched', async () => {
    const health = standard(healthProto, ['grpc', 'health', 'v1', 'Health']);
    const check = (service: string) => unary(health, 'Check', { service }, new Metadata());
    expect((await check('')).reply).toMatchObject({ status: 'SERVING' });
    expect((await check('sparkle.agent.v1.AgentService')).reply).toMatchObject({ status: 'SERVING' });
    expect((await check('sparkle.Other')).error!.code).toBe(status.NOT_FOUND);
    const watch = health.Watch({ service: '' }).on('error', () => {});
    const [seen] = await once(watch, 'data');
    expect(seen).toMatchObject({ status: 'SERVING' });
    watch.cancel();
    const remove = api.app.get(HealthRegistry).register({
      name: 'broken',
      check: () => Promise.reject(new Error('down')),
    });
    expect((await check('')).reply).toMatchObject({ status: 'NOT_SERVING' });
    remove();
  });
});
