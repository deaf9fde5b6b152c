import type { FastifyInstance } from 'fastify';
import { JsonMalformedError, JsonTooDeepError } from './errors.js';

/** No route takes JSON nested deeper than this. */
const MAX_DEPTH = 32;

/**
 * Parses JSON bodies: an empty body is `undefined`, depth is bounded before parsing, and a property named
 * `__proto__` is an error rather than a prototype.
 */
export function registerJsonBody(server: FastifyInstance): void {
  server.removeContentTypeParser('application/json');
  server.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, parseJson(body as string));
    } catch (error) {
      done(error as Error);
    }
  });
}

/**
 * @throws JsonTooDeepError, JsonMalformedError
 */
export function parseJson(text: string): unknown {
  if (text.trim() === '') return undefined;
  assertDepth(text);
  try {
    return JSON.parse(text, (key, value) => {
      if (key === '__proto__') throw new JsonMalformedError();
      return value;
    });
  } catch {
    throw new JsonMalformedError();
  }
}

function assertDepth(text: string): void {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < text.length; index++) {
    const char = text.charCodeAt(index);
    if (inString) {
      if (char === 0x5c) index++;
      else if (char === 0x22) inString = false;
    } else if (char === 0x22) inString = true;
    else if (char === 0x5b || char === 0x7b) {
      if (++depth > MAX_DEPTH) throw new JsonTooDeepError(MAX_DEPTH);
    } else if (char === 0x5d || char === 0x7d) depth--;
  }
}
