import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { embeddedJwtKey } from '@sparkle/runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Call, embeddedToken, eventually, RunningApp, tokenOf } from './running-app.js';

describe('bad input', () => {
  let data: string;
  let app: RunningApp;
  let token: string;

  beforeAll(async () => {
    data = await mkdtemp(join(tmpdir(), 'sparkle-e2e-'));
    app = await RunningApp.start('standalone', {
      SPARKLE_DATA: data,
      SPARKLE_DEFAULT_PLAN: '{"qps":1000,"burst":1000}',
      SPARKLE_DOCUMENT_MAX_BYTES: '100000',
    });
    token = await embeddedToken(data, 'acme', 'alice');
  });

  afterAll(async () => {
    await app?.stop();
    await rm(data, { recursive: true, force: true });
  });

  async function refusal(path: string, call: Call) {
    const reply = await app.send(path, call);
    expect(reply.headers.get('content-type')).toContain('application/problem+json');
    expect(reply.body.status).toBe(reply.status);
    expect(JSON.stringify(reply.body)).not.toMatch(/node_modules|at Object|\.ts:/);
    return `${reply.status} ${reply.body.code}`;
  }

  const upload = (json: unknown) => refusal('/v1/documents', { token, json });

  it.each([
    ['an empty document', { title: 'x', text: '' }, '422 DOCUMENT_EMPTY'],
    ['a blank document', { title: 'x', text: ' \n\t ' }, '422 DOCUMENT_EMPTY'],
    ['a document over the limit', { title: 'x', text: 'a '.repeat(60_000) }, '413 DOCUMENT_TOO_LARGE'],
    ['a binary document', { title: 'x', text: 'a\u0000b\u0001c' }, '422 DOCUMENT_BINARY'],
    [
      'a document of another format',
      { title: 'x', text: 'PK\u0003\u0004\u0000\u0000' },
      '422 DOCUMENT_FORMAT_MISMATCH',
    ],
    ['a deeply nested document', { title: 'x', text: `${'>'.repeat(5000)} deep` }, '422 DOCUMENT_TOO_DEEP'],
    ['an unknown format', { title: 'x', text: 'y', format: 'docx' }, '400 REQUEST_INVALID'],
    ['a document without text', { title: 'x' }, '400 REQUEST_INVALID'],
  ])('%s is refused with its reason', async (_name, json, expected) => {
    expect(await upload(json)).toBe(expected);
  });

  it('a body that is not UTF-8 is refused with its reason', async () => {
    const raw = new Uint8Array([0x48, 0x69, 0xff, 0xfe, 0xfd, 0x20]);
    const headers = { 'content-type': 'text/plain' };
    expect(await refusal('/v1/documents?title=x', { token, raw, headers })).toBe(
      '422 DOCUMENT_ENCODING_INVALID',
    );
  });

  it('nothing of a refused document is stored', async () => {
    const { body } = await app.send('/v1/documents', { token });
    expect(body.documents).toEqual([]);
  });

  it('a duplicate is answered with the document that is there already', async () => {
    const json = { title: 'Twice', text: 'Ada Lovelace wrote about the Analytical Engine.' };
    const [first, second] = await Promise.all([0, 1].map(() => app.send('/v1/documents', { token, json })));
    expect(first!.body.documentId).toBe(second!.body.documentId);
    expect([first!.body.duplicate, second!.body.duplicate].sort()).toEqual([false, true]);
    await eventually(
      () => app.send(`/v1/documents/${first!.body.documentId}`, { token }),
      (reply) => reply.body.state === 'ready',
    );
  });

  it('malformed and deeply nested JSON are refused with their reason', async () => {
    const headers = { 'content-type': 'application/json' };
    expect(await refusal('/v1/answers', { token, raw: '{"question": ', headers })).toBe('400 JSON_MALFORMED');
    expect(await refusal('/v1/answers', { token, raw: '['.repeat(10_000), headers })).toBe(
      '400 JSON_TOO_DEEP',
    );
    expect(await refusal('/v1/answers', { token, raw: '{"__proto__": {"x": 1}}', headers })).toBe(
      '400 JSON_MALFORMED',
    );
    expect(await refusal('/v1/answers', { token, json: {} })).toBe('400 REQUEST_INVALID');
    expect(await refusal('/v1/answers', { token, raw: 'x', headers: { 'content-type': 'image/png' } })).toBe(
      '415 MEDIA_TYPE_UNSUPPORTED',
    );
  });

  it('missing, malformed, forged, expired and under-scoped tokens are refused with their reason', async () => {
    const key = await embeddedJwtKey(data);
    const forged = await tokenOf('another-key-another-key-another-key-1', 'acme', 'alice');
    const expired = await tokenOf(key, 'acme', 'alice', { lifetimeSeconds: -10 });
    const reader = await tokenOf(key, 'acme', 'alice', { scopes: ['read'] });
    const unsigned = `${btoa('{"alg":"none"}')}.${btoa('{"sub":"alice","tenant":"acme","exp":9999999999}')}.`;
    expect(await refusal('/v1/documents', {})).toBe('401 TOKEN_MISSING');
    expect(await refusal('/v1/documents', { token: 'nonsense' })).toBe('401 TOKEN_INVALID');
    expect(await refusal('/v1/documents', { token: forged })).toBe('401 TOKEN_INVALID');
    expect(await refusal('/v1/documents', { token: unsigned })).toBe('401 TOKEN_INVALID');
    expect(await refusal('/v1/documents', { token: expired })).toBe('401 TOKEN_EXPIRED');
    expect(await refusal('/v1/documents', { token: reader, json: { title: 'x', text: 'y' } })).toBe(
      '403 SCOPE_MISSING',
    );
  });

  it('unknown ids, routes and targets are refused with their reason', async () => {
    const id = '00000000-0000-4000-8000-000000000000';
    expect(await refusal(`/v1/documents/${id}`, { token })).toBe('404 DOCUMENT_NOT_FOUND');
    expect(await refusal(`/v1/jobs/${id}`, { token })).toBe('404 JOB_NOT_FOUND');
    expect(await refusal(`/v1/conversations/${id}/messages`, { token })).toBe('404 CONVERSATION_NOT_FOUND');
    expect(await refusal(`/v1/graph/neighbourhood/${id}`, { token })).toBe('404 NODE_NOT_FOUND');
    expect(await refusal('/v1/documents/not-a-uuid', { token })).toBe('400 REQUEST_INVALID');
    expect(await refusal('/v1/nowhere', { token })).toBe('404 NOT_FOUND');
    expect(await refusal('/v1/learning-paths', { token, json: { target: 'Quidditch' } })).toMatch(/^404 /);
  });
});

describe('bad conditions at start', () => {
  it('a second start on the same data folder is refused in a sentence', async () => {
    const data = await mkdtemp(join(tmpdir(), 'sparkle-e2e-'));
    const app = await RunningApp.start('standalone', { SPARKLE_DATA: data });
    try {
      const second = await RunningApp.startInVain('standalone', { SPARKLE_DATA: data });
      expect(second.status).toBe(1);
      expect(second.output).toContain(data);
      expect(second.output).not.toMatch(/^\s+at /m);
    } finally {
      await app.stop();
      await rm(data, { recursive: true, force: true });
    }
  });

  it.each([
    [
      'an unreachable database',
      {
        DATABASE_URL: 'postgres://user:secret-word@127.0.0.1:1/none',
        REDIS_URL: process.env.TEST_REDIS_URL ?? '',
      },
      /PostgreSQL|database/i,
    ],
    [
      'an unreachable Redis',
      { DATABASE_URL: process.env.TEST_DATABASE_URL ?? '', REDIS_URL: 'redis://:secret-word@127.0.0.1:1' },
      /Redis/,
    ],
  ])('%s ends the start with a sentence and without a secret', async (_name, env, expected) => {
    for (const app of ['api', 'worker'] as const) {
      const { status, output } = await RunningApp.startInVain(app, {
        SPARKLE_JWT_KEY: 'a-key-for-this-test-a-key-for-this-test',
        ...env,
      });
      expect(status, app).toBe(1);
      expect(output, app).toMatch(expected);
      expect(output, app).not.toContain('secret-word');
      expect(output, app).not.toMatch(/^\s+at /m);
    }
  });

  it('production without a key of its own, and every other wrong variable, is named at once', async () => {
    const { status, output } = await RunningApp.startInVain('api', {
      DATABASE_URL: 'postgres://x@127.0.0.1/x',
      REDIS_URL: 'not-a-url',
      PORT: 'many',
    });
    expect(status).toBe(1);
    expect(output).toContain('REDIS_URL');
    expect(output).toContain('PORT');
    expect(output).not.toContain('not-a-url');
    const keyless = await RunningApp.startInVain('api', {
      DATABASE_URL: 'postgres://x@127.0.0.1/x',
      REDIS_URL: 'redis://127.0.0.1:1',
    });
    expect(keyless.status).toBe(1);
    expect(keyless.output).toContain('SPARKLE_JWT_KEY');
  });
});
