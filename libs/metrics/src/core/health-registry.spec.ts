import { SparkleError } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { describe, expect, it } from 'vitest';
import { HealthIndicatorDuplicateError, HealthIndicatorNameInvalidError } from '../errors.js';
import { HealthRegistry } from './health-registry.js';

class PoolExhaustedError extends SparkleError {
  readonly code = 'POOL_EXHAUSTED';
}

describe('HealthRegistry', () => {
  it('is ready without dependencies', async () => {
    expect(await new HealthRegistry(new TestClock(), 100).check()).toEqual({
      status: 'ready',
      dependencies: [],
    });
  });

  it('gives each check its own time and aborts the one that takes longer', async () => {
    const clock = new TestClock();
    const registry = new HealthRegistry(clock, 100);
    let aborted = false;
    registry.register({
      name: 'stuck',
      check: (signal) =>
        new Promise(() => {
          signal.addEventListener('abort', () => {
            aborted = true;
          });
        }),
    });
    registry.register({ name: 'slow', check: () => clock.sleep(99) });
    const report = registry.check();
    await clock.advance(100);

    expect(await report).toEqual({
      status: 'not_ready',
      dependencies: [
        { name: 'stuck', status: 'timeout', durationMs: 100 },
        { name: 'slow', status: 'up', durationMs: 99 },
      ],
    });
    expect(aborted).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });

  it('shows a failure’s code but never its message, also when the check throws at once', async () => {
    const registry = new HealthRegistry(new TestClock(), 100);
    registry.register({ name: 'pool', check: () => Promise.reject(new PoolExhaustedError('secret')) });
    registry.register({
      name: 'sync',
      check: () => {
        throw new Error('secret');
      },
    });

    const report = await registry.check();

    expect(report.dependencies).toEqual([
      { name: 'pool', status: 'down', code: 'POOL_EXHAUSTED', durationMs: 0 },
      { name: 'sync', status: 'down', durationMs: 0 },
    ]);
    expect(JSON.stringify(report)).not.toContain('secret');
  });

  it('runs one round of checks for callers that come at the same time', async () => {
    const registry = new HealthRegistry(new TestClock(), 100);
    let rounds = 0;
    registry.register({
      name: 'db',
      check: async () => {
        rounds += 1;
      },
    });
    await Promise.all([registry.check(), registry.check(), registry.check()]);
    expect(rounds).toBe(1);
    await registry.check();
    expect(rounds).toBe(2);
  });

  it('does not call a check again that hangs, until five times its time have passed', async () => {
    const clock = new TestClock();
    const registry = new HealthRegistry(clock, 100);
    const calls: { resolve: () => void }[] = [];
    registry.register({
      name: 'db',
      check: () => new Promise<void>((resolve) => calls.push({ resolve })),
    });
    const round = async () => {
      const report = registry.check();
      await clock.advance(100);
      return (await report).status;
    };

    for (let n = 0; n < 5; n++) expect(await round()).toBe('not_ready');
    expect(calls).toHaveLength(1);
    expect(await round()).toBe('not_ready');
    expect(calls).toHaveLength(2);
    const recovering = registry.check();
    calls[1]!.resolve();
    expect((await recovering).status).toBe('ready');
    void registry.check();
    await Promise.resolve();
    expect(calls).toHaveLength(3);
  });

  it('tells what the newest finished check found without waiting, and asks again', async () => {
    const registry = new HealthRegistry(new TestClock(), 100);
    let up = true;
    registry.register({
      name: 'db',
      check: async () => {
        if (!up) throw new Error('gone');
      },
    });
    expect(registry.observed()).toEqual([]);
    await registry.check();
    up = false;
    expect(registry.observed()).toMatchObject([{ name: 'db', status: 'up' }]);
    await registry.check();
    expect(registry.observed()).toMatchObject([{ name: 'db', status: 'down' }]);
    registry.drain();
    expect(registry.observed()).toEqual([]);
  });

  it('is draining, without asking dependencies, once the application shuts down', async () => {
    const registry = new HealthRegistry(new TestClock(), 100);
    registry.drain();
    expect(await registry.check()).toEqual({ status: 'draining', dependencies: [] });
  });

  it('refuses a name twice and a name that is none', () => {
    const registry = new HealthRegistry(new TestClock(), 100);
    const check = async () => {};
    registry.register({ name: 'db', check });
    expect(() => registry.register({ name: 'db', check })).toThrow(HealthIndicatorDuplicateError);
    expect(() => registry.register({ name: 'my db', check })).toThrow(HealthIndicatorNameInvalidError);
  });
});
