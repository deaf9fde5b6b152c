import { type Clock, channels, parseTenantId, TenantContext, type TenantId } from '@sparkle/contracts';
import { LoadSheddedError } from '../errors.js';
import { type AdaptiveLimit, assertSetting, type LimitOutcome } from './adaptive-limit.js';
import { EqualShares, type LimitPartitions } from './limit-partitions.js';
import { PRIORITIES, type Priority } from './priority.js';
import { isLimitName } from './rate-limit-rule.js';

export interface AdaptiveLimiterSettings {
  /** Names it in errors and events: 1–64 characters of `a-z A-Z 0-9 _ . / -`. */
  readonly name: string;
  /** What is kept for whom. Default {@link EqualShares}: as much for each tenant that is active. */
  readonly partitions?: LimitPartitions;
  /**
   * Up to which part of the limit, and of a partition's guarantee, requests of a priority are admitted; above 0, at
   * most 1, more for the more urgent. Default `{ high: 1, medium: 0.9, low: 0.75 }`.
   */
  readonly admitBelow?: Readonly<Record<Priority, number>>;
  /** How {@link AdaptiveLimiter.run} counts an error. Default {@link outcomeOf}. */
  readonly outcomeOf?: (error: unknown) => LimitOutcome;
}

export interface AdmissionRequest {
  /** Default: the tenant of the {@link TenantContext}. */
  readonly tenantId?: TenantId;
  /** Whose share it counts against. Default: the tenant. */
  readonly partition?: string;
  /** Default `medium`. */
  readonly priority?: Priority;
}

/** An admitted request. The first outcome counts, later ones do nothing. */
export interface Admission {
  readonly tenantId: TenantId;
  /** It went well: its duration says something about the load. */
  success(): void;
  /** It says nothing about the load, e.g. because it failed at once. */
  ignored(): void;
  /** It timed out, or was refused further on: the limit may be too high. */
  dropped(): void;
}

const ADMIT_BELOW: Readonly<Record<Priority, number>> = { high: 1, medium: 0.9, low: 0.75 };
/** In flight beyond the limit, for partitions that take up their guarantee while others still borrow it. */
const MOST_OVER_LIMIT = 2;
const MEAN_WEIGHT = 0.1;
const RETRY_UNKNOWN_MS = 1000;
const [RETRY_LEAST_MS, RETRY_MOST_MS] = [10, 10_000];

/** Time-outs and load shed further on are `dropped`, every other error is `ignored`. */
export function outcomeOf(error: unknown): LimitOutcome {
  if (!(error instanceof Error)) return 'ignored';
  if (error.name === 'TimeoutError') return 'dropped';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return code === 'LOAD_SHEDDED' || code.endsWith('_TIMEOUT') ? 'dropped' : 'ignored';
}

/**
 * Admits as many requests of this process as its limit allows and refuses the rest at once, without a queue.
 *
 * A request is admitted when fewer than `admitBelow × limit` are in flight, or when its partition has fewer than
 * `admitBelow × guarantee` in flight. So a partition uses what others leave idle; while all is in use, it gets no
 * more than its guarantee; and the guarantee is there at once, also when others have borrowed it: then more than
 * `limit` are in flight until theirs are done, but never more than twice as many.
 */
export class AdaptiveLimiter {
  readonly name: string;
  private readonly partitions: LimitPartitions;
  private readonly admitBelow: Readonly<Record<Priority, number>>;
  private readonly outcomeOf: (error: unknown) => LimitOutcome;
  /** Partitions with requests in flight, and how many. */
  private readonly active = new Map<string, number>();
  private total = 0;
  private meanRttMs: number | undefined;

  /** @throws AdaptiveLimitSettingsInvalidError when a setting is out of range. */
  constructor(
    private readonly adaptive: AdaptiveLimit,
    private readonly clock: Clock,
    settings: AdaptiveLimiterSettings,
  ) {
    const { name, partitions = new EqualShares(), admitBelow = ADMIT_BELOW } = settings;
    assertSetting(
      'name',
      name,
      isLimitName(name),
      '1 to 64 characters of a-z, A-Z, 0-9, "_", ".", "/" and "-"',
    );
    const parts = PRIORITIES.map((priority) => admitBelow[priority]);
    const ordered = parts.every((part, at) => part > 0 && part <= (parts[at - 1] ?? 1));
    assertSetting('admitBelow', admitBelow, ordered, 'above 0, at most 1, and more for the more urgent');
    this.name = name;
    this.partitions = partitions;
    this.admitBelow = admitBelow;
    this.outcomeOf = settings.outcomeOf ?? outcomeOf;
  }

  /** How many requests may be in flight now. */
  get limit(): number {
    return this.adaptive.limit;
  }

  get inFlight(): number {
    return this.total;
  }

  /**
   * Admits a request; its outcome must be reported.
   * @throws LoadSheddedError when it is not admitted.
   * @throws TenantMissingError without a tenant.
   */
  acquire(request: AdmissionRequest = {}): Admission {
    const admission = this.tryAcquire(request);
    if (admission) return admission;
    throw new LoadSheddedError({
      limiter: this.name,
      priority: request.priority ?? 'medium',
      limit: this.limit,
      retryAfterMs: this.retryAfterMs(),
    });
  }

  /** As {@link acquire}; `undefined` instead of the error. */
  tryAcquire({
    tenantId = TenantContext.require().tenantId,
    partition: name = tenantId,
    priority = 'medium',
  }: AdmissionRequest = {}): Admission | undefined {
    const tenant = parseTenantId(tenantId);
    const partition = this.partitions.partitionOf(name);
    if (!this.admits(partition, priority)) {
      this.publish(tenant, 'limited');
      return undefined;
    }
    this.active.set(partition, (this.active.get(partition) ?? 0) + 1);
    this.total += 1;
    this.publish(tenant, 'admitted');
    return this.admit(tenant, partition);
  }

  /**
   * Runs `work` if it is admitted, and reports its outcome.
   * @throws LoadSheddedError when it is not; `work` was not called.
   */
  async run<T>(work: () => T | PromiseLike<T>, request: AdmissionRequest = {}): Promise<T> {
    const admission = this.acquire(request);
    try {
      const result = await work();
      admission.success();
      return result;
    } catch (error) {
      admission[this.outcomeOf(error)]();
      throw error;
    }
  }

  private admits(partition: string, priority: Priority): boolean {
    const limit = this.adaptive.limit;
    const part = this.admitBelow[priority];
    if (this.total < part * limit) return true;
    if (this.total >= MOST_OVER_LIMIT * limit) return false;
    const own = this.active.get(partition) ?? 0;
    const active = this.active.size + (own === 0 ? 1 : 0);
    return own < part * this.partitions.guaranteeOf(partition, limit, active);
  }

  private admit(tenantId: TenantId, partition: string): Admission {
    const startedAtMs = this.clock.monotonic();
    const inFlight = this.total;
    let open = true;
    const finish = (outcome: LimitOutcome) => {
      if (!open) return;
      open = false;
      this.release(partition);
      this.publish(tenantId, 'released');
      if (outcome === 'ignored') return;
      const rttMs = this.clock.monotonic() - startedAtMs;
      this.meanRttMs = this.meanRttMs === undefined ? rttMs : mix(this.meanRttMs, rttMs);
      this.adaptive.observe({ rttMs, inFlight, dropped: outcome === 'dropped' });
    };
    return {
      tenantId,
      success: () => finish('success'),
      ignored: () => finish('ignored'),
      dropped: () => finish('dropped'),
    };
  }

  private release(partition: string): void {
    this.total -= 1;
    const own = this.active.get(partition)! - 1;
    if (own > 0) this.active.set(partition, own);
    else this.active.delete(partition);
  }

  private retryAfterMs(): number {
    const mean = this.meanRttMs ?? RETRY_UNKNOWN_MS;
    return Math.ceil(Math.min(RETRY_MOST_MS, Math.max(RETRY_LEAST_MS, mean)));
  }

  private publish(tenantId: TenantId, outcome: 'admitted' | 'limited' | 'released'): void {
    channels.limit.publish({ tenantId, limiter: this.name, kind: 'permit', outcome });
  }
}

function mix(mean: number, value: number): number {
  return mean + (value - mean) * MEAN_WEIGHT;
}
