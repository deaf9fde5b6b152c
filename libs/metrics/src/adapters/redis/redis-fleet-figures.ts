import type { Clock } from '@sparkle/contracts';
import { z } from 'zod';
import { FleetStoreError, FleetStoreTimeoutError } from '../../errors.js';
import type { FleetFigures, InstanceFigures, PublishedFigures } from '../../ports/fleet-figures.port.js';

/** What is used of an ioredis `Redis` or `Cluster`; the application opens and closes it. */
export interface FleetRedis {
  multi(commands: unknown[][]): { exec(): Promise<[error: Error | null, reply: unknown][] | null> };
}

/** Settings of {@link RedisFleetFigures}. */
export interface RedisFleetOptions {
  /** First part of every key. Default `sparkle`. */
  readonly prefix?: string;
  /** How long an instance counts as alive without publishing. Default 15 s. */
  readonly ttlMs?: number;
  /** Time that a call has. Default 250 ms. */
  readonly timeoutMs?: number;
  /** Instances at most; beyond them those that published longest ago are left out. Default 500. */
  readonly maxInstances?: number;
}

const count = z.number().min(0);
const share = z.number().min(0).max(1).nullable();
const LONGEST_NAME = 200;
const LONGEST_LATENCY = 65_536;

const figuresSchema: z.ZodType<InstanceFigures> = z.object({
  service: z.string().min(1).max(LONGEST_NAME),
  instance: z.string().min(1).max(LONGEST_NAME),
  requests: count,
  failed: count,
  qps10s: count,
  qps60s: count,
  active: count,
  maxActive: count,
  cpu: share,
  memory: share,
  score: z.number().min(0).max(100),
  latency: z.string().max(LONGEST_LATENCY),
});

/**
 * Figures of the processes on one Redis or Redis Cluster. Each instance has a key that expires by itself, and a
 * sorted set lists them; ages come from the keys' time left, so that no client's clock matters. All keys share a
 * hash tag. Two round trips to read, one to publish.
 */
export class RedisFleetFigures implements FleetFigures {
  private readonly index: string;
  private readonly ttlMs: number;
  private readonly timeoutMs: number;
  private readonly maxInstances: number;

  constructor(
    private readonly client: FleetRedis,
    private readonly clock: Clock,
    { prefix = 'sparkle', ttlMs = 15_000, timeoutMs = 250, maxInstances = 500 }: RedisFleetOptions = {},
  ) {
    this.index = `${prefix}:{fleet}:instances`;
    this.ttlMs = ttlMs;
    this.timeoutMs = timeoutMs;
    this.maxInstances = maxInstances;
  }

  /** @throws FleetStoreError, FleetStoreTimeoutError */
  async publish(figures: InstanceFigures): Promise<void> {
    const id = idOf(figures);
    await this.withinBudget(
      this.run([
        ['set', this.keyOf(id), JSON.stringify(figures), 'PX', this.ttlMs],
        // The score only decides who is dropped from a list that is too long.
        ['zadd', this.index, this.clock.now(), id],
        ['zremrangebyrank', this.index, 0, -this.maxInstances - 1],
        ['pexpire', this.index, this.ttlMs],
      ]),
    );
  }

  /** @throws FleetStoreError, FleetStoreTimeoutError */
  read(): Promise<readonly PublishedFigures[]> {
    return this.withinBudget(this.readLive());
  }

  /** @throws FleetStoreError, FleetStoreTimeoutError */
  async withdraw(instance: Pick<InstanceFigures, 'service' | 'instance'>): Promise<void> {
    const id = idOf(instance);
    await this.withinBudget(
      this.run([
        ['del', this.keyOf(id)],
        ['zrem', this.index, id],
      ]),
    );
  }

  private async readLive(): Promise<readonly PublishedFigures[]> {
    const [listed] = await this.run([['zrange', this.index, 0, this.maxInstances - 1]]);
    const ids = z.array(z.string()).parse(listed);
    if (ids.length === 0) return [];
    const keys = ids.map((id) => this.keyOf(id));
    const [values, ...timesLeft] = await this.run([['mget', ...keys], ...keys.map((key) => ['pttl', key])]);
    const texts = z.array(z.string().nullable()).parse(values);
    const live: PublishedFigures[] = [];
    const gone: string[] = [];
    for (const [at, text] of texts.entries()) {
      const figures = text === null ? undefined : figuresOf(text);
      const timeLeft = Number(timesLeft[at]);
      if (figures) live.push({ figures, ageMs: Math.max(0, this.ttlMs - timeLeft) });
      else if (text === null) gone.push(ids[at]!);
    }
    // An instance that publishes again at this moment is back on the list with its next figures.
    if (gone.length > 0) await this.run([['zrem', this.index, ...gone]]);
    return live;
  }

  private async run(commands: unknown[][]): Promise<unknown[]> {
    const replies = await this.client.multi(commands).exec();
    if (replies === null) throw new TypeError('the transaction was discarded');
    return replies.map(([error, reply]) => {
      if (error) throw error;
      return reply;
    });
  }

  private async withinBudget<T>(call: Promise<T>): Promise<T> {
    const done = new AbortController();
    const tooLate = this.clock.sleep(this.timeoutMs, done.signal).then(
      () => {
        throw new FleetStoreTimeoutError(this.timeoutMs);
      },
      () => call,
    );
    try {
      return await Promise.race([call, tooLate]);
    } catch (error) {
      if (error instanceof FleetStoreTimeoutError) throw error;
      throw new FleetStoreError(error);
    } finally {
      // Nobody waits for the loser any more.
      call.catch(() => {});
      tooLate.catch(() => {});
      done.abort();
    }
  }

  private keyOf(id: string): string {
    return `${this.index}:${id}`;
  }
}

function idOf({ service, instance }: Pick<InstanceFigures, 'service' | 'instance'>): string {
  return `${encodeURIComponent(service)}/${encodeURIComponent(instance)}`;
}

/** Published figures; `undefined` for what another version wrote differently. */
function figuresOf(text: string): InstanceFigures | undefined {
  try {
    const parsed = figuresSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
