import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { parseTenantId } from '@sparkle/contracts';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { JobQueues, redisQueueBackend } from '@sparkle/runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GrpcProbe, tellWebSocket } from './other-doors.js';
import { type Call, eventually, ingest, type Reply, RunningApp, tokenOf } from './running-app.js';

const KEY = randomBytes(32).toString('hex');
/** A name nothing else could mention. */
const SECRET = 'Zanzibrite';

/** What a stranger sends to a route, and the status that shows that nothing was there for them. */
interface Attempt {
  readonly path: string;
  readonly call?: Call;
  readonly status: number;
}

interface Owned {
  readonly documentId: string;
  readonly jobId: string;
  readonly conversationId: string;
  readonly nodeId: string;
  readonly otherNodeId: string;
  readonly cacheEntry: string;
  readonly resolutionId: string;
  readonly deadLetterId: string;
}

/** One attempt for each route of the api, keyed as OpenAPI names them. */
function attempts(owned: Owned): Readonly<Record<string, Attempt>> {
  const question = `What is ${SECRET} made of?`;
  return {
    'POST /v1/answers': { path: '/v1/answers', call: { json: { question } }, status: 200 },
    'POST /v1/feedback': {
      path: '/v1/feedback',
      call: { json: { kind: 'bad_hit', cacheEntry: owned.cacheEntry } },
      status: 404,
    },
    'POST /v1/conversations': { path: '/v1/conversations', call: { json: {} }, status: 201 },
    'GET /v1/conversations': { path: '/v1/conversations', status: 200 },
    'DELETE /v1/conversations/{id}': {
      path: `/v1/conversations/${owned.conversationId}`,
      call: { method: 'DELETE' },
      status: 404,
    },
    'GET /v1/conversations/{id}': { path: `/v1/conversations/${owned.conversationId}`, status: 404 },
    'GET /v1/conversations/{id}/messages': {
      path: `/v1/conversations/${owned.conversationId}/messages`,
      status: 404,
    },
    'POST /v1/conversations/{id}/messages': {
      path: `/v1/conversations/${owned.conversationId}/messages`,
      call: { json: { content: question } },
      status: 404,
    },
    'POST /v1/documents': {
      path: '/v1/documents',
      call: { json: { title: 'Mine', text: 'Nothing of note.' } },
      status: 202,
    },
    'GET /v1/documents': { path: '/v1/documents', status: 200 },
    'GET /v1/documents/{id}': { path: `/v1/documents/${owned.documentId}`, status: 404 },
    'DELETE /v1/documents/{id}': {
      path: `/v1/documents/${owned.documentId}`,
      call: { method: 'DELETE' },
      status: 404,
    },
    'PUT /v1/documents/{id}': {
      path: `/v1/documents/${owned.documentId}`,
      call: { method: 'PUT', json: { title: 'Mine now', text: 'Nothing of note.' } },
      status: 404,
    },
    'POST /v1/graph/entities/{id}/merge': {
      path: `/v1/graph/entities/${owned.nodeId}/merge`,
      call: { json: { mergeIds: [owned.otherNodeId], reason: 'mine' } },
      status: 404,
    },
    'POST /v1/graph/entities/{id}/split': {
      path: `/v1/graph/entities/${owned.nodeId}/split`,
      call: { json: { documentIds: [owned.documentId], reason: 'mine' } },
      status: 404,
    },
    'GET /v1/graph/resolutions': { path: '/v1/graph/resolutions', status: 200 },
    'POST /v1/graph/resolutions/{id}/undo': {
      path: `/v1/graph/resolutions/${owned.resolutionId}/undo`,
      call: { json: { reason: 'mine' } },
      status: 404,
    },
    'GET /v1/dead-letters': { path: '/v1/dead-letters', status: 200 },
    'POST /v1/dead-letters/replay': {
      path: '/v1/dead-letters/replay',
      call: { json: {} },
      status: 202,
    },
    'GET /v1/dead-letters/{queue}/{id}': {
      path: `/v1/dead-letters/ingestion/${owned.deadLetterId}`,
      status: 404,
    },
    'POST /v1/dead-letters/{queue}/{id}/replay': {
      path: `/v1/dead-letters/ingestion/${owned.deadLetterId}/replay`,
      call: { method: 'POST' },
      status: 404,
    },
    'DELETE /v1/dead-letters/{queue}/{id}': {
      path: `/v1/dead-letters/ingestion/${owned.deadLetterId}`,
      call: { method: 'DELETE' },
      status: 404,
    },
    'GET /v1/jobs/{id}': { path: `/v1/jobs/${owned.jobId}`, status: 404 },
    'GET /v1/jobs/{id}/events': { path: `/v1/jobs/${owned.jobId}/events`, status: 404 },
    'GET /v1/graph/entities': { path: `/v1/graph/entities?q=${SECRET}`, status: 200 },
    'GET /v1/graph/neighbourhood/{id}': { path: `/v1/graph/neighbourhood/${owned.nodeId}`, status: 404 },
    'GET /v1/graph/paths': {
      path: `/v1/graph/paths?from=${owned.nodeId}&to=${owned.otherNodeId}`,
      status: 404,
    },
    'POST /v1/learning-paths': {
      path: '/v1/learning-paths',
      call: { json: { target: owned.nodeId } },
      status: 404,
    },
    'POST /v1/study-records': {
      path: '/v1/study-records',
      call: { json: { node: owned.nodeId, activity: 'read', durationSeconds: 60 } },
      status: 404,
    },
    // A tenant's administrators are not the operator.
    'GET /v1/operations/checklist': { path: '/v1/operations/checklist', status: 403 },
    'GET /v1/operations/event-loop': { path: '/v1/operations/event-loop', status: 403 },
    'POST /v1/operations/profiles/cpu': {
      path: '/v1/operations/profiles/cpu',
      call: { method: 'POST' },
      status: 403,
    },
    'POST /v1/operations/profiles/heap': {
      path: '/v1/operations/profiles/heap',
      call: { method: 'POST' },
      status: 403,
    },
    'POST /v1/operations/profiles/heap-sampling': {
      path: '/v1/operations/profiles/heap-sampling',
      call: { method: 'POST' },
      status: 403,
    },
    'GET /v1/ws': { path: '/v1/ws', status: 426 },
    'GET /v1/progress': { path: '/v1/progress', status: 200 },
    'GET /v1/progress/nodes': { path: '/v1/progress/nodes', status: 200 },
  };
}

describe('a caller of another tenant', () => {
  let database: TestDatabase;
  let api: RunningApp;
  let worker: RunningApp;
  let owner: string;
  let stranger: string;
  let owned: Owned;
  let routes: string[];
  const tenant = `t${randomBytes(6).toString('hex')}`;

  beforeAll(async () => {
    database = await createTestDatabase();
    const env = {
      DATABASE_URL: database.url,
      REDIS_URL: process.env.TEST_REDIS_URL!,
      SPARKLE_REDIS_DURABLE: 'true',
      SPARKLE_JWT_KEY: KEY,
      SPARKLE_DEFAULT_PLAN: '{"qps":50,"burst":200}',
    };
    [api, worker] = await Promise.all([RunningApp.start('api', env), RunningApp.start('worker', env)]);
    owner = await tokenOf(KEY, tenant, 'alice', { scopes: ['read', 'write', 'admin'] });
    stranger = await tokenOf(KEY, `${tenant}-stranger`, 'alice', { scopes: ['read', 'write', 'admin'] });
    owned = await makeThings();
    const { body } = await api.send('/docs-json');
    routes = Object.entries<Record<string, unknown>>(body.paths).flatMap(([path, methods]) =>
      path.startsWith('/v1') ? Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`) : [],
    );
  });

  afterAll(async () => {
    const stopped = await Promise.all([api?.stop(), worker?.stop()]);
    await database?.drop();
    expect(stopped).toEqual([0, 0]);
  });

  /** What the owner has, by every route that makes something. */
  async function makeThings(): Promise<Owned> {
    const ask = (path: string, call: Call = {}) => api.send(path, { token: owner, ...call });
    const text = `# ${SECRET}\n\n${SECRET} is a mineral. ${SECRET} is made of Quonkium. Quonkium was found by Ada Quist.`;
    const accepted = await ask('/v1/documents', { json: { title: SECRET, text, format: 'markdown' } });
    const documentId = await ingest(api, owner, SECRET, text);
    const entities = await ask(`/v1/graph/entities?q=${SECRET}`);
    const others = await ask('/v1/graph/entities?q=Quonkium');
    const finders = await ask('/v1/graph/entities?q=Quist');
    const merged = await ask(`/v1/graph/entities/${others.body.entities[0].id}/merge`, {
      json: { mergeIds: [finders.body.entities[0].id], reason: 'as a test' },
    });
    expect(merged.status).toBe(200);
    const conversation = await ask('/v1/conversations', { json: { title: SECRET } });
    await ask(`/v1/conversations/${conversation.body.id}/messages`, {
      json: { content: `What is ${SECRET}?` },
    });
    const question = `What is ${SECRET} made of?`;
    await ask('/v1/answers', { json: { question } });
    const cached = await ask('/v1/answers', { json: { question } });
    expect(cached.body.cache).toBe('exact');
    const nodeId = entities.body.entities[0].id;
    const studied = await ask('/v1/study-records', {
      json: { node: nodeId, activity: 'read', durationSeconds: 60 },
    });
    expect(studied.status).toBe(201);
    return {
      documentId,
      jobId: accepted.body.jobId,
      conversationId: conversation.body.id,
      nodeId,
      otherNodeId: others.body.entities[0].id,
      cacheEntry: cached.body.cacheEntry,
      resolutionId: merged.body.id,
      deadLetterId: await giveUp(),
    };
  }

  /** A job of the owner's that no row knows of: the worker cannot but give it up. */
  async function giveUp(): Promise<string> {
    const queues = new JobQueues(redisQueueBackend(process.env.TEST_REDIS_URL!), { attempts: 1 });
    const jobId = randomUUID();
    const subjectId = randomUUID();
    await queues.add('ingestion', jobId, {
      tenantId: parseTenantId(tenant),
      jobId,
      kind: 'ingestion',
      subjectId,
    });
    await queues.onApplicationShutdown();
    await eventually(
      () => api.send(`/v1/dead-letters/ingestion/${jobId}`, { token: owner }),
      (reply) => reply.status === 200,
    );
    return jobId;
  }

  it('has an attempt on every route there is', () => {
    expect(Object.keys(attempts(owned)).sort()).toEqual([...routes].sort());
  });

  it('gets nothing by any route, and changes nothing', async () => {
    for (const [route, { path, call, status }] of Object.entries(attempts(owned))) {
      const reply = await api.send(path, { token: stranger, ...call });
      expect([route, reply.status]).toEqual([route, status]);
      expectNothing(route, reply);
    }
    const { body: documents } = await api.send('/v1/documents', { token: stranger });
    expect(documents.documents.map(({ title }: { title: string }) => title)).toEqual(['Mine']);
    const { body: progress } = await api.send('/v1/progress', { token: stranger });
    expect(JSON.stringify(progress)).not.toContain(owned.nodeId);

    const letter = await api.send(`/v1/dead-letters/ingestion/${owned.deadLetterId}`, { token: owner });
    expect([letter.status, letter.body.code]).toEqual([200, 'JOB_NOT_FOUND']);
    const kept = await api.send(`/v1/documents/${owned.documentId}`, { token: owner });
    expect([kept.status, kept.body.state]).toEqual([200, 'ready']);
    const messages = await api.send(`/v1/conversations/${owned.conversationId}/messages`, { token: owner });
    expect(messages.body.messages).toHaveLength(2);
    const again = await api.send('/v1/answers', {
      token: owner,
      json: { question: `What is ${SECRET} made of?` },
    });
    expect(again.body.cache).toBe('exact');
  });

  it('gets nothing through the other doors', async () => {
    const question = `What is ${SECRET} made of?`;
    const chat = { conversationId: owned.conversationId };
    const told = await tellWebSocket(api.address, stranger, [
      { type: 'chat', id: 'chat', ...chat, content: question },
      { type: 'ask', id: 'ask', question },
      { type: 'begin', id: 'begin', title: 'Mine' },
    ]);
    expect(told.chat).toMatchObject({ type: 'error', data: { status: 404, code: 'CONVERSATION_NOT_FOUND' } });
    expect(told.ask).toMatchObject({ type: 'answer', data: { supported: false, citations: [] } });
    expect(told.begin).toMatchObject({ type: 'conversation', data: { messageCount: 0 } });

    const grpc = new GrpcProbe(/for gRPC, at (\S+)/.exec(api.output())![1]!);
    const calls: Record<string, object> = {
      Ask: { message: question, ...chat },
      Chat: { message: question, ...chat },
      BeginConversation: { title: 'Mine' },
    };
    expect(Object.keys(calls).sort()).toEqual(grpc.methods.sort());
    const replies: unknown[] = Object.values(told);
    for (const [method, request] of Object.entries(calls)) {
      const reply = await grpc.call(method, request, stranger);
      if (method !== 'BeginConversation')
        expect([method, reply.code]).toEqual([method, 'CONVERSATION_NOT_FOUND']);
      replies.push(reply);
      expect(await grpc.call(method, request)).toMatchObject({ code: 'TOKEN_MISSING' });
      const forged = await tokenOf('f'.repeat(64), tenant, 'alice');
      expect(await grpc.call(method, request, forged)).toMatchObject({ code: 'TOKEN_INVALID' });
    }
    const asked = await grpc.call('Ask', { message: question }, stranger);
    expect(asked.reply).toMatchObject({ supported: false, citations: [] });
    grpc.close();
    for (const word of ['Quonkium', 'Quist', 'mineral'])
      expect(JSON.stringify([...replies, asked])).not.toContain(word);
    const messages = await api.send(`/v1/conversations/${owned.conversationId}/messages`, { token: owner });
    expect(messages.body.messages).toHaveLength(2);
  });

  it('gets nothing without a token, with a foreign signature, or with a token that names no tenant', async () => {
    const [header, payload] = owner.split('.');
    const { tenant: _, ...nobody } = JSON.parse(Buffer.from(payload!, 'base64url').toString());
    const unsigned = `${header}.${Buffer.from(JSON.stringify(nobody)).toString('base64url')}`;
    const signature = createHmac('sha256', KEY).update(unsigned).digest('base64url');
    const tokens = [undefined, await tokenOf('f'.repeat(64), tenant, 'alice'), `${unsigned}.${signature}`];
    for (const token of tokens) {
      for (const [route, { path, call }] of Object.entries(attempts(owned))) {
        const reply = await api.send(path, { ...(token && { token }), ...call });
        expect([route, reply.status]).toEqual([route, 401]);
        expectNothing(route, reply);
      }
    }
  });

  function expectNothing(route: string, reply: Reply): void {
    const text = JSON.stringify(reply.body);
    for (const word of ['Quonkium', 'Quist', 'mineral'])
      expect([route, text.includes(word)]).toEqual([route, false]);
    // A problem or an answer may repeat the stranger's own words, and no more.
    if (route !== 'POST /v1/answers') expect([route, text.includes(SECRET)]).toEqual([route, false]);
  }
});
