import { defineScript, isNumbers } from './lua-script.js';

export interface ConsumeLimitsParameters {
  /** One per distinct rule: 1 for a token bucket or 0 for a sliding window, limit, windowMs, burst. */
  readonly rules: readonly (readonly [number, number, number, number])[];
  /** Each request: mode, cost, number of dimensions, and each dimension's key and rule, counted from 1. */
  readonly requests: readonly number[];
  /** Numbers that the reply has. */
  readonly replySize: number;
}

/** The reply as it is: the server's time, then each request's answer. */
export const consumeLimits = defineScript<ConsumeLimitsParameters, readonly number[]>({
  name: 'consume-limits-n',
  keyCount: 'n',
  argumentNames: ['rules', 'requests'],
  argumentsOf: ({ rules, requests }) => [JSON.stringify(rules), JSON.stringify(requests)],
  parse: (reply, { replySize }) => (isNumbers(reply) && reply.length === replySize ? reply : undefined),
});
