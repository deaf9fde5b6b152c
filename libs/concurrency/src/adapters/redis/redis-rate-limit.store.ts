import type { TenantId } from '@sparkle/contracts';
import { counterIdentity } from '../../core/counter-identity.js';
import { consumeLimits } from '../../lua/rate-limit.scripts.js';
import type {
  RateLimitReading,
  RateLimitStore,
  RateLimitStoreRequest,
} from '../../ports/rate-limit-store.port.js';
import { DecisionBatch } from './decision-batch.js';
import type { RedisScripts } from './redis-scripts.js';

/**
 * Rate limits in Redis or Valkey, alone or as a cluster: one key per dimension, on the server's time. Requests
 * of one tenant that arrive in one turn of the event loop are decided by one EVALSHA, in their order, each for
 * itself. Keys are `<prefix>:{<tenant>}:rate:<limiter>:<dimension>:<rule>:<key>`; all keys of a tenant share a
 * slot.
 */
export class RedisRateLimitStore implements RateLimitStore {
  private batches = new Map<TenantId, DecisionBatch>();
  /** Batches that have been sent and not been answered. */
  private underway = 0;
  private readonly sendAll = () => {
    const { batches } = this;
    // A map that is cleared again and again refers to what it had: that would outlive the young generation.
    this.batches = new Map();
    for (const batch of batches.values()) this.send(batch);
  };

  constructor(
    private readonly scripts: RedisScripts,
    private readonly prefix: string,
  ) {}

  consume(request: RateLimitStoreRequest): Promise<RateLimitReading> {
    return this.enqueue('consume', request);
  }

  peek(request: RateLimitStoreRequest): Promise<RateLimitReading> {
    return this.enqueue('peek', request);
  }

  penalise(request: RateLimitStoreRequest): Promise<RateLimitReading> {
    return this.enqueue('penalise', request);
  }

  async reset({ tenantId, limiter, dimensions }: RateLimitStoreRequest): Promise<void> {
    // What was asked before must not be counted after.
    const batch = this.batches.get(tenantId);
    if (batch) {
      this.batches.delete(tenantId);
      this.send(batch);
    }
    const scope = this.scopeOf(tenantId);
    await this.scripts.delete(
      dimensions.map((dimension) => `${scope}:${counterIdentity(limiter, dimension)}`),
    );
  }

  private enqueue(
    mode: 'consume' | 'peek' | 'penalise',
    request: RateLimitStoreRequest,
  ): Promise<RateLimitReading> {
    const { tenantId } = request;
    let batch = this.batches.get(tenantId);
    if (!batch) {
      batch = new DecisionBatch(this.scopeOf(tenantId));
      if (this.batches.size === 0) this.scheduleSending();
      this.batches.set(tenantId, batch);
    }
    const reading = batch.add(mode, request);
    if (batch.full) {
      this.batches.delete(tenantId);
      this.send(batch);
    }
    return reading;
  }

  /** At once while the connection is idle; else when the event loop has read whatever else has arrived. */
  private scheduleSending(): void {
    if (this.underway === 0) process.nextTick(this.sendAll);
    else setImmediate(this.sendAll);
  }

  private send(batch: DecisionBatch): void {
    this.underway += 1;
    this.scripts.run(consumeLimits, batch.keys, batch.parameters).then(
      (reply) => {
        this.underway -= 1;
        batch.resolve(reply);
      },
      (error: unknown) => {
        this.underway -= 1;
        batch.reject(error);
      },
    );
  }

  private scopeOf(tenantId: TenantId): string {
    return `${this.prefix}:{${tenantId}}:rate`;
  }
}
