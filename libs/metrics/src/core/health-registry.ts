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

type Outcome = Pick<DependencyHealth, 'status' | 'code'>;

/** One call of an indicator, which may outlast its time. */
interface Call {
  readonly startedAt: number;
  readonly timeout: AbortController;
  readonly outcome: Promise<Outcome>;
}

/** A check that never settles is called again after this many times its time-out. */
const ROUNDS_PER_CALL = 5;

/** Holds the dependency checks behind `/health/ready`. */
export class HealthRegistry {
  private readonly indicators = new Map<string, HealthIndicator>();
  private inFlight: Promise<ReadinessReport> | undefined;
  private draining = false;
  private readonly calls = new Map<HealthIndicator, Call>();
  private newest: readonly DependencyHealth[] = [];

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
      this.calls.delete(indicator);
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

  /**
   * What the newest finished check found, without waiting for any; starts the next one. Empty before the first
   * has finished and during shutdown.
   */
  observed(): readonly DependencyHealth[] {
    if (this.draining) return [];
    void this.check();
    return this.newest;
  }

  private async checkAll(): Promise<ReadinessReport> {
    const dependencies = await Promise.all(
      [...this.indicators.values()].map((indicator) => this.checkOne(indicator)),
    );
    this.newest = dependencies;
    const ready = dependencies.every(({ status }) => status === 'up');
    return { status: ready ? 'ready' : 'not_ready', dependencies };
  }

  private async checkOne(indicator: HealthIndicator): Promise<DependencyHealth> {
    const startedAt = this.clock.monotonic();
    const call = this.callOf(indicator);
    const outcome = await new Promise<Outcome>((resolve) => {
      const timer = this.clock.schedule(this.timeoutMs, () => {
        call.timeout.abort();
        resolve({ status: 'timeout' });
      });
      void call.outcome.then((settled) => {
        timer.cancel();
        resolve(settled);
      });
    });
    return {
      name: indicator.name,
      ...outcome,
      durationMs: Math.round(this.clock.monotonic() - startedAt),
    };
  }

  /** A check that hangs is waited for again, not called again: calls would pile up on what is slow already. */
  private callOf(indicator: HealthIndicator): Call {
    const startedAt = this.clock.monotonic();
    const running = this.calls.get(indicator);
    if (running && startedAt - running.startedAt < ROUNDS_PER_CALL * this.timeoutMs) return running;
    const timeout = new AbortController();
    const outcome = Promise.resolve()
      .then(() => indicator.check(timeout.signal))
      .then(
        (): Outcome => ({ status: 'up' }),
        (error: unknown): Outcome => ({
          status: 'down',
          ...(isSparkleError(error) ? { code: error.code } : {}),
        }),
      )
      .finally(() => {
        if (this.calls.get(indicator) === call) this.calls.delete(indicator);
      });
    const call: Call = { startedAt, timeout, outcome };
    this.calls.set(indicator, call);
    return call;
  }
}
