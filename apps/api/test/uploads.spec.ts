import { APP_GUARD } from '@nestjs/core';
import { SemanticCache } from '@sparkle/cache';
import { DocumentService, type DocumentUpload } from '@sparkle/graphrag';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Problem } from '../src/http/problem.filter.js';
import { DocumentsController } from '../src/routes/documents.controller.js';
import { Alice } from './alice.guard.js';
import { type HttpApp, startHttpApp } from './http-app.js';

const ID = '00000000-0000-4000-8000-000000000000';

describe('uploads', () => {
  let app: HttpApp;
  let received: Record<string, unknown>[];

  beforeAll(async () => {
    const submit = async ({ content, ...upload }: DocumentUpload) => {
      received.push({ ...upload, text: Buffer.from(content as Uint8Array).toString() });
      return { document: { id: ID, state: 'queued' }, job: { id: ID, state: 'queued' }, duplicate: false };
    };
    const replace = (id: string, upload: DocumentUpload) => submit({ ...upload, title: `for ${id}` });
    app = await startHttpApp({
      controllers: [DocumentsController],
      providers: [
        { provide: DocumentService, useValue: { submit, replace } },
        { provide: SemanticCache, useValue: {} },
        { provide: APP_GUARD, useClass: Alice },
      ],
    });
  });
  afterAll(() => app.close());
  beforeEach(() => {
    received = [];
  });

  const post = (body: NonNullable<RequestInit['body']>, type?: string, query = '') =>
    fetch(`${app.address}/v1/documents${query}`, {
      method: 'POST',
      body,
      ...(type === undefined ? {} : { headers: { 'content-type': type } }),
    });

  const form = (file: File | undefined, fields: Record<string, string> = {}) => {
    const data = new FormData();
    for (const [name, value] of Object.entries(fields)) data.append(name, value);
    if (file) data.append('file', file);
    return data;
  };

  const refusal = async (response: Response) => {
    expect(response.headers.get('content-type')).toContain('application/problem+json');
    expect(received).toEqual([]);
    const { code } = (await response.json()) as Problem;
    return `${response.status} ${code}`;
  };

  it.each([
    ['text/markdown', 'markdown'],
    ['text/plain; charset=utf-8', 'text'],
    ['Text/Markdown', 'markdown'],
    ['text/html; charset=utf-8', 'html'],
    ['application/xhtml+xml', 'html'],
    ['application/pdf', 'pdf'],
  ])('takes a plain body of type %s', async (type, format) => {
    const response = await post('# Grüße', type, '?title=Letter');
    expect(response.status).toBe(202);
    expect(response.headers.get('location')).toBe(`/v1/documents/${ID}`);
    expect(received).toEqual([
      { tenantId: 'demo', userId: 'alice', title: 'Letter', format, text: '# Grüße' },
    ]);
  });

  it('takes a form with a file, named by its field or else by the file', async () => {
    const file = () => new File(['# One'], 'notes.v1.MD', { type: 'application/octet-stream' });
    expect((await post(form(file(), { title: 'Mine' }))).status).toBe(202);
    expect((await post(form(file()))).status).toBe(202);
    expect((await post(form(new File(['x'], 'a.txt', { type: 'text/plain' })))).status).toBe(202);
    expect(received.map(({ title, format }) => [title, format])).toEqual([
      ['Mine', 'markdown'],
      ['notes.v1', 'markdown'],
      ['a', 'text'],
    ]);
  });

  it.each([
    ['page.html', '', 'html'],
    ['page.HTM', 'application/octet-stream', 'html'],
    ['paper.pdf', 'application/octet-stream', 'pdf'],
    ['paper', 'application/pdf', 'pdf'],
    ['notes', 'text/markdown', 'markdown'],
    ['notes', '', 'text'],
  ])('knows the format of a file named %s of type "%s"', async (name, type, format) => {
    expect((await post(form(new File(['x'], name, { type })))).status).toBe(202);
    expect(received).toMatchObject([{ format }]);
  });

  it('takes a new version of a document as it takes a document', async () => {
    const response = await fetch(`${app.address}/v1/documents/${ID}`, {
      method: 'PUT',
      body: '<p>New</p>',
      headers: { 'content-type': 'text/html' },
    });
    expect(response.status).toBe(202);
    expect(received).toMatchObject([{ tenantId: 'demo', title: `for ${ID}`, format: 'html' }]);
  });

  it('takes a title that comes after the file', async () => {
    const data = form(new File(['x'], 'x.md'));
    data.append('title', 'Late');
    expect((await post(data)).status).toBe(202);
    expect(received).toMatchObject([{ title: 'Late' }]);
  });

  it('takes a form whatever the case of its content type', async () => {
    const body =
      '--b\r\ncontent-disposition: form-data; name="file"; filename="a.md"\r\n\r\n# x\r\n--b--\r\n';
    expect((await post(body, 'Multipart/Form-Data; boundary=b')).status).toBe(202);
    expect(received).toHaveLength(1);
  });

  it('refuses a form without a file, and one whose file is in another field', async () => {
    expect(await refusal(await post(form(undefined, { title: 'x' })))).toBe('400 REQUEST_INVALID');
    const other = new FormData();
    other.append('attachment', new File(['x'], 'x.md'));
    expect(await refusal(await post(other))).toBe('400 REQUEST_INVALID');
  });

  it('refuses a file that is far too large, as a form and as a plain body', async () => {
    const large = 'x'.repeat(500_000);
    expect(await refusal(await post(form(new File([large], 'x.md'))))).toBe('413 BODY_TOO_LARGE');
    expect(await refusal(await post(large, 'text/plain'))).toBe('413 BODY_TOO_LARGE');
    expect(await refusal(await post(form(new File(['x'.repeat(5_000)], 'x.md'))))).toBe('413 BODY_TOO_LARGE');
  });

  it('refuses several files, and too many fields', async () => {
    const several = form(new File(['x'], 'x.md'));
    several.append('file', new File(['y'], 'y.md'));
    expect(await refusal(await post(several))).toMatch(/^4\d\d /);
    const fields = Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`field${index}`, 'x']));
    expect(await refusal(await post(form(new File(['x'], 'x.md'), fields)))).toMatch(/^4\d\d /);
  });

  it.each([
    ['no boundary', 'whatever', 'multipart/form-data'],
    ['no parts', 'whatever', 'multipart/form-data; boundary=b'],
    ['an empty body', '', 'multipart/form-data; boundary=b'],
    [
      'an end in the middle of the file',
      '--b\r\ncontent-disposition: form-data; name="file"; filename="a.md"\r\n\r\n# half',
      'multipart/form-data; boundary=b',
    ],
    ['an end in the middle of a header', '--b\r\ncontent-dispo', 'multipart/form-data; boundary=b'],
  ])('refuses a form with %s', async (_what, body, type) => {
    expect(await refusal(await post(body, type))).toMatch(/^400 /);
  });

  it('refuses a type of body that is no document', async () => {
    expect(await refusal(await post('x', 'image/png'))).toBe('415 MEDIA_TYPE_UNSUPPORTED');
  });

  it('refuses a title beside a JSON upload, and JSON without a text', async () => {
    const json = JSON.stringify({ text: 'x' });
    expect(await refusal(await post(json, 'application/json', '?title=y'))).toBe('400 REQUEST_INVALID');
    expect(await refusal(await post('{}', 'application/json'))).toBe('400 REQUEST_INVALID');
    expect(await refusal(await post('', 'application/json'))).toBe('400 REQUEST_INVALID');
  });
});
