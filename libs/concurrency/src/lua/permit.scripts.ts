import type { AcquireReply, Grant, PermitRequest, SweepReply } from '../ports/permit-store.port.js';
import { defineScript, isNumbers } from './lua-script.js';

interface PoolParameters {
  readonly permits: number;
  readonly leaseMs: number;
  readonly poolId: string;
  readonly channelPrefix: string;
}

const POOL_ARGUMENTS = ['permits', 'leaseMs', 'poolId', 'channelPrefix'] as const;

function poolArguments(pool: PoolParameters): (string | number)[] {
  return [pool.permits, pool.leaseMs, pool.poolId, pool.channelPrefix];
}

function expiry(milliseconds: number): number | undefined {
  return milliseconds < 0 ? undefined : milliseconds;
}

export const acquirePermit = defineScript<
  PoolParameters & Pick<PermitRequest, 'permitId' | 'tenantId' | 'wait' | 'maxWaiting'> & { ownerId: string },
  AcquireReply
>({
  name: 'acquire-permit-4',
  keyCount: 4,
  argumentNames: [...POOL_ARGUMENTS, 'permitId', 'ownerId', 'tenantId', 'wait', 'maxWaiting'],
  argumentsOf: (parameters) => [
    ...poolArguments(parameters),
    parameters.permitId,
    parameters.ownerId,
    parameters.tenantId,
    parameters.wait ? 1 : 0,
    parameters.maxWaiting,
  ],
  parse(reply, { permitId }) {
    if (!isNumbers(reply)) return undefined;
    const [outcome, nowMs, first, second] = reply;
    if (nowMs === undefined) return undefined;
    if (outcome === 1 && first !== undefined && second !== undefined) {
      const grant = { permitId, fencingToken: first, expiresAtMs: second };
      return { outcome: 'granted', nowMs, grant };
    }
    if (outcome === 0 && first !== undefined) {
      return { outcome: 'queued', nowMs, nextExpiryMs: expiry(first) };
    }
    if (outcome === 2) return { outcome: 'busy', nowMs };
    if (outcome === 3) return { outcome: 'full', nowMs };
    return undefined;
  },
});

export const renewPermit = defineScript<{ leaseMs: number; permitId: string }, boolean>({
  name: 'renew-permit-2',
  keyCount: 2,
  argumentNames: ['leaseMs', 'permitId'],
  argumentsOf: ({ leaseMs, permitId }) => [leaseMs, permitId],
  parse: (reply) => (reply === 1 ? true : reply === 0 ? false : undefined),
});

export const releasePermit = defineScript<PoolParameters & { permitId: string }, boolean>({
  name: 'release-permit-4',
  keyCount: 4,
  argumentNames: [...POOL_ARGUMENTS, 'permitId'],
  argumentsOf: (parameters) => [...poolArguments(parameters), parameters.permitId],
  parse: (reply) => (reply === 1 ? true : reply === 0 ? false : undefined),
});

export const sweepPermits = defineScript<
  PoolParameters & { ownerId: string; waitingIds: readonly string[] },
  SweepReply
>({
  name: 'sweep-permits-4',
  keyCount: 4,
  argumentNames: [...POOL_ARGUMENTS, 'ownerId', 'waitingIds'],
  argumentsOf: (parameters) => [...poolArguments(parameters), parameters.ownerId, ...parameters.waitingIds],
  parse(reply, { waitingIds }) {
    if (!isNumbers(reply) || reply.length !== 2 + 3 * waitingIds.length) return undefined;
    const grants: Grant[] = [];
    const missing: string[] = [];
    for (const [index, permitId] of waitingIds.entries()) {
      const [state, fencingToken, expiresAtMs] = reply.slice(2 + 3 * index);
      if (state === 1) grants.push({ permitId, fencingToken: fencingToken!, expiresAtMs: expiresAtMs! });
      else if (state === 2) missing.push(permitId);
    }
    return { nowMs: reply[0]!, nextExpiryMs: expiry(reply[1]!), grants, missing };
  },
});
