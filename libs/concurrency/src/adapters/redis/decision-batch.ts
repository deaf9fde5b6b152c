import { counterIdentity } from '../../core/counter-identity.js';
import { countsTheSame, ruleCapacity } from '../../core/rate-limit-rule.js';
import type { ConsumeLimitsParameters } from '../../lua/rate-limit.scripts.js';
import type {
  DimensionReading,
  RateLimitDimension,
  RateLimitReading,
  RateLimitRule,
  RateLimitStoreRequest,
} from '../../ports/rate-limit-store.port.js';

/** So many requests, and dimensions over all of them, are decided by one call: it holds Redis up for long. */
const MAX_REQUESTS = 32;
const MAX_DIMENSIONS = 256;

const MODES = { consume: 0, peek: 1, penalise: 2 } as const;

interface Waiter {
  readonly dimensions: number;
  resolve(reading: RateLimitReading): void;
  reject(error: unknown): void;
}

/** A dimension of the request before, at the same place: most requests of a tenant share some of them. */
interface Known {
  readonly limiter: string;
  readonly dimension: RateLimitDimension;
  readonly key: number;
}

type PackedRule = ConsumeLimitsParameters['rules'][number];

/** Requests of one tenant that go to the store together and are decided one after the other. */
export class DecisionBatch {
  private readonly keyNumbers = new Map<string, number>();
  private readonly rules: PackedRule[] = [];
  private readonly requests: number[] = [];
  private readonly waiters: Waiter[] = [];
  private readonly known: Known[] = [];
  private dimensions = 0;

  constructor(private readonly scope: string) {}

  /** No more than this fits. */
  get full(): boolean {
    return this.waiters.length >= MAX_REQUESTS || this.dimensions >= MAX_DIMENSIONS;
  }

  get keys(): string[] {
    return [...this.keyNumbers.keys()];
  }

  get parameters(): ConsumeLimitsParameters {
    const { rules, requests, waiters, dimensions } = this;
    return { rules, requests, replySize: 1 + waiters.length + 3 * dimensions };
  }

  /** Adds a request and gives its reading. */
  add(mode: keyof typeof MODES, request: RateLimitStoreRequest): Promise<RateLimitReading> {
    const { cost, limiter, dimensions } = request;
    this.requests.push(MODES[mode], cost, dimensions.length);
    for (let i = 0; i < dimensions.length; i++) {
      const dimension = dimensions[i]!;
      this.requests.push(this.numberOfKey(limiter, dimension, i), this.numberOfRule(dimension.rule));
    }
    this.dimensions += dimensions.length;
    return new Promise((resolve, reject) => {
      this.waiters.push({ dimensions: dimensions.length, resolve, reject });
    });
  }

  /** Hands each request its part of the script's reply. */
  resolve(reply: readonly number[]): void {
    const decidedAtMs = reply[0]!;
    let at = 1;
    for (const waiter of this.waiters) {
      const admitted = reply[at++] === 1;
      const dimensions: DimensionReading[] = [];
      for (let left = waiter.dimensions; left > 0; left--) {
        dimensions.push({ remaining: reply[at]!, retryAfterMs: reply[at + 1]!, resetMs: reply[at + 2]! });
        at += 3;
      }
      waiter.resolve({ admitted, decidedAtMs, dimensions });
    }
  }

  reject(error: unknown): void {
    for (const waiter of this.waiters) waiter.reject(error);
  }

  private numberOfKey(limiter: string, dimension: RateLimitDimension, place: number): number {
    const before = this.known[place];
    if (before && before.limiter === limiter && countsTheSame(before.dimension, dimension)) return before.key;
    const name = `${this.scope}:${counterIdentity(limiter, dimension)}`;
    let key = this.keyNumbers.get(name);
    if (key === undefined) {
      key = this.keyNumbers.size + 1;
      this.keyNumbers.set(name, key);
    }
    this.known[place] = { limiter, dimension, key };
    return key;
  }

  private numberOfRule(rule: RateLimitRule): number {
    const kind = rule.algorithm === 'token-bucket' ? 1 : 0;
    const capacity = ruleCapacity(rule);
    for (let i = 0; i < this.rules.length; i++) {
      const [knownKind, limit, windowMs, burst] = this.rules[i]!;
      if (knownKind === kind && limit === rule.limit && windowMs === rule.windowMs && burst === capacity) {
        return i + 1;
      }
    }
    return this.rules.push([kind, rule.limit, rule.windowMs, capacity]);
  }
}
