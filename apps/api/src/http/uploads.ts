import multipart, { type MultipartFile } from '@fastify/multipart';
import type { DocumentFormat } from '@sparkle/graphrag';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { RequestInvalidError } from './errors.js';

/** A document that came as the plain body of a request, still undecoded. */
export interface BodyUpload {
  readonly content: Uint8Array;
  readonly format: DocumentFormat;
}

interface FileUpload extends BodyUpload {
  readonly title: string | undefined;
}

/** Types of body that are documents. */
export const UPLOAD_TYPES = {
  'text/markdown': 'markdown',
  'text/plain': 'text',
  'text/html': 'html',
  'application/xhtml+xml': 'html',
  'application/pdf': 'pdf',
} as const satisfies Record<string, DocumentFormat>;

const EXTENSIONS: Readonly<Record<string, DocumentFormat>> = {
  md: 'markdown',
  markdown: 'markdown',
  txt: 'text',
  html: 'html',
  htm: 'html',
  xhtml: 'html',
  pdf: 'pdf',
};

/** Lets routes receive documents as plain bodies and as form uploads of at most `maxBytes`. */
export async function registerUploads(server: FastifyInstance, maxBytes: number): Promise<void> {
  for (const [type, format] of Object.entries(UPLOAD_TYPES)) {
    server.removeContentTypeParser(type);
    // Bytes, not a string: whether they are what the type says is for the document's own checks to find out.
    server.addContentTypeParser(type, { parseAs: 'buffer' }, (_request, body, done) => {
      done(null, { content: body as Buffer, format } satisfies BodyUpload);
    });
  }
  await server.register(multipart, {
    throwFileSizeLimit: true,
    limits: { files: 1, fields: 4, fileSize: maxBytes + 1, fieldSize: 10_000, headerPairs: 100 },
  });
}

export function isBodyUpload(body: unknown): body is BodyUpload {
  return typeof body === 'object' && body !== null && 'content' in body && body.content instanceof Uint8Array;
}

export function isMultipart(request: FastifyRequest): boolean {
  return request.isMultipart();
}

/** A form with more in it than a file and its title. */
const TOO_MANY = new Set(['FST_FILES_LIMIT', 'FST_FIELDS_LIMIT', 'FST_PARTS_LIMIT']);

/**
 * Reads the form field `file`, with an optional field `title`.
 * @throws RequestInvalidError when there is no file, something else besides it, or no form at all.
 */
export async function readMultipart(request: FastifyRequest): Promise<FileUpload> {
  let file: FileUpload | undefined;
  let title: string | undefined;
  try {
    for await (const part of request.parts()) {
      if (part.type === 'field') {
        if (part.fieldname === 'title' && typeof part.value === 'string') title = part.value;
      } else if (part.fieldname === 'file') file = await readFile(part);
      else part.file.resume();
    }
  } catch (error) {
    throw formError(error);
  }
  if (!file) throw formInvalid('file', 'a form upload has a field "file"');
  return { ...file, title: title ?? file.title };
}

async function readFile(part: MultipartFile): Promise<FileUpload> {
  return {
    content: await part.toBuffer(),
    format: formatOf(part.filename, part.mimetype),
    title: part.filename.replace(/\.[^.]*$/, ''),
  };
}

/** By the file's name, which browsers know better than its type; else by its type; else plain text. */
function formatOf(filename: string, mimetype: string): DocumentFormat {
  const extension = /\.([^.]+)$/.exec(filename)?.[1]?.toLowerCase() ?? '';
  const types: Readonly<Record<string, DocumentFormat>> = UPLOAD_TYPES;
  return EXTENSIONS[extension] ?? types[mimetype.toLowerCase()] ?? 'text';
}

/** The parser's own failures carry neither code nor status: then the body is not what its type says. */
function formError(error: unknown): unknown {
  const { code, statusCode } = error as { code?: string; statusCode?: number };
  if (code !== undefined && TOO_MANY.has(code))
    return formInvalid('(body)', 'a form has one file and its title');
  return code === undefined && statusCode === undefined
    ? formInvalid('(body)', 'the form is malformed or incomplete')
    : error;
}

function formInvalid(path: string, message: string): RequestInvalidError {
  return new RequestInvalidError([{ path, message }]);
}
