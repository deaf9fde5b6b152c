import { TenantMissingError } from '@sparkle/contracts';
import { describe, expect, it } from 'vitest';
import {
  PermitStoreError,
  RateLimitedError,
  RateLimitRequestInvalidError,
  TaskTimeoutError,
} from '../errors.js';
import { problemOf } from './problem.js';

describe('what a caller is told of a failure', () => {
  it('names code, statuses and what can be acted upon', () => {
    const refusal = {
      limiter: 'requests',
      dimension: 'user',
      limit: 3,
      remaining: 0,
      retryAfterMs: 70,
      resetMs: 90,
    };
    expect(problemOf(new RateLimitedError(refusal))).toEqual({
      code: 'RATE_LIMITED',
      message: expect.stringContaining('retry in 70 ms'),
      httpStatus: 429,
      grpcStatus: 8,
      details: { dimension: 'user', limit: 3, remaining: 0, retryAfterMs: 70, resetMs: 90 },
    });
    expect(problemOf(new TenantMissingError())).toMatchObject({ httpStatus: 403, grpcStatus: 7 });
    expect(problemOf(new TaskTimeoutError('tasks', 5))).toMatchObject({ httpStatus: 504, grpcStatus: 4 });
  });

  it('tells "limited" from "nobody knows", and never the cause', () => {
    const problem = problemOf(new PermitStoreError(new Error('redis://:secret@host')));
    expect(problem).toMatchObject({ code: 'PERMIT_STORE_FAILED', httpStatus: 503, grpcStatus: 14 });
    expect(JSON.stringify(problem)).not.toContain('secret');
  });

  it('is nothing for foreign errors and for mistakes of ours', () => {
    for (const error of [new Error('foreign'), 'text', null, new RateLimitRequestInvalidError('bad rule')]) {
      expect(problemOf(error)).toBeUndefined();
    }
  });
});
