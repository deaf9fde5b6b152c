import type { InstanceFigures } from '../ports/fleet-figures.port.js';
import { type PerformanceReport, type PerformanceThresholds, scorePerformance } from './performance-score.js';
import type { RequestTracker } from './request-tracker.js';

/** Says how well this process does at the moment. */
export class PerformanceMonitor {
  /** @param readResources newest CPU and memory use in `[0, 1]`, `null` where not measured. */
  constructor(
    private readonly requests: Pick<RequestTracker, 'figures' | 'failures' | 'encodedLatency'>,
    private readonly readResources: () => { readonly cpu: number | null; readonly memory: number | null },
    private readonly thresholds: PerformanceThresholds,
  ) {}

  report(): PerformanceReport {
    const { cpu, memory } = this.readResources();
    return scorePerformance({ ...this.requests.figures(), cpu, memory }, this.thresholds);
  }

  /** What this process tells the others of a fleet. */
  published(): Omit<InstanceFigures, 'service' | 'instance'> {
    const { score, figures } = this.report();
    const { requests, qps10s, qps60s, active, maxActive, cpu, memory } = figures;
    return {
      ...{ requests, qps10s, qps60s, active, maxActive, cpu, memory, score },
      failed: this.requests.failures(),
      latency: this.requests.encodedLatency(),
    };
  }
}
