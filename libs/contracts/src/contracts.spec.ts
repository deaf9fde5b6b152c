import { describe, expect, it } from 'vitest';
import {
  channels,
  isSparkleError,
  parseTenantId,
  SparkleError,
  SystemClock,
  TenantContext,
} from './index.js';
import { SeededRandom, TestClock } from './testing/index.js';

describe('parseTenantId', () => {
  it.each(['demo', 'a', '0-x_y', 'a'.repeat(63)])('accepts %s', (name) => {
    expect(parseTenantId(name)).toBe(name);
  });

  it.each(['', 'Demo', '-x', 'a b', 'a:b', 'a/b', 'a{b}', 'a'.repeat(64), "x'--", 7, null])(
    'refuses %j without repeating it',
    (name) => {
      expect(() => parseTenantId(name)).toThrow(expect.objectContaining({ code: 'TENANT_ID_INVALID' }));
    },
  );
});

describe('TenantContext', () => {
  const principal = { tenantId: parseTenantId('demo'), userId: 'alice', scopes: [] };

  it('follows asynchronous calls and is gone outside', async () => {
    await TenantContext.run(principal, async () => {
      await Promise.resolve();
      expect(TenantContext.require()).toBe(principal);
    });
    expect(TenantContext.current()).toBeUndefined();
    expect(() => TenantContext.require()).toThrow(expect.objectContaining({ code: 'TENANT_MISSING' }));
  });
});

describe('EventChannel', () => {
  it('delivers to subscribers until they leave', () => {
    const seen: string[] = [];
    const leave = channels.job.subscribe((event) => seen.push(event.outcome));
    const event = { tenantId: 'demo', queue: 'q', durationMs: 1, ageMs: 0 };
    channels.job.publish({ ...event, outcome: 'completed' });
    leave();
    channels.job.publish({ ...event, outcome: 'failed' });
    expect(seen).toEqual(['completed']);
    expect(channels.job.hasSubscribers).toBe(false);
  });
});

describe('SparkleError', () => {
  class SampleError extends SparkleError {
    readonly code = 'SAMPLE';
  }

  it('is recognised by its brand, carries its name and its cause', () => {
    const cause = new Error('below');
    const error = new SampleError('above', { cause });
    expect(isSparkleError(error)).toBe(true);
    expect(isSparkleError(cause)).toBe(false);
    expect(error).toMatchObject({ name: 'SampleError', cause });
  });
});

describe.each([
  ['TestClock', () => new TestClock()],
  ['SystemClock', () => new SystemClock()],
])('%s', (_name, make) => {
  it('does not run a cancelled timer', async () => {
    const clock = make();
    let ran = false;
    clock
      .schedule(0, () => {
        ran = true;
      })
      .cancel();
    if (clock instanceof TestClock) await clock.advance(10);
    else await clock.sleep(1);
    expect(ran).toBe(false);
  });

  it('ends a sleep with the reason of an abort, before or during it', async () => {
    const clock = make();
    const reason = new Error('enough');
    await expect(clock.sleep(1e6, AbortSignal.abort(reason))).rejects.toBe(reason);
    const controller = new AbortController();
    const sleeping = clock.sleep(1e6, controller.signal);
    controller.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
  });

  it('has a monotonic time that does not go back', () => {
    const clock = make();
    const before = clock.monotonic();
    expect(clock.monotonic()).toBeGreaterThanOrEqual(before);
  });
});

describe('TestClock', () => {
  it('fires timers in the order they are due, nested ones included, and moves by exactly what it is told', async () => {
    const clock = new TestClock(1000);
    const fired: [string, number][] = [];
    clock.schedule(30, () => fired.push(['late', clock.monotonic()]));
    clock.schedule(10, () => {
      fired.push(['early', clock.monotonic()]);
      clock.schedule(5, () => fired.push(['nested', clock.monotonic()]));
    });
    await clock.advance(40);
    expect(fired).toEqual([
      ['early', 10],
      ['nested', 15],
      ['late', 30],
    ]);
    expect(clock.now()).toBe(1040);
    clock.skewWall(-500);
    expect([clock.now(), clock.monotonic()]).toEqual([540, 40]);
  });
});

describe('SeededRandom', () => {
  it('repeats its sequence for the same seed and stays in [0, 1)', () => {
    const [a, b] = [new SeededRandom(7), new SeededRandom(7)];
    for (let index = 0; index < 1000; index++) {
      const value = a.next();
      expect(value).toBe(b.next());
      expect(value >= 0 && value < 1).toBe(true);
    }
  });
});
