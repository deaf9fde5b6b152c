import { defineScript, isNumbers } from './lua-script.js';

/** One step of the script, in the order of its arguments. */
export type PermitOperation =
  | readonly ['acquire', permitId: string, tenantId: string, maxWaiting: number]
  | readonly ['renew', permitId: string, fencingToken: number, 0]
  | readonly ['release', permitId: string, 0, 0]
  | readonly ['sweep', permitId: string, 0, 0];

export interface ChangePermitsParameters {
  readonly permits: number;
  readonly leaseMs: number;
  readonly poolId: string;
  readonly channelPrefix: string;
  readonly ownerId: string;
  readonly lastToken: number;
  readonly durable: boolean;
  readonly countsListeners: boolean;
  /** One after the other, four values each. */
  readonly operations: readonly PermitOperation[number][];
}

/** The reply's numbers: two, and three per operation. */
export const changePermits = defineScript<ChangePermitsParameters, readonly number[]>({
  name: 'change-permits-4',
  keyCount: 4,
  argumentNames: [
    'permits',
    'leaseMs',
    'poolId',
    'channelPrefix',
    'ownerId',
    'lastToken',
    'durable',
    'countsListeners',
    'operations',
  ],
  argumentsOf: (parameters) => [
    parameters.permits,
    parameters.leaseMs,
    parameters.poolId,
    parameters.channelPrefix,
    parameters.ownerId,
    parameters.lastToken,
    parameters.durable ? 1 : 0,
    parameters.countsListeners ? 1 : 0,
    JSON.stringify(parameters.operations),
  ],
  parse: (reply, { operations }) =>
    isNumbers(reply) && reply.length === 2 + (3 * operations.length) / 4 ? reply : undefined,
});
