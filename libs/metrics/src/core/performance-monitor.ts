import { type PerformanceReport, type PerformanceThresholds, scorePerformance } from './performance-score.js';
import type { RequestTracker } from './request-tracker.js';

/** Says how well this process does at the moment. */
export class PerformanceMonitor {
  /** @param readResources newest CPU and memory use in `[0, 1]`, `null` where not measured. */
  constructor(
    private readonly requests: Pick<RequestTracker, 'figures'>,
    private readonly readResources: () => { readonly cpu: number | null; readonly memory: number | null },
    private readonly thresholds: PerformanceThresholds,
  ) {}

  report(): PerformanceReport {
    const { cpu, memory } = this.readResources();
    return scorePerformance({ ...this.requests.figures(), cpu, memory }, this.thresholds);
  }
}
