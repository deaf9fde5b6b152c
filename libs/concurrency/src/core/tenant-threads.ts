import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Clock,
  type ClockTimer,
  channels,
  type LimitEvent,
  parseTenantId,
  type TenantId,
} from '@sparkle/contracts';
import {
  type ConcurrencyError,
  TenantQueueFullError,
  TenantTaskFailedError,
  TenantTaskInvalidError,
  TenantTaskTimeoutError,
  TenantThreadCrashedError,
  TenantThreadsClosedError,
  TenantThreadsSettingsInvalidError,
} from '../errors.js';
import type {
  TaskThread,
  TaskThreads,
  ThreadOutcome,
  ThreadPlace,
  ThreadTask,
} from '../ports/task-threads.port.js';
import type { TenantPlans } from '../ports/tenant-plans.port.js';
import { ThreadTurns, type TurnTaker } from './thread-turns.js';

export interface TenantThreadsSettings {
  /** Threads of all tenants together, idle ones included. */
  readonly maxThreads: number;
  /** How many of them only a tenant that keeps none busy may take; less than `maxThreads`. Default 1, or 0 of 1. */
  readonly reservedThreads?: number;
  /** Bound of each tenant's queue. Default 1000. */
  readonly maxQueued?: number;
  /** How long a task may take, waiting included, milliseconds. Default 30,000. */
  readonly timeoutMs?: number;
  /** How long a thread lives without work, milliseconds. Default 60,000. */
  readonly idleMs?: number;
  /**
   * How long the place of a tenant's first thread, once idle, counts as taken for tenants that want a further one,
   * milliseconds; so that whoever works in bursts need not wait for a thread to start each time. Default 1000.
   */
  readonly warmMs?: number;
}

/** A function of a module, to be called in one of the tenant's threads. Never let a tenant choose the module. */
export interface TenantTask {
  /** Absolute path or `file:` URL. */
  readonly filename: string | URL;
  /** The module's export to call. Default `default`. */
  readonly name?: string;
  /** Its only argument; copied by structured clone, as its result is. */
  readonly payload?: unknown;
}

export interface TenantTaskOptions {
  /** Takes the task out of the queue, or stops the thread it runs in; rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Milliseconds, waiting included. Default: the settings'. */
  readonly timeoutMs?: number;
}

export interface TenantThreadsStats {
  /** Threads that exist, those that are ending included. */
  readonly threads: number;
  readonly busy: number;
  readonly idle: number;
  readonly queued: number;
  /** Tenants with a thread or a task. */
  readonly tenants: number;
}

interface PendingTask {
  readonly task: ThreadTask;
  readonly enqueuedAtMs: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly release: () => void;
  slot: ThreadSlot | undefined;
  settled: boolean;
}

interface ThreadSlot {
  readonly tenant: TenantPool;
  readonly place: ThreadPlace;
  /** Settles when the thread whose place this one takes is gone. */
  readonly vacated: Promise<void> | undefined;
  thread: TaskThread | undefined;
  pending: PendingTask | undefined;
  /** Set while the thread is idle. */
  idleTimer: ClockTimer | undefined;
  idleSinceMs: number;
}

interface TenantPool extends TurnTaker {
  readonly tenantId: TenantId;
  readonly queue: Set<PendingTask>;
  /** All its threads but those that are ending. */
  readonly slots: Set<ThreadSlot>;
}

const LONGEST_TIMEOUT_MS = 2_147_483_647;

function isTimeout(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1 && value <= LONGEST_TIMEOUT_MS;
}

function pathOf(filename: string | URL): string {
  try {
    const path = filename instanceof URL || filename.startsWith('file:') ? fileURLToPath(filename) : filename;
    if (isAbsolute(path)) return path;
  } catch {
    // A URL of another scheme, or of another host.
  }
  throw new TenantTaskInvalidError('The module of a task is an absolute path or a file: URL.');
}

function failureOf(task: string, outcome: Exclude<ThreadOutcome, { kind: 'completed' }>): ConcurrencyError {
  switch (outcome.kind) {
    case 'failed':
      return new TenantTaskFailedError(task, outcome.error);
    case 'uncloneable':
      return new TenantTaskInvalidError(`The payload of the task "${task}" cannot be cloned.`, {
        cause: outcome.error,
      });
    case 'crashed':
      return new TenantThreadCrashedError(task, outcome.reason, outcome.error);
  }
}

/**
 * A pool of threads per tenant. A tenant uses at most the `threadShare` of its plan, all of them together at most
 * `maxThreads`. A thread only ever works for one tenant: what a task leaves behind in it, or does to it, stays
 * the tenant's own. Threads start when they are needed and end after `idleMs`, or earlier when another tenant
 * needs the place of an idle one.
 */
export class TenantThreads {
  private readonly tenants = new Map<TenantId, TenantPool>();
  private readonly turns: ThreadTurns<TenantPool>;
  /** Least recently used first. */
  private readonly idle = { first: new Set<ThreadSlot>(), further: new Set<ThreadSlot>() };
  private readonly maxThreads: number;
  private readonly maxQueued: number;
  private readonly timeoutMs: number;
  private readonly idleMs: number;
  private readonly warmMs: number;
  private threads = 0;
  private queued = 0;
  private closing: Promise<void> | undefined;
  private onQuiet: (() => void) | undefined;

  /** @throws TenantThreadsSettingsInvalidError when a setting is out of range. */
  constructor(
    private readonly host: TaskThreads,
    private readonly plans: TenantPlans,
    private readonly clock: Clock,
    settings: TenantThreadsSettings,
  ) {
    const { maxThreads, reservedThreads = Math.min(1, maxThreads - 1), maxQueued = 1000 } = settings;
    const { timeoutMs = 30_000, idleMs = 60_000, warmMs = 1000 } = settings;
    const positive = [maxThreads, maxQueued, idleMs].every(
      (value) => Number.isSafeInteger(value) && value > 0,
    );
    const reservable =
      Number.isSafeInteger(reservedThreads) && 0 <= reservedThreads && reservedThreads < maxThreads;
    if (!positive || !reservable || !isTimeout(timeoutMs) || !(warmMs >= 0)) {
      throw new TenantThreadsSettingsInvalidError(
        'maxThreads, maxQueued, timeoutMs and idleMs are positive whole numbers, warmMs is at least 0, and fewer ' +
          'threads are reserved than there may be.',
      );
    }
    this.maxThreads = maxThreads;
    this.maxQueued = maxQueued;
    this.timeoutMs = timeoutMs;
    this.idleMs = idleMs;
    this.warmMs = warmMs;
    this.turns = new ThreadTurns(maxThreads, reservedThreads);
  }

  /**
   * Runs a task in one of the tenant's threads, in the order of its calls.
   * @returns a copy of what the task returned.
   * @throws TenantTaskFailedError when it threw.
   * @throws TenantThreadCrashedError when its thread died: out of memory, `process.exit`, an uncaught exception, or
   * a result that cannot be cloned.
   * @throws TenantTaskTimeoutError when it was not done in time; its thread was stopped.
   * @throws TenantQueueFullError when too many tasks of this tenant wait.
   * @throws TenantTaskInvalidError for a malformed task, or a payload that cannot be cloned.
   * @throws TenantThreadsClosedError after {@link close}.
   * @throws TenantPlanMissingError, TenantSuspendedError and what else {@link TenantPlans} refuses with.
   */
  async run<Result = unknown>(
    tenantId: TenantId,
    { filename, name = 'default', payload }: TenantTask,
    { signal, timeoutMs = this.timeoutMs }: TenantTaskOptions = {},
  ): Promise<Result> {
    const task = { filename: pathOf(filename), name, payload };
    if (!isTimeout(timeoutMs)) {
      throw new TenantTaskInvalidError(`The timeout of a task is 1 to ${LONGEST_TIMEOUT_MS} ms.`);
    }
    signal?.throwIfAborted();
    this.assertOpen();
    const { threadShare } = await this.plans.get(parseTenantId(tenantId));
    signal?.throwIfAborted();
    this.assertOpen();
    const tenant = this.tenantOf(tenantId);
    tenant.share = threadShare;
    this.turns.place(tenant);
    if (tenant.queue.size >= this.maxQueued) {
      this.publish(tenant, 'limited');
      throw new TenantQueueFullError(this.maxQueued);
    }
    return (await this.enqueue(tenant, task, timeoutMs, signal)) as Result;
  }

  stats(): TenantThreadsStats {
    return {
      threads: this.threads,
      busy: this.turns.busyThreads,
      idle: this.idle.first.size + this.idle.further.size,
      queued: this.queued,
      tenants: this.tenants.size,
    };
  }

  /**
   * Accepts no more tasks, waits for those that are accepted, and ends the threads.
   * @param graceMs after which the rest is stopped and rejects with {@link TenantThreadsClosedError}. Default 30,000.
   */
  close(graceMs = 30_000): Promise<void> {
    this.closing ??= this.drain(graceMs);
    return this.closing;
  }

  private assertOpen(): void {
    if (this.closing) throw new TenantThreadsClosedError();
  }

  private tenantOf(tenantId: TenantId): TenantPool {
    let tenant = this.tenants.get(tenantId);
    if (!tenant) {
      const queue = new Set<PendingTask>();
      tenant = {
        tenantId,
        queue,
        slots: new Set(),
        busy: 0,
        share: 1,
        get wants() {
          return queue.size > 0;
        },
      };
      this.tenants.set(tenantId, tenant);
    }
    return tenant;
  }

  private enqueue(
    tenant: TenantPool,
    task: ThreadTask,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const onAbort = () => this.abandon(tenant, pending, signal?.reason);
      const timer = this.clock.schedule(timeoutMs, () => {
        this.publish(tenant, 'timeout', timeoutMs);
        this.abandon(
          tenant,
          pending,
          new TenantTaskTimeoutError(task.name, timeoutMs, pending.slot !== undefined),
        );
      });
      const pending: PendingTask = {
        task,
        enqueuedAtMs: this.clock.monotonic(),
        resolve,
        reject,
        release: () => {
          timer.cancel();
          signal?.removeEventListener('abort', onAbort);
        },
        slot: undefined,
        settled: false,
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      tenant.queue.add(pending);
      this.queued += 1;
      this.turns.place(tenant);
      this.dispatch();
    });
  }

  /** Gives away threads until there is none to give, or nobody to give it to. */
  private dispatch(): void {
    for (let slot = this.nextSlot(); slot; slot = this.nextSlot()) {
      const { tenant } = slot;
      const [pending] = tenant.queue;
      this.unqueue(tenant, pending!);
      pending!.slot = slot;
      slot.pending = pending;
      this.turns.count(tenant, 1);
      this.publish(tenant, 'admitted', this.clock.monotonic() - pending!.enqueuedAtMs);
      void this.work(slot, pending!);
    }
  }

  private nextSlot(): ThreadSlot | undefined {
    const full = this.threads >= this.maxThreads;
    if (full && this.idle.first.size + this.idle.further.size === 0) return undefined;
    for (const tenant of this.turns.next(this.pausing())) {
      const slot = this.slotFor(tenant);
      if (slot) return slot;
    }
    return undefined;
  }

  /** A thread for the tenant: an idle one of its own, a new one, or one in the place of an idle one. */
  private slotFor(tenant: TenantPool): ThreadSlot | undefined {
    const slots = [...tenant.slots];
    const hasFirst = slots.some(({ place }) => place === 'first');
    const own = slots.filter(({ idleTimer }) => idleTimer !== undefined);
    // The only thread that works for a tenant is its first one, for that is the one with precedence.
    const suitable = own.find(({ place }) => place === 'first') ?? (hasFirst ? own[0] : undefined);
    if (suitable) {
      this.wake(suitable);
      return suitable;
    }
    const place = hasFirst ? 'further' : 'first';
    if (this.threads < this.maxThreads) {
      this.threads += 1;
      return this.addSlot(tenant, place);
    }
    const [replaced] = [...own, ...this.idle.further, ...this.idle.first];
    if (!replaced || (place === 'further' && this.isWarm(replaced))) return undefined;
    return this.addSlot(tenant, place, this.retire(replaced));
  }

  private pausing(): number {
    let pausing = 0;
    for (const slot of this.idle.first) if (this.isWarm(slot)) pausing += 1;
    return pausing;
  }

  /** Whether its tenant, which has only this one, may well need it again at once. */
  private isWarm({ place, idleSinceMs }: ThreadSlot): boolean {
    return place === 'first' && this.clock.monotonic() - idleSinceMs < this.warmMs;
  }

  private addSlot(tenant: TenantPool, place: ThreadPlace, vacated?: Promise<void>): ThreadSlot {
    const slot: ThreadSlot = {
      tenant,
      place,
      vacated,
      thread: undefined,
      pending: undefined,
      idleTimer: undefined,
      idleSinceMs: 0,
    };
    tenant.slots.add(slot);
    return slot;
  }

  private async work(slot: ThreadSlot, pending: PendingTask): Promise<void> {
    await slot.vacated;
    if (!pending.settled) {
      slot.thread ??= this.host.start(slot.place);
      this.conclude(slot.tenant, pending, await slot.thread.run(pending.task));
    }
    slot.pending = undefined;
    if (slot.thread?.alive) {
      this.turns.count(slot.tenant, -1);
      this.rest(slot);
    } else {
      // A thread that was told to stop, or has crashed, takes up its place until it is gone.
      await slot.thread?.stop();
      this.turns.count(slot.tenant, -1);
      this.threads -= 1;
      this.removeSlot(slot);
    }
    this.dispatch();
    this.settleDown();
  }

  private conclude(tenant: TenantPool, pending: PendingTask, outcome: ThreadOutcome): void {
    if (pending.settled) return;
    pending.settled = true;
    pending.release();
    this.publish(tenant, outcome.kind === 'crashed' ? 'lost' : 'released');
    if (outcome.kind === 'completed') pending.resolve(outcome.value);
    else pending.reject(failureOf(pending.task.name, outcome));
  }

  /** Rejects a task at once and takes care that nothing of it runs on. Does nothing when it is done. */
  private abandon(tenant: TenantPool, pending: PendingTask, reason: unknown): void {
    if (pending.settled) return;
    pending.settled = true;
    pending.release();
    pending.reject(reason);
    if (pending.slot) {
      // `work` waits for the end.
      void pending.slot.thread?.stop();
    } else {
      this.unqueue(tenant, pending);
      this.forgetIfUnused(tenant);
      this.settleDown();
    }
  }

  private unqueue(tenant: TenantPool, pending: PendingTask): void {
    tenant.queue.delete(pending);
    this.queued -= 1;
    this.turns.place(tenant);
  }

  private rest(slot: ThreadSlot): void {
    this.idle[slot.place].add(slot);
    slot.idleSinceMs = this.clock.monotonic();
    slot.idleTimer = this.clock.schedule(this.idleMs, () => void this.expire(slot));
  }

  private wake(slot: ThreadSlot): void {
    slot.idleTimer?.cancel();
    slot.idleTimer = undefined;
    this.idle[slot.place].delete(slot);
  }

  /** Ends an idle thread; its place is free once the promise resolves. */
  private retire(slot: ThreadSlot): Promise<void> {
    this.wake(slot);
    this.removeSlot(slot);
    return slot.thread?.stop() ?? Promise.resolve();
  }

  private async expire(slot: ThreadSlot): Promise<void> {
    await this.retire(slot);
    this.threads -= 1;
    this.dispatch();
    this.settleDown();
  }

  private removeSlot(slot: ThreadSlot): void {
    slot.tenant.slots.delete(slot);
    this.forgetIfUnused(slot.tenant);
  }

  private forgetIfUnused(tenant: TenantPool): void {
    if (tenant.slots.size === 0 && tenant.queue.size === 0) this.tenants.delete(tenant.tenantId);
  }

  private async drain(graceMs: number): Promise<void> {
    const quiet = new Promise<void>((resolve) => {
      this.onQuiet = resolve;
    });
    const grace = this.clock.schedule(graceMs, () => {
      for (const tenant of [...this.tenants.values()]) {
        const started = [...tenant.slots].flatMap(({ pending }) => pending ?? []);
        for (const pending of [...tenant.queue, ...started]) {
          this.abandon(tenant, pending, new TenantThreadsClosedError());
        }
      }
    });
    this.settleDown();
    await quiet;
    grace.cancel();
  }

  /** While closing: ends the idle threads when nothing is left to do. */
  private settleDown(): void {
    if (!this.onQuiet || this.queued > 0 || this.turns.busyThreads > 0) return;
    for (const slot of [...this.idle.first, ...this.idle.further]) void this.expire(slot);
    if (this.threads === 0) this.onQuiet();
  }

  private publish(tenant: TenantPool, outcome: LimitEvent['outcome'], waitMs?: number): void {
    if (!channels.limit.hasSubscribers) return;
    const event = { tenantId: tenant.tenantId, limiter: 'threads', kind: 'permit', outcome } as const;
    channels.limit.publish(waitMs === undefined ? event : { ...event, waitMs });
  }
}
