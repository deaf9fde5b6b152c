import { randomUUID } from 'node:crypto';
import { acquirePermit, releasePermit, renewPermit, sweepPermits } from '../../lua/permit.scripts.js';
import type {
  AcquireReply,
  Grant,
  PermitPool,
  PermitRequest,
  PermitStore,
  SweepReply,
} from '../../ports/permit-store.port.js';
import type { RedisClient, RedisScripts } from './redis-scripts.js';

const GRANT_MESSAGE = /^([^|]+)\|(\d+)\|(\d+)\|(.+)$/s;

/**
 * Permits in Redis or Valkey, alone or as a cluster. Four keys per pool under one hash tag; grants to waiters
 * are published on one channel per process.
 */
export class RedisPermitStore implements PermitStore {
  /**
   * @param subscriber a second connection; this store subscribes on it and never runs commands there.
   * @param ownerId identity of this process. Default: random.
   */
  constructor(
    private readonly scripts: RedisScripts,
    private readonly subscriber: RedisClient,
    private readonly prefix: string,
    readonly ownerId: string = randomUUID(),
  ) {}

  acquire({ pool, ...request }: PermitRequest): Promise<AcquireReply> {
    return this.scripts.run(acquirePermit, this.keysOf(pool), {
      ...this.parametersOf(pool),
      ...request,
      ownerId: this.ownerId,
    });
  }

  renew(pool: PermitPool, permitId: string): Promise<boolean> {
    const [holders, , , meta] = this.keysOf(pool);
    return this.scripts.run(renewPermit, [holders, meta], { leaseMs: pool.leaseMs, permitId });
  }

  release(pool: PermitPool, permitId: string): Promise<boolean> {
    return this.scripts.run(releasePermit, this.keysOf(pool), { ...this.parametersOf(pool), permitId });
  }

  sweep(pool: PermitPool, waitingIds: readonly string[]): Promise<SweepReply> {
    return this.scripts.run(sweepPermits, this.keysOf(pool), {
      ...this.parametersOf(pool),
      ownerId: this.ownerId,
      waitingIds,
    });
  }

  async listen(
    onGrant: (poolId: string, grant: Grant) => void,
    onGap: () => void,
  ): Promise<() => Promise<void>> {
    const channel = this.channelPrefix + this.ownerId;
    const onMessage = (from: string, message: string) => {
      const parts = from === channel ? GRANT_MESSAGE.exec(message) : null;
      if (!parts) return;
      const [, permitId, token, expiresAt, poolId] = parts;
      onGrant(poolId!, {
        permitId: permitId!,
        fencingToken: Number(token),
        expiresAtMs: Number(expiresAt),
      });
    };
    this.subscriber.on('message', onMessage);
    this.subscriber.on('ready', onGap);
    const stop = async () => {
      this.subscriber.off('message', onMessage);
      this.subscriber.off('ready', onGap);
      // A connection that is gone has no subscription left to end.
      await this.scripts.withinBudget(this.subscriber.unsubscribe(channel)).catch(() => undefined);
    };
    try {
      await this.scripts.withinBudget(this.subscriber.subscribe(channel));
    } catch (error) {
      void stop();
      throw error;
    }
    return stop;
  }

  private get channelPrefix(): string {
    return `${this.prefix}:grants:`;
  }

  private parametersOf(pool: PermitPool) {
    return {
      permits: pool.permits,
      leaseMs: pool.leaseMs,
      poolId: pool.id,
      channelPrefix: this.channelPrefix,
    };
  }

  private keysOf(pool: PermitPool): [string, string, string, string] {
    const base = `${this.prefix}:${pool.id}`;
    return [`${base}:holders`, `${base}:queue`, `${base}:owners`, `${base}:meta`];
  }
}
