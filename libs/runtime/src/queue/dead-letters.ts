import type { TenantId } from '@sparkle/contracts';
import type { Job } from 'bullmq';
import { DeadLetterNotFoundError } from '../errors.js';
import { type JobQueues, payloadOf, tenantOf } from './job-queues.js';
import { type JobPayload, QUEUE_NAMES, type QueueName } from './queues.js';
import { turnOf } from './turns/turn-priority.js';

/** A job that was given up. Times are milliseconds since the Unix epoch. */
export interface DeadLetter {
  readonly queue: QueueName;
  readonly id: string;
  /** Null for jobs of no tenant, and for payloads that the queue does not carry. */
  readonly tenantId: TenantId | null;
  /** Ids and numbers, as the queue's schema reads them; null when it cannot. */
  readonly payload: JobPayload<QueueName> | null;
  /** What the last attempt failed of: `CODE: message` for failures that are foreseen, else any text. */
  readonly reason: string;
  readonly attempts: number;
  readonly addedAt: number;
  readonly failedAt: number;
}

/** Which dead letters are meant; what is left out is not asked for. */
export interface DeadLetterFilter {
  readonly queue?: QueueName;
  readonly tenantId?: TenantId;
}

export interface DeadLetterPage {
  /** Newest first. All that failed in the millisecond of the last one are among them, so there may be more than asked. */
  readonly deadLetters: readonly DeadLetter[];
  /** `before` of the next page; absent on the last one. */
  readonly next?: number;
}

/**
 * `replayed`: the job waits again. `running`: it had been replayed already. `obsolete`: what it was to do has
 * been done or withdrawn meanwhile, and the dead letter is gone.
 */
export type ReplayOutcome = 'replayed' | 'running' | 'obsolete';

/** Prepares the rows a job works on for another run; false when there is nothing left to do. */
export type Reopen = (payload: JobPayload<QueueName>) => Promise<boolean>;

const CHUNK = 200;

/** The jobs that were given up: kept for a week (10,000 of each queue at most) to be looked at, replayed or discarded. */
export class DeadLetters {
  /** @param reopen by queue; a queue without one has no rows that a failure changes. */
  constructor(
    private readonly queues: JobQueues,
    private readonly reopen: Readonly<Partial<Record<QueueName, Reopen>>> = {},
  ) {}

  /**
   * A page of dead letters.
   * @param page `limit`, and `before`: only what failed earlier, in milliseconds since the Unix epoch.
   */
  async list(
    filter: DeadLetterFilter,
    page: { readonly limit: number; readonly before?: number },
  ): Promise<DeadLetterPage> {
    const before = page.before ?? Number.POSITIVE_INFINITY;
    const found: DeadLetter[] = [];
    for (const queue of queuesOf(filter))
      found.push(...(await this.newest(queue, filter, before, page.limit)));
    found.sort((one, other) => other.failedAt - one.failedAt || compare(one, other));
    const last = found[page.limit - 1];
    const deadLetters = last ? found.filter(({ failedAt }) => failedAt >= last.failedAt) : found;
    return { deadLetters, ...(deadLetters.length < found.length && { next: deadLetters.at(-1)!.failedAt }) };
  }

  /** @throws DeadLetterNotFoundError when there is none, or another tenant's. */
  async get(queue: QueueName, id: string, tenantId?: TenantId): Promise<DeadLetter> {
    const job = await this.find(queue, id, tenantId);
    if (!(await job.isFailed())) throw new DeadLetterNotFoundError();
    return deadLetterOf(queue, job);
  }

  /**
   * Lets a job run again, with all its attempts and behind its tenant's other jobs. Replaying twice, also at the
   * same time, runs it once.
   * @throws DeadLetterNotFoundError as {@link get}.
   */
  async replay(queue: QueueName, id: string, tenantId?: TenantId): Promise<ReplayOutcome> {
    const job = await this.find(queue, id, tenantId);
    if (await job.isCompleted()) throw new DeadLetterNotFoundError();
    if (!(await job.isFailed())) return 'running';
    const { payload } = deadLetterOf(queue, job);
    if (payload && !((await this.reopen[queue]?.(payload)) ?? true)) {
      await job.remove();
      return 'obsolete';
    }
    const place = turnOf(job.priority);
    if (place && payload) await this.queues.requeue(queue, job, place.priority);
    try {
      await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
    } catch (error) {
      if (await job.isFailed()) throw error;
      return 'running';
    }
    return 'replayed';
  }

  /** Replays all that match; those that were given up again meanwhile are left. Returns how many wait now. */
  async replayAll(filter: DeadLetterFilter): Promise<number> {
    let replayed = 0;
    for (const { queue, id } of await this.all(filter))
      if ((await this.unlessGone(() => this.replay(queue, id, filter.tenantId))) === 'replayed')
        replayed += 1;
    return replayed;
  }

  /** Forgets a dead letter; what it failed to do stays undone. @throws DeadLetterNotFoundError as {@link get}. */
  async discard(queue: QueueName, id: string, tenantId?: TenantId): Promise<void> {
    const job = await this.find(queue, id, tenantId);
    if (!(await job.isFailed())) throw new DeadLetterNotFoundError();
    await job.remove();
  }

  /** Forgets all that match. Returns how many. */
  async discardAll(filter: DeadLetterFilter): Promise<number> {
    let discarded = 0;
    for (const { queue, id } of await this.all(filter))
      if (await this.unlessGone(() => this.discard(queue, id, filter.tenantId).then(() => true)))
        discarded += 1;
    return discarded;
  }

  private async all(filter: DeadLetterFilter): Promise<DeadLetter[]> {
    const found: DeadLetter[] = [];
    for (const queue of queuesOf(filter))
      found.push(...(await this.newest(queue, filter, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)));
    return found;
  }

  /** Those of a queue that failed before `before`, newest first: `limit`, the rest of its millisecond, and one more. */
  private async newest(
    queue: QueueName,
    filter: DeadLetterFilter,
    before: number,
    limit: number,
  ): Promise<DeadLetter[]> {
    const found = new Map<string, DeadLetter>();
    let lastOfPage: number | undefined;
    for (let start = 0; ; start += CHUNK) {
      const jobs: Job[] = await this.queues.queueOf(queue).getFailed(start, start + CHUNK - 1);
      for (const job of jobs) {
        const letter = deadLetterOf(queue, job);
        if (letter.failedAt >= before || (filter.tenantId && letter.tenantId !== filter.tenantId)) continue;
        // What fails while this reads moves others into the next chunk once more.
        found.set(letter.id, letter);
        if (found.size === limit) lastOfPage = letter.failedAt;
        if (lastOfPage !== undefined && letter.failedAt < lastOfPage) return [...found.values()];
      }
      if (jobs.length < CHUNK) return [...found.values()];
    }
  }

  private async find(queue: QueueName, id: string, tenantId: TenantId | undefined): Promise<Job> {
    const job: Job | undefined = await this.queues.queueOf(queue).getJob(id);
    if (!job || (tenantId && deadLetterOf(queue, job).tenantId !== tenantId))
      throw new DeadLetterNotFoundError();
    return job;
  }

  private async unlessGone<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof DeadLetterNotFoundError) return undefined;
      throw error;
    }
  }
}

function queuesOf({ queue }: DeadLetterFilter): readonly QueueName[] {
  return queue ? [queue] : QUEUE_NAMES;
}

function deadLetterOf(queue: QueueName, job: Job): DeadLetter {
  const payload = readable(queue, job);
  return {
    queue,
    id: job.id ?? '',
    tenantId: (payload && tenantOf(payload)) ?? null,
    payload,
    reason: job.failedReason ?? '',
    attempts: job.attemptsMade,
    addedAt: job.timestamp,
    failedAt: job.finishedOn ?? 0,
  };
}

function readable(queue: QueueName, job: Job): JobPayload<QueueName> | null {
  try {
    return payloadOf(queue, job);
  } catch {
    return null;
  }
}

function compare(one: DeadLetter, other: DeadLetter): number {
  return one.queue.localeCompare(other.queue) || one.id.localeCompare(other.id);
}
