import { ruleCapacity } from '../core/rate-limit-rule.js';
import type {
  DimensionReading,
  RateLimitDimension,
  RateLimitReading,
} from '../ports/rate-limit-store.port.js';
import { defineScript, isNumbers } from './lua-script.js';

export interface ConsumeLimitsParameters {
  readonly mode: 'consume' | 'peek' | 'penalise';
  readonly cost: number;
  readonly dimensions: readonly RateLimitDimension[];
}

export const consumeLimits = defineScript<ConsumeLimitsParameters, RateLimitReading>({
  name: 'consume-limits-n',
  keyCount: 'n',
  argumentNames: ['mode', 'cost', 'of dimension i'],
  argumentsOf: ({ mode, cost, dimensions }) => [
    mode,
    cost,
    ...dimensions.flatMap(({ rule }) => [
      rule.algorithm === 'token-bucket' ? 'b' : 'w',
      rule.limit,
      rule.windowMs,
      ruleCapacity(rule),
    ]),
  ],
  parse(reply, { dimensions }) {
    if (!isNumbers(reply) || reply.length !== 2 + 3 * dimensions.length) return undefined;
    const readings: DimensionReading[] = dimensions.map((_dimension, index) => ({
      remaining: reply[2 + 3 * index]!,
      retryAfterMs: reply[3 + 3 * index]!,
      resetMs: reply[4 + 3 * index]!,
    }));
    return { admitted: reply[0] === 1, decidedAtMs: reply[1]!, dimensions: readings };
  },
});
