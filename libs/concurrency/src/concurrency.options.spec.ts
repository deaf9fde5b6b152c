import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { type ConcurrencyModuleOptions, parseConcurrencyOptions } from './concurrency.options.js';

const minimal: ConcurrencyModuleOptions = { store: { kind: 'memory' }, plans: { kind: 'static' } };

describe('the options', () => {
  it('need a store and plans and have defaults for everything else', () => {
    expect(parseConcurrencyOptions(minimal)).toEqual({
      store: { kind: 'memory' },
      plans: { kind: 'static', overrides: {} },
      keyPrefix: 'sparkle',
      rateLimits: {
        user: { limit: 100, windowMs: 3_600_000 },
        action: { limit: 1000, windowMs: 3_600_000 },
        tenant: { limit: 5000, windowMs: 3_600_000 },
      },
      outagePolicy: 'local',
      limitBudgetMs: 40,
      commandBudgetMs: 1000,
      permits: { leaseMs: 30_000, timeoutMs: 60_000, maxWaiting: 10_000 },
      tokenBudget: { reservationMs: 300_000 },
      scheduler: {
        concurrency: 8,
        maxQueued: 1000,
        whenFull: 'reject',
        timeoutMs: 30_000,
        ageingMs: 5000,
      },
      threads: {
        maxThreads: Math.max(8, 2 * availableParallelism()),
        maxQueued: 1000,
        timeoutMs: 30_000,
        idleMs: 60_000,
        warmMs: 1000,
        heapMb: 256,
        env: {},
      },
    });
  });

  it('are refused with every wrong path at once and no value', () => {
    const wrong = {
      store: { kind: 'redis', client: 'redis://:hunter2@host', subscriber: {} },
      plans: { kind: 'static', default: { qps: -5 } },
      outagePolicy: 'panic',
      keyPrefix: '{hunter2}',
      permits: { leaseMs: 'hunter2' },
      threads: { maxThreads: 2, reservedThreads: 2 },
      mistyped: true,
    };
    let caught: unknown;
    try {
      parseConcurrencyOptions(wrong);
    } catch (error) {
      caught = error;
    }
    expect(caught).toMatchObject({ code: 'CONCURRENCY_OPTIONS_INVALID' });
    const { problems, message } = caught as { problems: string[]; message: string };
    const paths = problems.map((problem) => problem.split(':')[0]);
    expect(paths).toEqual(
      expect.arrayContaining([
        'store.client',
        'store.subscriber',
        'plans.default.qps',
        'plans.default.tokenBudget',
        'outagePolicy',
        'keyPrefix',
        'permits.leaseMs',
        'threads.reservedThreads',
        '(root)',
      ]),
    );
    expect(message).not.toContain('hunter2');
  });

  it('refuse one connection for commands and Pub/Sub', () => {
    const client = { evalsha() {}, subscribe() {}, duplicate() {} } as never;
    expect(() =>
      parseConcurrencyOptions({ ...minimal, store: { kind: 'redis', client, subscriber: client } }),
    ).toThrow(/store\.subscriber/);
  });
});
