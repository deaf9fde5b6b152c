import { type Clock, type Random, SystemClock, SystemRandom } from '@sparkle/contracts';
import {
  ConstantBackoff,
  ExponentialBackoff,
  handleWhen,
  noJitterGenerator,
  type RetryPolicy,
  retry,
} from 'cockatiel';
import { z } from 'zod';
import { BatchItemTimeoutError, BatchOptionsInvalidError, BatchSourceError } from '../errors.js';
import { BatchOutlet } from './batch-outlet.js';
import { type BatchProgressListener, BatchTally } from './batch-progress.js';
import { describeProblems } from './schema-problems.js';

/** What a worker is told besides its item. */
export interface BatchContext {
  /** Position of the item in the input, from 0. */
  readonly index: number;
  /** From 1. */
  readonly attempt: number;
  /** Aborts when the batch is cancelled or the attempt has timed out: the worker must end then. */
  readonly signal: AbortSignal;
}

export type BatchWorker<Item, Result> = (item: Item, context: BatchContext) => Result | PromiseLike<Result>;

/** What became of one item. `attempts` is 0 for one that was never started. */
export type ItemOutcome<Result> = { readonly index: number; readonly attempts: number } & (
  | { readonly status: 'succeeded'; readonly value: Result }
  | { readonly status: 'failed'; readonly error: unknown }
  | { readonly status: 'cancelled'; readonly reason: unknown }
);

export interface BatchRetry {
  /** Attempts in all, the first included. Default 3. */
  readonly maxAttempts?: number;
  /** Longest pause before the second attempt, milliseconds; doubles with each further one. Default 250. */
  readonly baseDelayMs?: number;
  /** Longest pause at all, milliseconds. Default 10,000. */
  readonly maxDelayMs?: number;
  /** Whether another attempt may cure the error. Default: every error, time-outs included. */
  readonly retryIf?: (error: unknown) => boolean;
}

export interface BatchOptions {
  /** Items at once. Default 8. */
  readonly concurrency?: number;
  /** Cancels the batch: what waits is not started, what runs is told to stop and not waited for. */
  readonly signal?: AbortSignal | undefined;
  /** How long one attempt may take, milliseconds. Default: without bound. */
  readonly timeoutMs?: number;
  /** Default: one attempt only. */
  readonly retry?: BatchRetry;
  /** Order of the outcomes. Default `input`. */
  readonly order?: 'input' | 'completion';
  /** Number of items, where the source does not know it. Default: the length of an array. */
  readonly total?: number;
  /** Called at the start, after each item and at the end. What it throws is ignored. */
  readonly onProgress?: BatchProgressListener;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Jitter of the pauses. Default: the system's. */
  readonly random?: Random;
}

export interface BatchReport<Result> {
  /**
   * One outcome per item, in the order asked for. A cancelled batch has outcomes for the rest of an array, and
   * none for what it has not read of another source.
   */
  readonly outcomes: readonly ItemOutcome<Result>[];
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly durationMs: number;
}

const count = z.number().int().positive();
const optionsSchema = z.object({
  concurrency: count.default(8),
  timeoutMs: count.optional(),
  order: z.enum(['input', 'completion']).default('input'),
  total: z.number().int().min(0).optional(),
  retry: z
    .strictObject({
      maxAttempts: count.default(3),
      baseDelayMs: count.default(250),
      maxDelayMs: count.default(10_000),
      retryIf: z.custom<(error: unknown) => boolean>((value) => typeof value === 'function').optional(),
    })
    .optional(),
});

/**
 * Works through `items` with bounded concurrency and collects what becomes of each; one failure touches no other
 * item. The source is read no further than there are free places. Rejects only for the reasons below.
 *
 * An attempt that times out has its signal aborted; its place is taken again, and the item tried again, only
 * when the worker has ended, so that a worker which ignores its signal never exceeds the concurrency. A
 * cancelled batch does not wait for such workers.
 *
 * @throws BatchOptionsInvalidError listing every wrong option.
 * @throws BatchSourceError when reading `items` failed; it holds the outcomes of what had been read.
 */
export async function processBatch<Item, Result>(
  items: Iterable<Item> | AsyncIterable<Item>,
  worker: BatchWorker<Item, Result>,
  options: BatchOptions = {},
): Promise<BatchReport<Result>> {
  const clock = options.clock ?? new SystemClock();
  const startedAtMs = clock.monotonic();
  const inInputOrder = (options.order ?? 'input') === 'input';
  const outcomes: ItemOutcome<Result>[] = [];
  const sort = () => (inInputOrder ? outcomes.sort((left, right) => left.index - right.index) : outcomes);
  try {
    // As they come, because an outcome that waits for an earlier one would keep its place.
    const stream = streamBatch(items, worker, { ...options, clock, order: 'completion' });
    for await (const outcome of stream) outcomes.push(outcome);
  } catch (error) {
    throw error instanceof BatchSourceError ? new BatchSourceError(error.cause, sort()) : error;
  }
  const having = (status: ItemOutcome<Result>['status']) =>
    outcomes.filter((outcome) => outcome.status === status).length;
  return {
    outcomes: sort(),
    succeeded: having('succeeded'),
    failed: having('failed'),
    cancelled: having('cancelled'),
    durationMs: clock.monotonic() - startedAtMs,
  };
}

/**
 * Like {@link processBatch}, for batches that do not fit into memory: hands the outcomes over one by one. At most
 * `concurrency` items are read and not handed over yet, so a slow consumer slows the source down; with order
 * `input` so does a slow first item. Leaving the loop cancels the batch.
 *
 * @throws BatchOptionsInvalidError listing every wrong option.
 * @throws BatchSourceError after the outcomes of what had been read, when reading `items` failed.
 */
export async function* streamBatch<Item, Result>(
  items: Iterable<Item> | AsyncIterable<Item>,
  worker: BatchWorker<Item, Result>,
  options: BatchOptions = {},
): AsyncGenerator<ItemOutcome<Result>, void> {
  const batch = new Batch(items, worker, options);
  try {
    yield* batch.run();
  } finally {
    batch.stop(new Error('The batch has ended.'));
  }
}

type Settings = z.output<typeof optionsSchema>;
type RetrySettings = NonNullable<Settings['retry']>;

interface ReadItem<Item> {
  readonly index: number;
  readonly item: Item;
}

/** `ended` resolves when the worker's own promise has settled, which may be after the `answer`. */
interface Attempt<Result> {
  readonly answer: Promise<Result>;
  readonly ended: Promise<void>;
}

class Batch<Item, Result> {
  private readonly settings: Settings;
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly source: Iterator<Item> | AsyncIterator<Item>;
  private readonly array: readonly Item[] | undefined;
  private readonly outlet: BatchOutlet<ItemOutcome<Result>>;
  private readonly tally: BatchTally;
  private readonly stopping = new AbortController();
  private readonly outerSignal: AbortSignal | undefined;
  private readonly policy: RetryPolicy | undefined;
  /** Pauses are timed by the clock, which keeps no process alive: a script must not end in the middle of one. */
  private readonly keepAlive: NodeJS.Timeout | undefined;
  private reading: Promise<ReadItem<Item> | undefined> = Promise.resolve(undefined);
  private nextIndex = 0;
  /** Items that were read and whose outcome was not handed over yet. */
  private openItems = 0;
  private exhausted = false;
  private ending = false;
  private sourceFailure: { readonly error: unknown } | undefined;

  constructor(
    items: Iterable<Item> | AsyncIterable<Item>,
    private readonly worker: BatchWorker<Item, Result>,
    options: BatchOptions,
  ) {
    const parsed = optionsSchema.safeParse(options);
    if (!parsed.success) throw new BatchOptionsInvalidError(describeProblems(parsed.error));
    this.settings = parsed.data;
    this.clock = options.clock ?? new SystemClock();
    this.random = options.random ?? new SystemRandom();
    this.array = Array.isArray(items) ? (items as readonly Item[]) : undefined;
    this.source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
    this.outlet = new BatchOutlet(this.settings.order === 'input');
    this.tally = new BatchTally(this.clock, this.settings.total ?? this.array?.length, options.onProgress);
    if (this.settings.retry) {
      const { maxAttempts, retryIf = () => true } = this.settings.retry;
      this.policy = retry(handleWhen(retryIf), {
        maxAttempts: maxAttempts - 1,
        backoff: new ConstantBackoff(0),
      });
      this.keepAlive = setInterval(() => {}, 2 ** 30);
    }
    this.outerSignal = options.signal;
    if (this.outerSignal?.aborted) this.onOuterAbort();
    else this.outerSignal?.addEventListener('abort', this.onOuterAbort, { once: true });
  }

  async *run(): AsyncGenerator<ItemOutcome<Result>, void> {
    this.signal.addEventListener('abort', () => this.endWhenDone(), { once: true });
    for (let place = 0; place < this.settings.concurrency; place += 1) void this.occupy();
    this.endWhenDone();
    yield* this.outlet;
    if (this.sourceFailure) throw new BatchSourceError(this.sourceFailure.error, []);
  }

  /** Ends everything: what runs is told to stop, the source is closed, the last progress is reported. */
  stop(reason: unknown): void {
    clearInterval(this.keepAlive);
    this.outerSignal?.removeEventListener('abort', this.onOuterAbort);
    this.stopping.abort(reason);
    if (!this.exhausted) this.closeSource();
    this.tally.finish();
  }

  private get signal(): AbortSignal {
    return this.stopping.signal;
  }

  private readonly onOuterAbort = (): void => {
    this.stopping.abort(this.outerSignal?.reason);
  };

  /** One place: takes an item, sees it through, hands its outcome over, and takes the next. Never rejects. */
  private async occupy(): Promise<void> {
    for (let read = await this.read(); read; read = await this.read()) {
      const { outcome, ended } = await this.settle(read);
      this.tally.count(outcome.status, outcome.attempts);
      await this.outlet.offer(read.index, outcome);
      this.closeItem();
      await this.unlessStopped(ended);
    }
  }

  /** One read at a time, because not every iterator can be asked twice at once. */
  private async read(): Promise<ReadItem<Item> | undefined> {
    this.reading = this.reading.then(() => this.readNext());
    const { reading } = this;
    // An array answers at once; another source may never.
    if (this.array) return reading;
    const read = await this.unlessStopped(reading);
    if (!read) void reading.then((late) => late && this.closeItem());
    return read;
  }

  private async readNext(): Promise<ReadItem<Item> | undefined> {
    if (this.exhausted || this.signal.aborted) return undefined;
    try {
      const next = await this.source.next();
      if (this.signal.aborted) return undefined;
      if (next.done) {
        this.exhausted = true;
        this.endWhenDone();
        return undefined;
      }
      const index = this.nextIndex;
      this.nextIndex += 1;
      this.openItems += 1;
      if (this.nextIndex === this.array?.length) this.exhausted = true;
      return { index, item: next.value };
    } catch (error) {
      this.exhausted = true;
      this.sourceFailure = { error };
      this.endWhenDone();
      return undefined;
    }
  }

  private closeItem(): void {
    this.openItems -= 1;
    this.endWhenDone();
  }

  /** Not when every place is free: one may be held by a worker that ignores its signal. */
  private endWhenDone(): void {
    if (this.ending || this.openItems > 0 || !(this.exhausted || this.signal.aborted)) return;
    this.ending = true;
    void this.cancelRest().then(() => this.outlet.end());
  }

  private async settle({ index, item }: ReadItem<Item>) {
    let attempts = 0;
    let ended: Promise<void> = Promise.resolve();
    const attempt = (): Promise<Result> => {
      this.signal.throwIfAborted();
      attempts += 1;
      const started = this.start(item, index, attempts);
      ended = started.ended;
      return started.answer;
    };
    const outcomeOf = async (): Promise<ItemOutcome<Result>> => {
      try {
        const value = await (this.policy && this.settings.retry
          ? this.withRetries(this.policy, this.settings.retry, attempt, () => ended)
          : attempt());
        return { index, attempts, status: 'succeeded', value };
      } catch (error) {
        return this.signal.aborted
          ? { index, attempts, status: 'cancelled', reason: this.signal.reason }
          : { index, attempts, status: 'failed', error };
      }
    };
    const outcome = await outcomeOf();
    return { outcome, ended };
  }

  /**
   * cockatiel counts the attempts and decides about them. The pauses are its exponential backoff with full
   * jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015), but drawn and timed here: its own timer
   * could be neither cancelled nor tested.
   */
  private withRetries(
    policy: RetryPolicy,
    { baseDelayMs, maxDelayMs }: RetrySettings,
    attempt: () => Promise<Result>,
    ended: () => Promise<void>,
  ): Promise<Result> {
    const backoff = new ExponentialBackoff<number>({
      initialDelay: baseDelayMs,
      maxDelay: maxDelayMs,
      generator: (state, options) => {
        const [longest, next] = noJitterGenerator(state, options);
        return [this.random.next() * longest, next];
      },
    });
    let pause: ReturnType<typeof backoff.next> | undefined;
    return policy.execute(async ({ attempt: retries }) => {
      if (retries > 0) {
        await this.unlessStopped(ended());
        pause = pause ? pause.next(undefined) : backoff.next();
        await this.clock.sleep(pause.duration, this.signal);
      }
      return attempt();
    }, this.signal);
  }

  private start(item: Item, index: number, attempt: number): Attempt<Result> {
    const { timeoutMs } = this.settings;
    const controller = new AbortController();
    let work: Promise<Result>;
    try {
      work = Promise.resolve(this.worker(item, { index, attempt, signal: controller.signal }));
    } catch (error) {
      work = Promise.reject(error);
    }
    let tidy = () => {};
    const answer = new Promise<Result>((resolve, reject) => {
      const end = (reason: unknown) => {
        tidy();
        reject(reason);
        controller.abort(reason);
      };
      const onStop = () => end(this.signal.reason);
      const timer =
        timeoutMs === undefined
          ? undefined
          : this.clock.schedule(timeoutMs, () => end(new BatchItemTimeoutError(index, timeoutMs)));
      tidy = () => {
        timer?.cancel();
        this.signal.removeEventListener('abort', onStop);
      };
      this.signal.addEventListener('abort', onStop, { once: true });
      work.then(resolve, reject);
    });
    return { answer, ended: work.then(tidy, tidy) };
  }

  /** The rest of an array, once the batch is cancelled. */
  private async cancelRest(): Promise<void> {
    if (!this.signal.aborted || !this.array) return;
    const { reason } = this.signal;
    for (let index = this.nextIndex; index < this.array.length; index += 1) {
      this.tally.count('cancelled', 0);
      await this.outlet.offer(index, { index, attempts: 0, status: 'cancelled', reason });
    }
  }

  /** Best effort: a source may be waiting for its next item for good. */
  private closeSource(): void {
    try {
      Promise.resolve(this.source.return?.()).catch(() => undefined);
    } catch {
      // The batch is over, whatever the source says.
    }
  }

  /** `undefined` as soon as the batch is stopped. */
  private unlessStopped<T>(promise: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const onStop = () => resolve(undefined);
      if (this.signal.aborted) onStop();
      this.signal.addEventListener('abort', onStop, { once: true });
      promise.then(resolve, reject).finally(() => this.signal.removeEventListener('abort', onStop));
    });
  }
}
