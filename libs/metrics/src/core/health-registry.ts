import { type Clock, isSparkleError } from '@sparkle/contracts';
import { HealthIndicatorDuplicateError, HealthIndicatorNameInvalidError } from '../errors.js';
import type { HealthIndicator } from '../ports/health-indicator.port.js';

const NAME = /^[a-z0-9_-]{1,63}$/;

/** Result of one check. */
export interface DependencyHealth {
  readonly name: string;
  readonly status: 'up' | 'down' | 'timeout';
  readonly durationMs: number;
  /** Code of the failure, where the check threw a Sparkle error. Messages may hold secrets and are not shown. */
  readonly code?: string;
}

export interface ReadinessReport {
  readonly status: 'ready' | 'not_ready' | 'draining';
  readonly dependencies: readonly DependencyHealth[];
}

/** Holds the dependency checks behind `/health/ready`. */
export class HealthRegistry {
  private readonly indicators = new Map<string, HealthIndicator>();
  private inFlight: Promise<ReadinessReport> | undefined;
  private draining = false;

  constructor(
    private readonly clock: Clock,
    private readonly timeoutMs: number,
  ) {}

  /**
   * Adds a check and returns a function that removes it.
   * @throws HealthIndicatorNameInvalidError, HealthIndicatorDuplicateError
   */
  register(indicator: HealthIndicator): () => void {
    const { name } = indicator;
    if (!NAME.test(name)) throw new HealthIndicatorNameInvalidError();
    if (this.indicators.has(name)) throw new HealthIndicatorDuplicateError(name);
    this.indicators.set(name, indicator);
    return () => {
      if (this.indicators.get(name) === indicator) this.indicators.delete(name);
    };
  }

  /** From now on reports `draining`, so that no new traffic is sent here. */
  drain(): void {
    this.draining = true;
  }

  /** Runs all checks side by side. Callers that come while checks run share their result. */
  async check(): Promise<ReadinessReport> {
    if (this.draining) return { status: 'draining', dependencies: [] };
    this.inFlight ??= this.checkAll().finally(() => {
      this.inFlight = undefined;
    });
    return this.inFlight;
  }

  private async checkAll(): Promise<ReadinessReport> {
    const dependencies = await Promise.all(
      [...this.indicators.values()].map((indicator) => this.checkOne(indicator)),
    );
    const ready = dependencies.every(({ status }) => status === 'up');
    return { status: ready ? 'ready' : 'not_ready', dependencies };
  }

  private async checkOne(indicator: HealthIndicator): Promise<DependencyHealth> {
    const startedAt = this.clock.monotonic();
    const timeout = new AbortController();
    const outcome = await new Promise<Pick<DependencyHealth, 'status' | 'code'>>((resolve) => {
      const timer = this.clock.schedule(this.timeoutMs, () => {
        timeout.abort();
        resolve({ status: 'timeout' });
      });
      Promise.resolve()
        .then(() => indicator.check(timeout.signal))
        .then(
          () => resolve({ status: 'up' }),
          (error: unknown) =>
            resolve({ status: 'down', ...(isSparkleError(error) ? { code: error.code } : {}) }),
        )
        .finally(() => timer.cancel());
    });
    return {
      name: indicator.name,
      ...outcome,
      durationMs: Math.round(this.clock.monotonic() - startedAt),
    };
  }
}
