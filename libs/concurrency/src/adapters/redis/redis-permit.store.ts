import { randomBytes } from 'node:crypto';
import { changePermits, type PermitOperation } from '../../lua/permit.scripts.js';
import type {
  AcquireReply,
  Grant,
  PermitPool,
  PermitRequest,
  PermitStore,
  SweepReply,
} from '../../ports/permit-store.port.js';
import { type OperationResult, PermitBatch } from './permit-batch.js';
import type { RedisClient, RedisScripts } from './redis-scripts.js';

const GRANT_MESSAGE = /^([^|]+)\|(\d+)\|(\d+)\|(.+)$/s;

const succeeded = ({ outcome }: OperationResult) => outcome === 1;
const asItIs = (result: OperationResult) => result;

export interface RedisPermitStoreSettings {
  /** Identity of this process. Default: random. */
  readonly ownerId?: string;
  /**
   * Whether a restart of Redis loses nothing it has answered (`appendonly yes`, `appendfsync always`). Without
   * that, nobody new is admitted for one lease after Redis has started. Default `false`.
   */
  readonly durable?: boolean;
}

/**
 * Permits in Redis or Valkey, alone or as a cluster. Four keys per pool under one hash tag; grants to waiters
 * are published on one channel per process. Operations on one pool that are asked for in one turn of the event
 * loop go as one EVALSHA and run in their order.
 */
export class RedisPermitStore implements PermitStore {
  readonly ownerId: string;
  private readonly durable: boolean;
  private readonly countsListeners: boolean;
  private batches = new Map<string, PermitBatch>();
  /** The greatest fencing token seen: a server that has lost it is told. */
  private lastToken = 0;

  /**
   * @param subscriber a second connection to the same server; this store subscribes on it and never runs
   *   commands there.
   */
  constructor(
    private readonly scripts: RedisScripts,
    private readonly subscriber: RedisClient,
    private readonly prefix: string,
    { ownerId = randomBytes(12).toString('base64url'), durable = false }: RedisPermitStoreSettings = {},
  ) {
    this.ownerId = ownerId;
    this.durable = durable;
    this.countsListeners = !subscriber.isCluster && !scripts.isCluster;
  }

  acquire({ pool, tenantId, permitId, wait, maxWaiting }: PermitRequest): Promise<AcquireReply> {
    const bound = wait ? maxWaiting : 0;
    return this.enqueue(pool, ['acquire', permitId, tenantId, bound], (result): AcquireReply => {
      const { outcome, nowMs, nextExpiryMs } = result;
      if (outcome === 1) return { outcome: 'granted', nowMs, grant: this.grantOf(permitId, result) };
      if (outcome === 0) return { outcome: 'queued', nowMs, nextExpiryMs };
      return { outcome: outcome === 2 ? 'busy' : 'full', nowMs };
    });
  }

  renew(pool: PermitPool, { permitId, fencingToken }: Grant): Promise<boolean> {
    return this.enqueue(pool, ['renew', permitId, fencingToken, 0], succeeded);
  }

  release(pool: PermitPool, permitId: string): Promise<boolean> {
    return this.enqueue(pool, ['release', permitId, 0, 0], succeeded);
  }

  async sweep(pool: PermitPool, waitingIds: readonly string[]): Promise<SweepReply> {
    const results = await Promise.all(
      waitingIds.map((id) => this.enqueue(pool, ['sweep', id, 0, 0], asItIs)),
    );
    const grants: Grant[] = [];
    const missing: string[] = [];
    for (const [index, result] of results.entries()) {
      const permitId = waitingIds[index]!;
      if (result.outcome === 1) grants.push(this.grantOf(permitId, result));
      else if (result.outcome === 2) missing.push(permitId);
    }
    const { nowMs, nextExpiryMs } = results[0]!;
    return { nowMs, nextExpiryMs, grants, missing };
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
      const lease = { fencingToken: Number(token), expiresAtMs: Number(expiresAt) };
      onGrant(poolId!, this.grantOf(permitId!, lease));
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

  private grantOf(permitId: string, lease: Pick<Grant, 'fencingToken' | 'expiresAtMs'>): Grant {
    const { fencingToken, expiresAtMs } = lease;
    if (fencingToken > this.lastToken) this.lastToken = fencingToken;
    return { permitId, fencingToken, expiresAtMs };
  }

  private enqueue<T>(
    pool: PermitPool,
    operation: PermitOperation,
    read: (result: OperationResult) => T,
  ): Promise<T> {
    let batch = this.batches.get(pool.id);
    if (batch && !batch.takes(pool)) {
      this.batches.delete(pool.id);
      this.send(batch);
      batch = undefined;
    }
    if (!batch) {
      batch = new PermitBatch(pool);
      if (this.batches.size === 0) setImmediate(this.sendAll);
      this.batches.set(pool.id, batch);
    }
    const into = batch;
    return new Promise((resolve, reject) => {
      into.add(operation, { resolve: (result) => resolve(read(result)), reject });
    });
  }

  private readonly sendAll = () => {
    const { batches } = this;
    // A map that is cleared again and again refers to what it had: that would outlive the young generation.
    this.batches = new Map();
    for (const batch of batches.values()) this.send(batch);
  };

  private send(batch: PermitBatch): void {
    const { pool, operations } = batch;
    const base = `${this.prefix}:${pool.id}`;
    const keys = [`${base}:holders`, `${base}:queue`, `${base}:owners`, `${base}:meta`];
    const parameters = {
      permits: pool.permits,
      leaseMs: pool.leaseMs,
      poolId: pool.id,
      channelPrefix: this.channelPrefix,
      ownerId: this.ownerId,
      lastToken: this.lastToken,
      durable: this.durable,
      countsListeners: this.countsListeners,
      operations,
    };
    this.scripts.run(changePermits, keys, parameters).then(
      (reply) => batch.resolve(reply),
      (error: unknown) => batch.reject(error),
    );
  }
}
