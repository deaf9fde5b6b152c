import { AsyncResource } from 'node:async_hooks';
import {
  type Clock,
  type ClockTimer,
  channels,
  parseTenantId,
  TenantContext,
  type TenantId,
} from '@sparkle/contracts';
import {
  SchedulerClosedError,
  SchedulerSettingsInvalidError,
  TaskDroppedError,
  TaskQueueFullError,
  TaskTimeoutError,
} from '../errors.js';
import { PRIORITIES, type Priority } from './priority.js';
import { PriorityLane } from './priority-lane.js';
import { isLimitName } from './rate-limit-rule.js';

export interface PrioritySchedulerSettings {
  /** Names the scheduler in errors and events. 1–64 characters of `a-z A-Z 0-9 _ . / -`. Default `tasks`. */
  readonly name?: string | undefined;
  /** Tasks running at once. Default 8. */
  readonly concurrency?: number | undefined;
  /** Tasks waiting at once, all tenants together. 0: none waits. Default 1000. */
  readonly maxQueued?: number | undefined;
  /** Tasks of one tenant waiting at once. Default: a quarter of `maxQueued`, rounded up. */
  readonly maxQueuedPerTenant?: number | undefined;
  /**
   * What happens to a task that finds its queue full. `reject` (default): it is refused, and whatever waits
   * is safe. `drop-lowest`: it takes the place of a task of a lower class, if there is one: of the newest one
   * in the lowest class of the tenant that has most waiting there.
   */
  readonly whenFull?: 'reject' | 'drop-lowest' | undefined;
  /** How long a task may run, milliseconds. Waiting does not count. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** A class whose oldest task has waited for this long, milliseconds, gets turns. Default 5000. */
  readonly ageingMs?: number | undefined;
}

export interface TaskOptions {
  /** Default `medium`. */
  readonly priority?: Priority;
  /** Default: the tenant of the {@link TenantContext}. */
  readonly tenantId?: TenantId;
  /** Takes a waiting task out of the queue, or stops a running one; either way rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** How long this task may run, milliseconds. Default: the scheduler's. */
  readonly timeoutMs?: number;
}

/** @param signal aborts when the task has timed out or was cancelled: it must end then. */
export type ScheduledTask<Result> = (signal: AbortSignal) => Result | PromiseLike<Result>;

export interface SchedulerState {
  /** Slots in use, `overrunning` included. */
  readonly running: number;
  /** Tasks that were told to stop and have not ended yet. They keep their slots. */
  readonly overrunning: number;
  readonly waiting: Readonly<Record<Priority, number>>;
}

interface ScheduledEntry {
  readonly tenantId: TenantId;
  readonly priority: Priority;
  readonly timeoutMs: number;
  readonly queuedAtMs: number;
  readonly controller: AbortController;
  readonly start: () => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
  /** Stops listening to the caller's signal. */
  forget: () => void;
  timer: ClockTimer | undefined;
  /** The caller has been answered. */
  answered: boolean;
}

/** Starts of others after which an overdue class is served. When both are due at once, one waits for one more. */
const PATIENCE = 6;

/**
 * Runs tasks of three classes with bounded concurrency in this process. Higher classes go first; within one,
 * tenants take turns, and a tenant's tasks start in the order they came.
 *
 * **Ageing.** While the oldest task of a lower class has waited for `ageingMs` or more, that class gets at
 * least one of every eight starts, however much of a higher class arrives. So a task behind `a` of its
 * tenant's in its class, where `t` tenants wait, starts after `ageingMs` and 8 (a + 1) t starts at the latest;
 * and HIGH keeps at least five of seven starts, however long the backlog of the lower classes.
 *
 * **Stopping.** A task that runs for too long or is cancelled has its signal aborted and its caller is answered
 * at once. Its slot is free again only when its promise settles, so that work which ignores its signal is never
 * exceeded in silence: it shows as `overrunning`.
 *
 * A slot that becomes free goes to the next waiting task in the same step, so nobody overtakes the queue.
 * Tasks run in the async context of their callers, the {@link TenantContext} included.
 */
export class PriorityScheduler implements AsyncDisposable {
  readonly name: string;
  private readonly concurrency: number;
  private readonly maxQueued: number;
  private readonly maxQueuedPerTenant: number;
  private readonly dropsLowest: boolean;
  private readonly timeoutMs: number;
  private readonly ageingMs: number;
  private readonly lanes: Readonly<Record<Priority, PriorityLane<ScheduledEntry>>> = {
    high: new PriorityLane(),
    medium: new PriorityLane(),
    low: new PriorityLane(),
  };
  /** Starts of others since the class became overdue or was served. */
  private readonly passedOver: Record<Priority, number> = { high: 0, medium: 0, low: 0 };
  private readonly running = new Set<ScheduledEntry>();
  private readonly idlers: (() => void)[] = [];
  private overrunning = 0;
  private closed = false;

  /** @throws SchedulerSettingsInvalidError when a setting is out of range. */
  constructor(
    private readonly clock: Clock,
    settings: PrioritySchedulerSettings = {},
  ) {
    this.name = settings.name ?? 'tasks';
    if (!isLimitName(this.name)) {
      throw new SchedulerSettingsInvalidError(
        'The name of a scheduler is 1 to 64 characters of a-z, A-Z, 0-9, "_", ".", "/" and "-".',
      );
    }
    this.concurrency = wholeNumber('The concurrency', settings.concurrency ?? 8, 1);
    this.maxQueued = wholeNumber('The queue bound', settings.maxQueued ?? 1000, 0);
    this.maxQueuedPerTenant = wholeNumber(
      "The tenant's queue bound",
      settings.maxQueuedPerTenant ?? Math.ceil(this.maxQueued / 4),
      0,
    );
    this.dropsLowest = settings.whenFull === 'drop-lowest';
    this.timeoutMs = wholeNumber('The time-out', settings.timeoutMs ?? 30_000, 1);
    this.ageingMs = wholeNumber('The age', settings.ageingMs ?? 5000, 0);
  }

  get state(): SchedulerState {
    const { high, medium, low } = this.lanes;
    return {
      running: this.running.size,
      overrunning: this.overrunning,
      waiting: { high: high.size, medium: medium.size, low: low.size },
    };
  }

  /**
   * Runs `task` when its turn comes and passes on what becomes of it.
   * @throws TaskTimeoutError when it ran for too long.
   * @throws TaskQueueFullError when too many wait already.
   * @throws TaskDroppedError when it made room for a more urgent task (`whenFull: 'drop-lowest'`).
   * @throws SchedulerClosedError when the scheduler is closed.
   * @throws TenantMissingError without a tenant.
   */
  async run<Result>(task: ScheduledTask<Result>, options: TaskOptions = {}): Promise<Result> {
    const { priority = 'medium', signal } = options;
    const tenantId = parseTenantId(options.tenantId ?? TenantContext.require().tenantId);
    if (!PRIORITIES.includes(priority)) {
      throw new SchedulerSettingsInvalidError(`The priority of a task is one of ${PRIORITIES.join(', ')}.`);
    }
    const timeoutMs = wholeNumber('The time-out', options.timeoutMs ?? this.timeoutMs, 1);
    if (this.closed) throw new SchedulerClosedError(this.name);
    signal?.throwIfAborted();
    const { promise, resolve, reject } = deferred<Result>();
    const controller = new AbortController();
    const context = new AsyncResource('SparkleScheduledTask');
    const entry: ScheduledEntry = {
      tenantId,
      priority,
      timeoutMs,
      queuedAtMs: this.clock.monotonic(),
      controller,
      start: () => context.runInAsyncScope(task, undefined, controller.signal),
      resolve: resolve as (value: unknown) => void,
      reject,
      forget: () => {},
      timer: undefined,
      answered: false,
    };
    const starts = this.running.size < this.concurrency;
    if (!starts) this.makeRoom(entry);
    if (signal) {
      const onAbort = () => this.cancel(entry, signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      entry.forget = () => signal.removeEventListener('abort', onAbort);
    }
    if (starts) this.start(entry);
    else this.lanes[priority].push(entry);
    return promise;
  }

  /** Resolves as soon as nothing waits or runs. */
  idle(): Promise<void> {
    if (this.running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.idlers.push(resolve));
  }

  /**
   * Refuses new tasks and resolves when all others have ended. With `cancel`, those that wait are rejected
   * with {@link SchedulerClosedError} and those that run are told to stop; they are still waited for.
   */
  close({ cancel = false }: { readonly cancel?: boolean } = {}): Promise<void> {
    this.closed = true;
    if (cancel) {
      for (const priority of PRIORITIES) {
        for (const entry of this.lanes[priority]) this.cancel(entry, new SchedulerClosedError(this.name));
      }
      for (const entry of this.running) this.cancel(entry, new SchedulerClosedError(this.name));
    }
    return this.idle();
  }

  /** {@link close}, letting everything finish. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private start(entry: ScheduledEntry): void {
    this.running.add(entry);
    this.publish(entry, 'admitted', this.clock.monotonic() - entry.queuedAtMs);
    entry.timer = this.clock.schedule(entry.timeoutMs, () => {
      this.publish(entry, 'timeout');
      this.cancel(entry, new TaskTimeoutError(this.name, entry.timeoutMs));
    });
    let outcome: Promise<unknown>;
    try {
      outcome = Promise.resolve(entry.start());
    } catch (error) {
      outcome = Promise.reject(error);
    }
    outcome.then(
      (value) => this.finish(entry, () => entry.resolve(value)),
      (error: unknown) => this.finish(entry, () => entry.reject(error)),
    );
  }

  private finish(entry: ScheduledEntry, answer: () => void): void {
    this.running.delete(entry);
    entry.timer?.cancel();
    entry.forget();
    if (entry.answered) this.overrunning -= 1;
    else answer();
    entry.answered = true;
    this.publish(entry, 'released');
    const next = this.next();
    if (next) this.start(next);
    if (this.running.size > 0) return;
    for (const resolve of this.idlers.splice(0)) resolve();
  }

  /** Answers the caller at once; a running task keeps its slot until it ends. */
  private cancel(entry: ScheduledEntry, reason: unknown): void {
    if (entry.answered) return;
    entry.answered = true;
    entry.forget();
    entry.reject(reason);
    if (this.running.has(entry)) {
      entry.timer?.cancel();
      this.overrunning += 1;
      entry.controller.abort(reason);
    } else {
      this.lanes[entry.priority].remove(entry);
    }
  }

  private next(): ScheduledEntry | undefined {
    const oldestAtMs = this.clock.monotonic() - this.ageingMs;
    const isOverdue = (priority: Priority) => {
      const { oldest } = this.lanes[priority];
      return oldest !== undefined && oldest.queuedAtMs <= oldestAtMs;
    };
    const chosen =
      (['low', 'medium'] as const).find(
        (priority) => isOverdue(priority) && this.passedOver[priority] >= PATIENCE,
      ) ?? PRIORITIES.find((priority) => this.lanes[priority].size > 0);
    if (!chosen) return undefined;
    for (const priority of PRIORITIES) {
      this.passedOver[priority] =
        priority !== chosen && isOverdue(priority) ? this.passedOver[priority] + 1 : 0;
    }
    return this.lanes[chosen].take();
  }

  /** @throws TaskQueueFullError when there is no room and none can be made. */
  private makeRoom(entry: ScheduledEntry): void {
    const { tenantId, priority } = entry;
    const lanes = Object.values(this.lanes);
    const ofTenant = lanes.reduce((sum, lane) => sum + lane.sizeOf(tenantId), 0);
    const ofAll = lanes.reduce((sum, lane) => sum + lane.size, 0);
    const fullFor =
      ofTenant >= this.maxQueuedPerTenant ? 'tenant' : ofAll >= this.maxQueued ? 'all' : undefined;
    if (!fullFor) return;
    const victim = this.dropsLowest
      ? this.lessUrgent(priority, fullFor === 'tenant' ? tenantId : undefined)
      : undefined;
    if (victim) {
      this.publish(victim, 'limited');
      this.cancel(victim, new TaskDroppedError(this.name, victim.priority));
      return;
    }
    this.publish(entry, 'limited');
    const bound = fullFor === 'tenant' ? this.maxQueuedPerTenant : this.maxQueued;
    throw new TaskQueueFullError(this.name, fullFor, bound);
  }

  private lessUrgent(priority: Priority, tenantId: TenantId | undefined): ScheduledEntry | undefined {
    const lower = PRIORITIES.slice(PRIORITIES.indexOf(priority) + 1).reverse();
    for (const candidate of lower) {
      const victim = this.lanes[candidate].newestOfLongest(tenantId);
      if (victim) return victim;
    }
    return undefined;
  }

  private publish(
    { tenantId, priority }: ScheduledEntry,
    outcome: 'admitted' | 'limited' | 'timeout' | 'released',
    waitMs?: number,
  ): void {
    const event = { tenantId, limiter: this.name, kind: 'permit', outcome, dimension: priority } as const;
    channels.limit.publish(waitMs === undefined ? event : { ...event, waitMs });
  }
}

function wholeNumber(what: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new SchedulerSettingsInvalidError(`${what} of a scheduler is a whole number of at least ${least}.`);
}

function deferred<T>() {
  let resolve!: (value: T | PromiseLike<T>) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((accept, refuse) => {
    resolve = accept;
    reject = refuse;
  });
  return { promise, resolve, reject };
}
