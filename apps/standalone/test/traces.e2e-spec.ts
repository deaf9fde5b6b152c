import { randomBytes } from 'node:crypto';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { OpenAiServer } from '@sparkle/llm/testing';
import { type CollectedSpan, OtlpCollector } from '@sparkle/metrics/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, ingest, RunningApp, send, tokenOf } from './running-app.js';

const KEY = randomBytes(32).toString('hex');
const SECRET_TEXT = 'Port Ellery was founded in 1702 by Captain Rosa Lind.';

/** A trace of a caller of ours, and the header that says so. */
function callersTrace() {
  const traceId = randomBytes(16).toString('hex');
  const parent = randomBytes(8).toString('hex');
  return { traceId, parent, headers: { traceparent: `00-${traceId}-${parent}-01` } };
}

describe('an api and a worker that export their traces', () => {
  let database: TestDatabase;
  let collector: OtlpCollector;
  let model: OpenAiServer;
  let api: RunningApp;
  let worker: RunningApp;
  let token: string;
  const tenant = `t${randomBytes(6).toString('hex')}`;

  beforeAll(async () => {
    [database, collector, model] = await Promise.all([
      createTestDatabase(),
      OtlpCollector.start(),
      OpenAiServer.start(),
    ]);
    const env = {
      DATABASE_URL: database.url,
      REDIS_URL: process.env.TEST_REDIS_URL!,
      SPARKLE_REDIS_DURABLE: 'true',
      SPARKLE_JWT_KEY: KEY,
      SPARKLE_DEFAULT_PLAN: '{"qps":200,"burst":400}',
      SPARKLE_CHAT_BASE_URL: model.baseUrl,
      SPARKLE_CHAT_MODEL: 'stand-in',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.base,
      OTEL_BSP_SCHEDULE_DELAY: '50',
      OTEL_EXPORTER_OTLP_TIMEOUT: '1000',
      OTEL_BSP_MAX_QUEUE_SIZE: '256',
    };
    [api, worker] = await Promise.all([RunningApp.start('api', env), RunningApp.start('worker', env)]);
    token = await tokenOf(KEY, tenant, 'alice');
  });

  afterAll(async () => {
    const stopped = await Promise.all([api?.stop(), worker?.stop()]);
    await Promise.all([collector?.close(), model?.stop(), database?.drop()]);
    expect(stopped).toEqual([0, 0]);
  });

  /** The spans of a trace once `isComplete`. */
  async function collected(traceId: string, isComplete: (spans: CollectedSpan[]) => boolean) {
    await expect.poll(() => isComplete(collector.trace(traceId)), { timeout: 30_000 }).toBe(true);
    return collector.trace(traceId);
  }

  /** Every span is below another of the trace, or below the caller's. */
  function expectOneTree(spans: readonly CollectedSpan[], root: string) {
    const ids = new Set(spans.map(({ spanId }) => spanId));
    for (const { name, parentSpanId } of spans)
      expect(parentSpanId === root || ids.has(parentSpanId), `${name} hangs from ${parentSpanId}`).toBe(true);
    expect(spans.filter(({ parentSpanId }) => parentSpanId === root)).toHaveLength(1);
  }

  const find = (spans: readonly CollectedSpan[], service: string, name: string) => {
    const span = spans.find((each) => each.service === service && each.name === name);
    expect(span, `${service}: ${name}`).toBeDefined();
    return span!;
  };
  const has = (name: string) => (spans: readonly CollectedSpan[]) => spans.some((span) => span.name === name);

  it('show an upload, its job and every step of its ingestion as one trace', async () => {
    const caller = callersTrace();
    const reply = await api.send('/v1/documents', {
      token,
      json: { title: 'Harbour', text: `# Port Ellery\n\n${SECRET_TEXT}`, format: 'markdown' },
      headers: caller.headers,
    });
    expect(reply.status).toBe(202);
    expect(reply.headers.get('traceresponse')).toContain(caller.traceId);

    const spans = await collected(caller.traceId, has('process ingestion'));
    const request = find(spans, 'sparkle-api', 'POST /v1/documents');
    const send = find(spans, 'sparkle-api', 'send ingestion');
    const run = find(spans, 'sparkle-worker', 'process ingestion');
    expect(request.parentSpanId).toBe(caller.parent);
    expect(send.parentSpanId).toBe(request.spanId);
    expect(run.parentSpanId).toBe(send.spanId);
    expect([request.kind, send.kind, run.kind]).toEqual([2, 4, 5]);
    expect(run.attributes).toMatchObject({
      'messaging.system': 'bullmq',
      'messaging.destination.name': 'ingestion',
      'messaging.message.id': reply.body.jobId,
      'sparkle.tenant': tenant,
      'sparkle.job.outcome': 'completed',
    });

    const below = spans.filter(({ parentSpanId }) => parentSpanId === run.spanId).map(({ name }) => name);
    expect(below.filter((name) => name.startsWith('ingestion ')).length).toBeGreaterThanOrEqual(3);
    expect(below).toContain('postgresql transaction');
    expect(
      spans.filter(({ parentSpanId }) => parentSpanId === request.spanId).map(({ name }) => name),
    ).toContain('limit rate');
    expectOneTree(spans, caller.parent);
    for (const span of spans) expect(span.endMs).toBeGreaterThanOrEqual(span.startMs);
  });

  it('show an answer with its retrieval and its model call, and hand the trace on to the model server', async () => {
    const caller = callersTrace();
    const reply = await api.send('/v1/answers', {
      token,
      json: { question: 'Who founded Port Ellery?' },
      headers: caller.headers,
    });
    expect(reply.status).toBe(200);

    const spans = await collected(caller.traceId, has('POST /v1/answers'));
    const request = find(spans, 'sparkle-api', 'POST /v1/answers');
    expect(spans.some(({ name }) => name.startsWith('retrieval '))).toBe(true);
    const call = spans.find(({ name }) => name === 'chat stand-in')!;
    expect(call).toMatchObject({ parentSpanId: request.spanId, attributes: { 'sparkle.tenant': tenant } });
    expect(call.attributes['gen_ai.usage.input_tokens']).toBeGreaterThan(0);
    const asked = model.requests.find(({ headers }) => headers.traceparent?.includes(caller.traceId));
    expect(spans.map(({ spanId }) => spanId)).toContain(String(asked?.headers.traceparent).split('-')[2]);
    expectOneTree(spans, caller.parent);
  });

  it('show a turn of a conversation and the summary it caused as one trace', async () => {
    const talk = await tokenOf(KEY, `${tenant}-talk`, 'bob');
    const { body: conversation } = await api.send('/v1/conversations', { token: talk, json: {} });
    const turns: ReturnType<typeof callersTrace>[] = [];
    for (let turn = 0; turn < 13; turn++) {
      const caller = callersTrace();
      turns.push(caller);
      const reply = await api.send(`/v1/conversations/${conversation.id}/messages`, {
        token: talk,
        json: { content: `My lucky number is ${turn}.` },
        headers: { ...caller.headers, accept: turn % 2 ? 'application/json' : 'text/event-stream' },
      });
      expect(reply.status).toBeLessThan(300);
    }
    const summarised = () => turns.find(({ traceId }) => has('process summaries')(collector.trace(traceId)));
    await expect.poll(summarised, { timeout: 30_000 }).toBeDefined();
    const caller = summarised()!;

    const spans = await collected(caller.traceId, has('conversation turn'));
    const request = find(spans, 'sparkle-api', 'POST /v1/conversations/:id/messages');
    expect(request.parentSpanId).toBe(caller.parent);
    expect(find(spans, 'sparkle-api', 'conversation turn').parentSpanId).toBe(request.spanId);
    const sent = find(spans, 'sparkle-api', 'send summaries');
    const run = find(spans, 'sparkle-worker', 'process summaries');
    expect(run.parentSpanId).toBe(sent.spanId);
    expectOneTree(spans, caller.parent);
  });

  it('tell the trace in problem documents and in the lines they log', async () => {
    const caller = callersTrace();
    const refused = await api.send('/v1/jobs/nonsense', { token, headers: caller.headers });
    expect(refused.body).toMatchObject({ code: 'REQUEST_INVALID', traceId: caller.traceId });
    const spans = await collected(caller.traceId, has('GET /v1/jobs/:id'));
    expect(find(spans, 'sparkle-api', 'GET /v1/jobs/:id')).toMatchObject({
      failed: false,
      attributes: { 'http.response.status_code': 400 },
    });
  });

  it('put neither content nor tokens into a span, and no tenant into the trace of another', () => {
    const everything = JSON.stringify(collector.spans);
    expect(collector.spans.length).toBeGreaterThan(50);
    for (const secret of [SECRET_TEXT, 'Rosa Lind', 'lucky number', 'Who founded', token, KEY, database.url])
      expect(everything).not.toContain(secret);
    const tenantsOf = new Map<string, Set<unknown>>();
    for (const { traceId, attributes } of collector.spans) {
      const tenants = tenantsOf.get(traceId) ?? new Set();
      if (attributes['sparkle.tenant'] !== undefined) tenants.add(attributes['sparkle.tenant']);
      tenantsOf.set(traceId, tenants);
    }
    for (const tenants of tenantsOf.values()) expect(tenants.size).toBeLessThanOrEqual(1);
  });

  it('work on while the collector stalls and after it has died, count what was lost, and export again', async () => {
    const port = Number(new URL(collector.endpoint).port);
    const lost = async () => {
      const { body } = await api.send('/metrics');
      return [...String(body).matchAll(/^trace_spans_dropped_total\{.*\} (\d+)/gm)].reduce(
        (sum, [, count]) => sum + Number(count),
        0,
      );
    };
    collector.mood = 'stalled';
    for (let n = 0; n < 40; n++) expect((await api.send('/v1/documents', { token })).status).toBe(200);
    await eventually(
      () => api.send('/metrics'),
      ({ body }) => /^trace_spans_dropped_total\{.*reason="/m.test(String(body)),
    );
    await collector.close();
    for (let n = 0; n < 10; n++) expect((await api.send('/v1/documents', { token })).status).toBe(200);
    expect(await lost()).toBeGreaterThan(0);

    collector = await OtlpCollector.start(port);
    await expect
      .poll(
        async () => {
          const caller = callersTrace();
          await api.send('/v1/documents', { token, headers: caller.headers });
          return collector.spans.length;
        },
        { timeout: 30_000, interval: 200 },
      )
      .toBeGreaterThan(0);
  });

  it('have sent what they did last when they have ended in order', async () => {
    const caller = callersTrace();
    const reply = await send(api.address, '/v1/documents', { token, headers: caller.headers });
    expect(reply.status).toBe(200);
    await ingest(api, token, 'Last', 'The last document of this test.');
    expect(await api.stop()).toBe(0);
    expect(has('GET /v1/documents')(collector.trace(caller.traceId))).toBe(true);
  });
});
