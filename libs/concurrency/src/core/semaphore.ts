import { parseTenantId, TenantContext, type TenantId } from '@sparkle/contracts';
import { SemaphoreSettingsInvalidError } from '../errors.js';
import type { PermitPool } from '../ports/permit-store.port.js';
import { boundedKey } from './counter-identity.js';
import type { Permit } from './permit.js';
import type { PermitIssuer, PermitOrder } from './permit-order.js';
import { isLimitName } from './rate-limit-rule.js';

export interface SemaphoreDefinition {
  /** Same name, same permits, in every process. 1–64 characters of `a-z A-Z 0-9 _ . / -`. */
  readonly name: string;
  /** How many may be held at once; a function for a number that depends on the tenant, e.g. on its plan. */
  readonly permits: number | ((tenantId: TenantId) => number | Promise<number>);
  /**
   * `tenant` (default): every tenant has this many permits of its own. `shared`: all tenants share them and
   * take turns.
   */
  readonly scope?: 'tenant' | 'shared';
  /** Milliseconds, at least 50. Default: the module's, 30,000. */
  readonly leaseMs?: number;
  /** Milliseconds. Default: the module's, 60,000. */
  readonly timeoutMs?: number;
  /** Default: the module's, 10,000. */
  readonly maxWaiting?: number;
}

export type MutexDefinition = Omit<SemaphoreDefinition, 'permits'>;

export interface AcquireOptions {
  /** Default: the tenant of the {@link TenantContext}. */
  readonly tenantId?: TenantId;
  /** A part of the semaphore with permits of its own, e.g. a document's id. */
  readonly key?: string;
  /** Leaves the queue at once and rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Milliseconds. Default: the definition's. */
  readonly timeoutMs?: number;
}

function assertInteger(what: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new SemaphoreSettingsInvalidError(`${what} is a whole number of at least ${least}.`);
}

/** Permits that are counted across processes; each is a lease that renews itself while it is held. */
export class Semaphore {
  readonly name: string;

  constructor(
    private readonly issuer: PermitIssuer,
    private readonly definition: SemaphoreDefinition,
  ) {
    if (!isLimitName(definition.name)) {
      throw new SemaphoreSettingsInvalidError(
        'The name of a semaphore is 1 to 64 characters of a-z, A-Z, 0-9, "_", ".", "/" and "-".',
      );
    }
    this.name = definition.name;
    if (typeof definition.permits === 'number') this.assertPermits(definition.permits);
    assertInteger(`The lease of "${this.name}"`, this.leaseMs, 50);
    assertInteger(`The queue bound of "${this.name}"`, this.maxWaiting, 1);
  }

  /**
   * Waits for a permit: in turn between tenants, first come first served within one.
   * @throws PermitTimeoutError when none became free in time.
   * @throws PermitQueueFullError when too many wait already.
   * @throws PermitStoreError when the store failed.
   * @throws SemaphoreClosedError when the process shuts down.
   * @throws TenantMissingError without a tenant.
   */
  async acquire(options: AcquireOptions = {}): Promise<Permit> {
    const order = this.order(options);
    return this.issuer.queue(order instanceof Promise ? await order : order);
  }

  /**
   * A permit if one is free and nobody waits for it; `undefined` otherwise.
   * @throws PermitStoreError when the store failed.
   */
  async tryAcquire(options: Omit<AcquireOptions, 'timeoutMs'> = {}): Promise<Permit | undefined> {
    return this.issuer.take(await this.order(options));
  }

  /** Runs `work` with a permit and gives it back whatever happens. */
  async withPermit<T>(
    work: (permit: Permit) => T | PromiseLike<T>,
    options: AcquireOptions = {},
  ): Promise<T> {
    const permit = await this.acquire(options);
    try {
      return await work(permit);
    } finally {
      await permit.release();
    }
  }

  private get leaseMs(): number {
    return this.definition.leaseMs ?? this.issuer.settings.leaseMs;
  }

  private get maxWaiting(): number {
    return this.definition.maxWaiting ?? this.issuer.settings.maxWaiting;
  }

  private assertPermits(permits: number): void {
    assertInteger(`The number of permits of "${this.name}"`, permits, 1);
  }

  /** Waits only where the number of permits has to be asked for. */
  private order(options: AcquireOptions): PermitOrder | Promise<PermitOrder> {
    const tenantId = parseTenantId(options.tenantId ?? TenantContext.require().tenantId);
    const timeoutMs = options.timeoutMs ?? this.definition.timeoutMs ?? this.issuer.settings.timeoutMs;
    assertInteger(`The timeout of "${this.name}"`, timeoutMs, 0);
    const complete = (permits: number): PermitOrder => {
      this.assertPermits(permits);
      return {
        pool: { id: this.poolId(tenantId, options.key), permits, leaseMs: this.leaseMs },
        semaphore: this.name,
        tenantId,
        timeoutMs,
        maxWaiting: this.maxWaiting,
        signal: options.signal,
      };
    };
    const { permits } = this.definition;
    const count = typeof permits === 'number' ? permits : permits(tenantId);
    return typeof count === 'number' ? complete(count) : count.then(complete);
  }

  /** The braces are the hash tag. A tenant's name contains no dot, so nobody's is that of a shared pool. */
  private poolId(tenantId: TenantId, key: string | undefined): PermitPool['id'] {
    const owner = this.definition.scope === 'shared' ? `shared.${this.name}` : tenantId;
    return `{${owner}}:permit:${this.name}${key === undefined ? '' : `:${boundedKey(key)}`}`;
  }
}

/** A semaphore of one. */
export class Mutex extends Semaphore {
  constructor(issuer: PermitIssuer, definition: MutexDefinition) {
    super(issuer, { ...definition, permits: 1 });
  }
}
