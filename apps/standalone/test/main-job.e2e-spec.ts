import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { embeddedToken, eventually, ingest, RunningApp } from './running-app.js';

const OBSERVATORY = `# Veldhoven Observatory

The Veldhoven Observatory is a research station in the Netherlands. It was founded in 1931 by Marta Kessler.
Marta Kessler was born in Graz. She studied physics under Ludwig Hartmann.

## Instruments

The observatory operates the Orion Refractor. The Orion Refractor was built by Steinmann Optics in 1938.
Steinmann Optics is based in Jena.
`;

describe('the standalone application on embedded services', () => {
  let data: string;
  let app: RunningApp;
  let alice: string;

  beforeAll(async () => {
    data = await mkdtemp(join(tmpdir(), 'sparkle-e2e-'));
    app = await RunningApp.start('standalone', { SPARKLE_DATA: data, SPARKLE_LIMIT_USER_PER_HOUR: '1000' });
    alice = await embeddedToken(data, 'demo', 'alice');
  });

  afterAll(async () => {
    await app?.stop();
    await rm(data, { recursive: true, force: true });
  });

  const ask = (question: string, token = alice) => app.send('/v1/answers', { token, json: { question } });

  it('answers how two concepts of the sample course relate along the path between them', async () => {
    const { status, body } = await ask('How does supervised learning relate to deep learning?');
    expect(status).toBe(200);
    const names = body.paths[0].nodes.map((node: { name: string }) => node.name.toLowerCase());
    expect(names[0]).toBe('supervised learning');
    expect(names.at(-1)).toBe('deep learning');
    expect(body.answer.toLowerCase()).toContain('supervised learning');
    expect(body.answer.toLowerCase()).toContain('deep learning');
    expect(body.citations.length).toBeGreaterThan(0);
    expect(body.cache).toBe('miss');
    expect(body.retrieval.strategy).toBe('graph');
    expect(body.retrieval.milliseconds).toBeGreaterThan(0);
    expect(body.usage.inputTokens).toBeGreaterThan(0);
    expect(body.model).toBe('local-extractive');
  });

  it('answers the same question in Chinese along the same path', async () => {
    const { status, body } = await ask('监督学习和深度学习是什么关系？');
    expect(status).toBe(200);
    const names = body.paths[0].nodes.map((node: { name: string }) => node.name.toLowerCase());
    expect([names[0], names.at(-1)].sort()).toEqual(['deep learning', 'supervised learning']);
    expect(body.answer).toContain('监督学习');
    expect(body.answer).toContain('深度学习');
    expect(body.citations.length).toBeGreaterThan(0);
  });

  it('turns an uploaded document into cited answers', async () => {
    const documentId = await ingest(app, alice, 'Veldhoven Observatory', OBSERVATORY);
    const { body } = await ask('Who founded the Veldhoven Observatory?');
    expect(body.answer).toContain('Marta Kessler');
    expect(body.citations.map((citation: { documentId: string }) => citation.documentId)).toContain(
      documentId,
    );
    const found = await app.send('/v1/graph/entities?q=Marta%20Kessler', { token: alice });
    expect(found.body.entities[0].name).toBe('Marta Kessler');
    const around = await app.send(`/v1/graph/neighbourhood/${found.body.entities[0].id}`, { token: alice });
    expect(around.body.nodes.length).toBeGreaterThan(1);
  });

  it('says that it does not know what no document says', async () => {
    const { body } = await ask('What is the boiling point of tungsten hexafluoride?');
    expect(body.supported).toBe(false);
    expect(body.citations).toEqual([]);
  });

  it('serves a repeated question exactly, a paraphrase semantically, and a question that differs not at all', async () => {
    const first = await ask('What is gradient descent?');
    expect(first.body.cache).toBe('miss');
    const again = await ask('What is gradient descent?');
    expect(again.body.cache).toBe('exact');
    expect(again.body.answer).toBe(first.body.answer);
    const paraphrase = await ask("what's gradient descent");
    expect(paraphrase.body.cache).toBe('semantic');
    expect(paraphrase.body.answer).toBe(first.body.answer);
    for (const other of [
      'What is not gradient descent?',
      'What is stochastic gradient descent?',
      'What is gradient boosting?',
      'What is gradient descent in 1847?',
    ]) {
      expect((await ask(other)).body.cache, other).toBe('miss');
    }
  });

  it('does not serve one conversation partner the answers of another tenant, nor its documents', async () => {
    const mallory = await embeddedToken(data, 'other', 'mallory');
    const { body: documents } = await app.send('/v1/documents', { token: alice });
    const documentId = documents.documents[0].id;
    expect((await app.send(`/v1/documents/${documentId}`, { token: alice })).status).toBe(200);
    expect((await app.send(`/v1/documents/${documentId}`, { token: mallory })).status).toBe(404);
    expect((await app.send(`/v1/documents/${documentId}`, { token: mallory, method: 'DELETE' })).status).toBe(
      404,
    );
    const question = await ask('What is gradient descent?', mallory);
    expect(question.body.cache).toBe('miss');
    expect(question.body.supported).toBe(false);
    const entities = await app.send('/v1/graph/entities?q=gradient', { token: mallory });
    expect(entities.body.entities).toEqual([]);
  });

  it('orders a learning path by prerequisites and gives hours, difficulty, resources and reasons', async () => {
    const { status, body } = await app.send('/v1/learning-paths', {
      token: alice,
      json: { target: 'Backpropagation', mastered: ['Linear algebra'] },
    });
    expect(status).toBe(200);
    const names = body.steps.map((step: { name: string }) => step.name);
    expect(names.at(-1)).toBe('Backpropagation');
    expect(names).not.toContain('Linear algebra');
    const position = new Map(
      body.steps.map((step: { nodeId: string }, index: number) => [step.nodeId, index]),
    );
    for (const step of body.steps) {
      expect(step.hours).toBeGreaterThan(0);
      expect(step.difficulty).toBeGreaterThanOrEqual(1);
      expect(step.resources.length).toBeGreaterThan(0);
      expect(step.reason.length).toBeGreaterThan(10);
      for (const { forId } of step.neededFor)
        expect(position.get(step.nodeId)).toBeLessThan(position.get(forId) as number);
    }
  });

  it('keeps study records and reports progress', async () => {
    const [node] = (await app.send('/v1/graph/entities?q=Linear%20algebra', { token: alice })).body.entities;
    const recorded = await app.send('/v1/study-records', {
      token: alice,
      json: { node: node.id, activity: 'read', durationSeconds: 1800, score: 0.95 },
    });
    expect(recorded.status).toBe(201);
    const { body } = await app.send('/v1/progress?days=7', { token: alice });
    expect(body.totals.seconds).toBe(1800);
  });

  it('summarises a conversation longer than the window in the worker and uses the summary in the next answer', async () => {
    const created = await app.send('/v1/conversations', { token: alice, json: {} });
    expect(created.status).toBe(201);
    const path = `/v1/conversations/${created.body.id}/messages`;
    const say = (content: string) => app.send(path, { token: alice, json: { content } });
    expect((await say('My name is Alice Moreau and I am preparing for the Lyon exam.')).status).toBe(201);
    for (let turn = 0; turn < 14; turn++) {
      await eventually(
        () =>
          say(
            `What is ${['overfitting', 'backpropagation', 'a random forest', 'a loss function'][turn % 4]}?`,
          ),
        (reply) => reply.status === 201,
      );
    }
    const conversation = await eventually(
      () => app.send(`/v1/conversations/${created.body.id}`, { token: alice }),
      (reply) => reply.body.summarisedTo > 0,
    );
    expect(conversation.body.summarisedTo).toBeGreaterThan(0);
    const { body } = await say('What is my name?');
    expect(body.memory.strategy).toMatch(/summary/);
    expect(body.answer).toContain('Alice');
  });

  it('streams an answer over server-sent events', async () => {
    const response = await fetch(`${app.address}/v1/answers`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${alice}`,
        'content-type': 'application/json',
        accept: 'text/event-stream',
      },
      body: JSON.stringify({ question: 'What is a support vector machine?' }),
    });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const text = await response.text();
    expect(text).toContain('event: delta');
    expect(text).toMatch(/event: answer\ndata: \{.*"citations"/);
  });

  it('reports health, metrics and its own description with true figures', async () => {
    expect((await app.send('/health/live')).status).toBe(200);
    const ready = await app.send('/health/ready');
    expect(ready.status).toBe(200);
    const performance = await app.send('/health/performance');
    expect(performance.body.score).toBeGreaterThan(0);
    const metrics = await app.send('/metrics');
    expect(metrics.body).toMatch(/request_latency_seconds_count\{[^}]*route="\/v1\/answers"/);
    const description = await app.send('/docs-json');
    expect(Object.keys(description.body.paths)).toContain('/v1/answers');
    expect((await app.send('/docs')).body).toContain('swagger');
  });
});

describe('tenant limits', () => {
  it('answer 429 with Retry-After once the plan is used up, and leave other tenants alone', async () => {
    const data = await mkdtemp(join(tmpdir(), 'sparkle-e2e-'));
    const app = await RunningApp.start('standalone', {
      SPARKLE_DATA: data,
      SPARKLE_DEFAULT_PLAN: '{"qps":1,"burst":5}',
    });
    try {
      const busy = await embeddedToken(data, 'busy', 'bob');
      const replies = await Promise.all(
        Array.from({ length: 20 }, () => app.send('/v1/documents', { token: busy })),
      );
      const limited = replies.filter((reply) => reply.status === 429);
      expect(limited.length).toBeGreaterThanOrEqual(12);
      for (const reply of limited) {
        expect(Number(reply.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
        expect(reply.headers.get('content-type')).toContain('application/problem+json');
        expect(reply.body.code).toBe('RATE_LIMITED');
      }
      const calm = await embeddedToken(data, 'calm', 'carol');
      expect((await app.send('/v1/documents', { token: calm })).status).toBe(200);
    } finally {
      await app.stop();
      await rm(data, { recursive: true, force: true });
    }
  });
});
