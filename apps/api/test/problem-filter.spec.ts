import { HttpException, NotFoundException, UnsupportedMediaTypeException } from '@nestjs/common';
import { PermitTimeoutError } from '@sparkle/concurrency';
import { ConversationNotFoundError } from '@sparkle/conversation';
import { DocumentTooLargeError } from '@sparkle/graphrag';
import { TokenExpiredError } from '@sparkle/runtime';
import { describe, expect, it } from 'vitest';
import { RequestInvalidError } from '../src/http/errors.js';
import { HTTP_STATUS } from '../src/http/http-status.js';
import { problemOf } from '../src/http/problem.filter.js';

/** Codes that stop a start or mean a defect of ours: a client never sees them. */
const INTERNAL =
  /OPTIONS_INVALID$|^DATABASE_(?!POOL_TIMEOUT|UNREACHABLE|TENANT_CONNECTIONS|CONNECTION_LOST|NOT_RESPONDING|TOO_MANY|STATEMENT_TIMEOUT|STORAGE_FULL|TEMP_FILE|READ_ONLY)|^SHARD_(?!BUCKET_MOVED|TIMEOUT)|^SNAPSHOT_TOO_LARGE|^CACHE_(?!LOADER)|^DATA_FOLDER|^EMBED|^HEALTH_|^TEST_|SETTINGS_INVALID$|^(CONFIGURATION_INVALID|REDIS_UNREACHABLE|EVALUATION_DATA_(?:INVALID|MISSING)|COURSE_INVALID|TRANSITION_INVALID|ANSWER_EMPTY|TENANT_ID_INVALID)$/;

describe('problemOf', () => {
  it('gives a typed failure its status, code and message', () => {
    expect(problemOf(new TokenExpiredError(), '/v1/x')).toMatchObject({
      type: 'urn:sparkle:problem:token-expired',
      status: 401,
      code: 'TOKEN_EXPIRED',
      instance: '/v1/x',
    });
  });

  it('shows the fields a client can act upon', () => {
    const issues = [{ path: 'question', message: 'is empty' }];
    expect(problemOf(new RequestInvalidError(issues))).toMatchObject({ status: 400, issues });
    expect(problemOf(new DocumentTooLargeError(11, 10))).toMatchObject({ status: 413, limitBytes: 10 });
  });

  it('says nothing of an unknown failure', () => {
    const problem = problemOf(new Error('connection to postgres://user:secret@host failed'));
    expect(problem).toMatchObject({ status: 500, code: 'INTERNAL_ERROR' });
    expect(JSON.stringify(problem)).not.toContain('secret');
  });

  it('translates the failures of the frameworks', () => {
    expect(problemOf(new NotFoundException()).code).toBe('NOT_FOUND');
    expect(problemOf(new HttpException('odd', 418)).code).toBe('REQUEST_INVALID');
    expect(problemOf({ code: 'FST_ERR_CTP_BODY_TOO_LARGE', statusCode: 413 }).code).toBe('BODY_TOO_LARGE');
    expect(problemOf(new UnsupportedMediaTypeException()).code).toBe('MEDIA_TYPE_UNSUPPORTED');
  });

  it('leaves to the library of limits what its errors mean', () => {
    expect(problemOf(new PermitTimeoutError('answers', 100))).toMatchObject({
      status: 429,
      code: 'PERMIT_TIMEOUT',
    });
  });

  it('answers another tenant and a missing thing alike', () => {
    expect(problemOf(new ConversationNotFoundError()).status).toBe(404);
  });
});

describe('HTTP_STATUS', () => {
  it('has a status for every error that can reach a client, of the libraries that have none of their own', async () => {
    const libraries = await Promise.all([
      import('@sparkle/cache'),
      import('@sparkle/contracts'),
      import('@sparkle/conversation'),
      import('@sparkle/database'),
      import('@sparkle/graphrag'),
      import('@sparkle/llm'),
      import('@sparkle/runtime'),
    ]);
    const codes = libraries.flatMap((library) => Object.values(library).flatMap(codeOf));
    expect(codes.length).toBeGreaterThan(40);
    const forgotten = codes.filter((code) => !(code in HTTP_STATUS) && !INTERNAL.test(code));
    expect(forgotten).toEqual([]);
  });
});

/** The literal `code` of an error class, read from an instance made without its constructor's arguments. */
function codeOf(exported: unknown): string[] {
  if (typeof exported !== 'function' || !(exported.prototype instanceof Error)) return [];
  const code = /\bcode\s*=\s*['"]([A-Z_]+)['"]/.exec(exported.toString())?.[1];
  return code ? [code] : [];
}
