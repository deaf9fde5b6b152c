import { channels, type LimitEvent, parseTenantId, TenantContext } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { JOB_PRIORITY, PRIORITIES, type Priority } from './priority.js';
import { PriorityScheduler, type PrioritySchedulerSettings, type TaskOptions } from './priority-scheduler.js';

const acme = parseTenantId('acme');
const globex = parseTenantId('globex');

/** Work that ends when the test says so. */
class Job {
  signal: AbortSignal | undefined;
  finish!: (value: string) => void;
  fail!: (error: unknown) => void;
  readonly work = (signal: AbortSignal) => {
    this.signal = signal;
    return new Promise<string>((resolve, reject) => {
      this.finish = resolve;
      this.fail = reject;
    });
  };

  get started(): boolean {
    return this.signal !== undefined;
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const rejection = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('the priority scheduler', () => {
  let clock: TestClock;
  let log: string[];
  beforeEach(() => {
    clock = new TestClock();
    log = [];
  });

  const scheduler = (settings: PrioritySchedulerSettings = {}) =>
    new PriorityScheduler(clock, { concurrency: 1, ...settings });
  /** A task that notes its start and ends at once. */
  const note = (tasks: PriorityScheduler, name: string, options: TaskOptions = {}) =>
    tasks.run(() => void log.push(name), { tenantId: acme, ...options });
  const hold = (tasks: PriorityScheduler, options: TaskOptions = {}) => {
    const job = new Job();
    const result = tasks.run(job.work, { tenantId: acme, ...options });
    return { job, result };
  };

  it('starts the most urgent class first, and within a class first come first served', async () => {
    const tasks = scheduler();
    const { job } = hold(tasks);
    const rest = [
      note(tasks, 'low', { priority: 'low' }),
      note(tasks, 'medium'),
      note(tasks, 'high 1', { priority: 'high' }),
      note(tasks, 'high 2', { priority: 'high' }),
    ];
    job.finish('');
    await Promise.all(rest);
    expect(log).toEqual(['high 1', 'high 2', 'medium', 'low']);
  });

  it('lets tenants take turns within a class', async () => {
    const tasks = scheduler();
    const { job } = hold(tasks);
    const rest = ['a1', 'a2', 'a3', 'a4'].map((name) => note(tasks, name));
    rest.push(...['g1', 'g2'].map((name) => note(tasks, name, { tenantId: globex })));
    job.finish('');
    await Promise.all(rest);
    expect(log).toEqual(['a1', 'g1', 'a2', 'g2', 'a3', 'a4']);
  });

  it('passes on results and errors, thrown at once or later', async () => {
    const tasks = scheduler();
    const failure = new Error('failed');
    const options = { tenantId: acme };
    expect(await tasks.run(() => 1, options)).toBe(1);
    await expect(tasks.run(() => Promise.reject(failure), options)).rejects.toBe(failure);
    const thrown = tasks.run(() => {
      throw failure;
    }, options);
    await expect(thrown).rejects.toBe(failure);
    expect(tasks.state.running).toBe(0);
  });

  it('runs a task on behalf of the caller who queued it, whoever made room', async () => {
    const tasks = scheduler();
    const as = <T>(tenantId: typeof acme, work: () => T) =>
      TenantContext.run({ tenantId, userId: 'u', scopes: [] }, work);
    const first = new Job();
    const done = as(acme, () => tasks.run(first.work));
    const second = as(globex, () => tasks.run(() => TenantContext.require().tenantId));
    first.finish('');
    await done;
    expect(await second).toBe('globex');
  });

  it('refuses a task without a tenant, and settings out of range', async () => {
    await expect(scheduler().run(() => 1)).rejects.toMatchObject({ code: 'TENANT_MISSING' });
    const wrong = { tenantId: acme, priority: 'urgent' as Priority };
    await expect(scheduler().run(() => 1, wrong)).rejects.toMatchObject({
      code: 'SCHEDULER_SETTINGS_INVALID',
    });
    for (const settings of [{ concurrency: 0 }, { maxQueued: -1 }, { timeoutMs: 0.5 }, { name: '' }]) {
      expect(() => scheduler(settings)).toThrow(
        expect.objectContaining({ code: 'SCHEDULER_SETTINGS_INVALID' }),
      );
    }
  });

  describe('a time-out', () => {
    it('stops the task after 30 seconds unless told otherwise, and counts no waiting', async () => {
      const tasks = scheduler();
      const first = hold(tasks);
      const second = hold(tasks, { timeoutMs: 100 });
      const firstError = rejection(first.result);
      const secondError = rejection(second.result);
      await clock.advance(29_999);
      expect(first.job.signal?.aborted).toBe(false);
      await clock.advance(1);
      expect(await firstError).toMatchObject({ code: 'TASK_TIMEOUT', timeoutMs: 30_000 });
      expect(first.job.signal?.reason).toMatchObject({ code: 'TASK_TIMEOUT' });
      first.job.fail(first.job.signal?.reason);
      await clock.advance(99);
      expect(second.job.signal?.aborted).toBe(false);
      await clock.advance(1);
      expect(await secondError).toMatchObject({ code: 'TASK_TIMEOUT', timeoutMs: 100 });
    });

    it('frees no slot before work that ignores its signal has ended', async () => {
      const tasks = scheduler({ timeoutMs: 10 });
      const { job, result } = hold(tasks);
      const failed = rejection(result);
      const next = note(tasks, 'next');
      await clock.advance(1000);
      expect(await failed).toMatchObject({ code: 'TASK_TIMEOUT' });
      expect(log).toEqual([]);
      expect(tasks.state).toEqual({ running: 1, overrunning: 1, waiting: { high: 0, medium: 1, low: 0 } });
      job.finish('late');
      await next;
      expect(tasks.state).toMatchObject({ running: 0, overrunning: 0 });
    });

    it('leaves no timer behind', async () => {
      const tasks = scheduler();
      await note(tasks, 'a');
      expect(clock.pendingTimers).toBe(0);
    });
  });

  describe('cancelling', () => {
    it('takes a waiting task out at once, and it never runs', async () => {
      const tasks = scheduler({ maxQueued: 1 });
      const { job } = hold(tasks);
      const leaver = new AbortController();
      const left = rejection(note(tasks, 'left', { signal: leaver.signal }));
      leaver.abort('gone');
      const stayed = note(tasks, 'stayed');
      expect(await left).toBe('gone');
      job.finish('');
      await stayed;
      expect(log).toEqual(['stayed']);
    });

    it('stops a running task and answers its caller at once', async () => {
      const tasks = scheduler();
      const controller = new AbortController();
      const { job, result } = hold(tasks, { signal: controller.signal });
      controller.abort('enough');
      await expect(result).rejects.toBe('enough');
      expect(job.signal?.reason).toBe('enough');
      expect(tasks.state.running).toBe(1);
      job.fail(new Error('nobody hears this'));
      await tasks.idle();
    });

    it('of a task that is over changes nothing', async () => {
      const tasks = scheduler();
      const controller = new AbortController();
      await note(tasks, 'a', { signal: controller.signal });
      controller.abort();
      expect(tasks.state).toMatchObject({ running: 0, overrunning: 0 });
      await expect(note(tasks, 'b', { signal: controller.signal })).rejects.toThrow();
      expect(log).toEqual(['a']);
    });
  });

  describe('a full queue', () => {
    it('refuses newcomers and never what waits already, also in the moment a slot becomes free', async () => {
      const tasks = scheduler({ maxQueued: 2, maxQueuedPerTenant: 3 });
      const { job, result } = hold(tasks);
      let running = 0;
      let mostRunning = 0;
      const enter = (name: string) =>
        tasks.run(
          async () => {
            log.push(name);
            running += 1;
            mostRunning = Math.max(mostRunning, running);
            for (let count = 0; count < 3; count += 1) await undefined;
            running -= 1;
          },
          { tenantId: acme },
        );
      const queued = [enter('queued 1'), enter('queued 2')];
      const newcomers = [rejection(enter('newcomer'))];
      job.finish('');
      // Newcomers in every microtask around each hand-over.
      for (let count = 0; count < 40; count += 1) {
        newcomers.push(rejection(enter('newcomer')));
        await undefined;
      }
      await Promise.all([result, ...queued]);
      const refusals = (await Promise.all(newcomers)).filter((error) => error !== undefined);
      expect(log.slice(0, 2)).toEqual(['queued 1', 'queued 2']);
      expect(mostRunning).toBe(1);
      expect(refusals[0]).toMatchObject({ code: 'TASK_QUEUE_FULL', fullFor: 'all', maxQueued: 2 });
    });

    it('is bounded per tenant, so that one tenant cannot fill it', async () => {
      const tasks = scheduler({ maxQueued: 8 });
      hold(tasks);
      void note(tasks, 'a1');
      void note(tasks, 'a2');
      await expect(note(tasks, 'a3')).rejects.toMatchObject({ fullFor: 'tenant', maxQueued: 2 });
      void note(tasks, 'g1', { tenantId: globex });
      expect(tasks.state.waiting.medium).toBe(3);
    });

    it('queues nothing when the bound is 0', async () => {
      const tasks = scheduler({ maxQueued: 0 });
      hold(tasks);
      await expect(note(tasks, 'a')).rejects.toMatchObject({ code: 'TASK_QUEUE_FULL' });
    });

    it('gives an urgent task the place of the newest in the lowest class, when told to', async () => {
      const tasks = scheduler({ maxQueued: 4, maxQueuedPerTenant: 4, whenFull: 'drop-lowest' });
      const { job } = hold(tasks);
      const medium = note(tasks, 'medium');
      const kept = note(tasks, 'low 1', { priority: 'low', tenantId: globex });
      const low2 = note(tasks, 'low 2', { priority: 'low' });
      const dropped = rejection(note(tasks, 'low 3', { priority: 'low' }));
      const high = note(tasks, 'high', { priority: 'high' });
      expect(await dropped).toMatchObject({ code: 'TASK_DROPPED', priority: 'low' });
      await expect(note(tasks, 'low 4', { priority: 'low' })).rejects.toMatchObject({
        code: 'TASK_QUEUE_FULL',
      });
      job.finish('');
      await Promise.all([medium, kept, low2, high]);
      expect(log).toEqual(['high', 'medium', 'low 1', 'low 2']);
    });
  });

  describe('ageing', () => {
    /** Ends one held task after the other while two more HIGH ones arrive, and returns what started. */
    const flood = async (
      starts: number,
      settings: PrioritySchedulerSettings,
      before: (tasks: PriorityScheduler) => void,
    ) => {
      const tasks = scheduler({ maxQueued: 10_000, maxQueuedPerTenant: 10_000, ...settings });
      const started: { priority: Priority; name: string; finish: () => void }[] = [];
      const submit = (priority: Priority, name: string) => {
        const task = () => new Promise<void>((resolve) => started.push({ priority, name, finish: resolve }));
        tasks.run(task, { priority, tenantId: acme }).catch(() => undefined);
      };
      submit('high', 'first');
      before(tasks);
      submit('low', 'the low one');
      submit('medium', 'the medium one');
      for (let index = 0; index < starts; index += 1) {
        submit('high', `a${index}`);
        submit('high', `b${index}`);
        started[index]!.finish();
        await clock.advance(100);
      }
      return started;
    };

    it('starts LOW and MEDIUM under an endless flood of HIGH within the bound that is promised', async () => {
      const started = await flood(40, { ageingMs: 2000 }, () => undefined);
      const at = (name: string) => started.findIndex((task) => task.name === name);
      for (const name of ['the low one', 'the medium one']) {
        expect(at(name)).toBeGreaterThan(20);
        expect(at(name)).toBeLessThanOrEqual(20 + 8);
      }
    });

    it('leaves HIGH five starts of seven, however old the backlog of LOW', async () => {
      const started = await flood(80, { ageingMs: 0 }, (tasks) => {
        for (let count = 0; count < 200; count += 1) {
          void rejection(note(tasks, 'low', { priority: 'low' }));
          void rejection(note(tasks, 'medium', { priority: 'medium' }));
        }
      });
      // Starts of the backlog are in `log`, those of the flood in `started`; each backlog task ends at once.
      const high = started.filter((task) => task.priority === 'high').length;
      expect(high / (high + log.length)).toBeGreaterThanOrEqual(5 / 7);
      expect(log.length / (high + log.length)).toBeGreaterThanOrEqual(0.2);
    });

    it('does not touch the order while nothing is old', async () => {
      const started = await flood(30, { ageingMs: 60_000 }, () => undefined);
      expect(started.every((task) => task.priority === 'high')).toBe(true);
    });
  });

  describe('closing', () => {
    it('lets everything finish and takes nothing new; "await using" does it', async () => {
      const job = new Job();
      let outer: PriorityScheduler;
      {
        await using tasks = scheduler();
        outer = tasks;
        void tasks.run(job.work, { tenantId: acme });
        void note(tasks, 'waiting');
        setImmediate(() => job.finish(''));
      }
      expect(log).toEqual(['waiting']);
      await expect(note(outer, 'late')).rejects.toMatchObject({ code: 'SCHEDULER_CLOSED' });
    });

    it('can cancel what waits and stop what runs, and waits for it to end', async () => {
      const tasks = scheduler();
      const { job, result } = hold(tasks);
      const waiting = rejection(note(tasks, 'waiting'));
      const running = rejection(result);
      let closed = false;
      const closing = tasks.close({ cancel: true }).then(() => {
        closed = true;
      });
      expect(await waiting).toMatchObject({ code: 'SCHEDULER_CLOSED' });
      expect(await running).toMatchObject({ code: 'SCHEDULER_CLOSED' });
      expect(job.signal?.aborted).toBe(true);
      await turn();
      expect(closed).toBe(false);
      job.finish('');
      await closing;
      expect(log).toEqual([]);
    });
  });

  it('publishes what it decides, with tenant, class and waiting time', async () => {
    const events: LimitEvent[] = [];
    const stop = channels.limit.subscribe((event) => events.push(event));
    try {
      const tasks = scheduler({ name: 'published' });
      const { job } = hold(tasks);
      const waiting = note(tasks, 'a', { priority: 'low', tenantId: globex });
      await clock.advance(70);
      job.finish('');
      await waiting;
      const own = events.filter((event) => event.limiter === 'published');
      expect(own.map(({ outcome, tenantId, dimension }) => [outcome, tenantId, dimension])).toEqual([
        ['admitted', 'acme', 'medium'],
        ['released', 'acme', 'medium'],
        ['admitted', 'globex', 'low'],
        ['released', 'globex', 'low'],
      ]);
      expect(own[2]).toMatchObject({ kind: 'permit', waitMs: 70 });
    } finally {
      stop();
    }
  });

  it('shares its vocabulary with BullMQ, where lower numbers go first and none may be 0', () => {
    const numbers = PRIORITIES.map((priority) => JOB_PRIORITY[priority]);
    expect(numbers).toEqual([...numbers].sort((left, right) => left - right));
    expect(Math.min(...numbers)).toBeGreaterThan(0);
  });
});
