import { counterIdentity } from '../../core/counter-identity.js';
import { consumeLimits } from '../../lua/rate-limit.scripts.js';
import type {
  RateLimitReading,
  RateLimitStore,
  RateLimitStoreRequest,
} from '../../ports/rate-limit-store.port.js';
import type { RedisScripts } from './redis-scripts.js';

/**
 * Rate limits in Redis or Valkey, alone or as a cluster: one key per dimension, one EVALSHA per decision, on
 * the server's time. Keys are `<prefix>:{<tenant>}:rate:<limiter>:<dimension>:<rule>:<key>`; all keys of a
 * tenant share a slot.
 */
export class RedisRateLimitStore implements RateLimitStore {
  constructor(
    private readonly scripts: RedisScripts,
    private readonly prefix: string,
  ) {}

  consume(request: RateLimitStoreRequest): Promise<RateLimitReading> {
    return this.run('consume', request);
  }

  peek(request: RateLimitStoreRequest): Promise<RateLimitReading> {
    return this.run('peek', request);
  }

  penalise(request: RateLimitStoreRequest): Promise<RateLimitReading> {
    return this.run('penalise', request);
  }

  async reset(request: RateLimitStoreRequest): Promise<void> {
    await this.scripts.delete(this.keysOf(request));
  }

  private run(
    mode: 'consume' | 'peek' | 'penalise',
    request: RateLimitStoreRequest,
  ): Promise<RateLimitReading> {
    const { cost, dimensions } = request;
    return this.scripts.run(consumeLimits, this.keysOf(request), { mode, cost, dimensions });
  }

  private keysOf(request: RateLimitStoreRequest): string[] {
    const scope = `${this.prefix}:{${request.tenantId}}:rate`;
    return request.dimensions.map((dimension) => `${scope}:${counterIdentity(request.limiter, dimension)}`);
  }
}
