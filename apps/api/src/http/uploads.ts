import multipart from '@fastify/multipart';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { RequestInvalidError } from './errors.js';

/** A document that came as the plain body of a request, still undecoded. */
export interface TextUpload {
  readonly content: Uint8Array;
  readonly format: 'markdown' | 'text';
}

interface FileUpload extends TextUpload {
  readonly title: string | undefined;
}

const FORMATS = { 'text/markdown': 'markdown', 'text/plain': 'text' } as const;

/** Lets routes receive documents as plain bodies and as form uploads of at most `maxBytes`. */
export async function registerUploads(server: FastifyInstance, maxBytes: number): Promise<void> {
  for (const [type, format] of Object.entries(FORMATS)) {
    server.removeContentTypeParser(type);
    // Bytes, not a string: whether they are text at all is for the document's own checks to say.
    server.addContentTypeParser(type, { parseAs: 'buffer' }, (_request, body, done) => {
      done(null, { content: body as Buffer, format } satisfies TextUpload);
    });
  }
  await server.register(multipart, {
    throwFileSizeLimit: true,
    limits: { files: 1, fields: 4, fileSize: maxBytes + 1, fieldSize: 10_000, headerPairs: 100 },
  });
}

export function isTextUpload(body: unknown): body is TextUpload {
  return typeof body === 'object' && body !== null && 'content' in body && body.content instanceof Uint8Array;
}

export function isMultipart(request: FastifyRequest): boolean {
  return (request.headers['content-type'] ?? '').startsWith('multipart/form-data');
}

/**
 * Reads the form field `file`, with an optional field `title` before it.
 * @throws RequestInvalidError when there is no file.
 */
export async function readMultipart(request: FastifyRequest): Promise<FileUpload> {
  const file = await request.file();
  if (!file) throw new RequestInvalidError([{ path: 'file', message: 'a form upload has a field "file"' }]);
  const field = file.fields.title;
  const title = field && 'value' in field && typeof field.value === 'string' ? field.value : undefined;
  const markdown = file.mimetype === 'text/markdown' || /\.(md|markdown)$/i.test(file.filename);
  return {
    content: await file.toBuffer(),
    format: markdown ? 'markdown' : 'text',
    title: title ?? file.filename.replace(/\.[^.]*$/, ''),
  };
}
