/** Checks one dependency that this process cannot work without. */
export interface HealthIndicator {
  /** Shown in the readiness report: 1–63 characters of `a-z 0-9 _ -`. */
  readonly name: string;
  /**
   * Resolves when the dependency answers, rejects when it does not. `signal` aborts when the time is up; a check
   * that ignores it counts as failed all the same.
   */
  check(signal: AbortSignal): Promise<unknown>;
}
