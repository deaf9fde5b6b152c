import type { RequestFigures } from './request-tracker.js';

/** Limits of the performance score; a figure *above* its limit costs points. */
export interface PerformanceThresholds {
  readonly p95Ms: number;
  readonly errorRate: number;
  readonly cpu: number;
  readonly memory: number;
  /** Scores from here on are `healthy`. */
  readonly healthyFrom: number;
}

/** What the score is computed from. Ratios are in `[0, 1]`; `null` means not measured, which costs nothing. */
export interface PerformanceFigures extends RequestFigures {
  readonly cpu: number | null;
  readonly memory: number | null;
}

/** Points lost, and why. */
export interface Deduction {
  readonly figure: 'p95Ms' | 'errorRate' | 'cpu' | 'memory';
  readonly points: number;
  readonly value: number;
  readonly limit: number;
}

/** The figures that can cost points. */
export type ScoredFigures = Pick<PerformanceFigures, 'p95Ms' | 'errorRate' | 'cpu' | 'memory'>;

export interface PerformanceReport<Figures extends ScoredFigures = PerformanceFigures> {
  readonly status: 'healthy' | 'unhealthy';
  /** From 100 down to 30. */
  readonly score: number;
  readonly deductions: readonly Deduction[];
  readonly figures: Figures;
}

const POINTS = { p95Ms: 30, errorRate: 20, cpu: 10, memory: 10 } as const;

/** 100 points, less 30 for a slow P95, 20 for errors, 10 for CPU and 10 for memory. */
export function scorePerformance<Figures extends ScoredFigures>(
  figures: Figures,
  thresholds: PerformanceThresholds,
): PerformanceReport<Figures> {
  const deductions: Deduction[] = [];
  for (const figure of ['p95Ms', 'errorRate', 'cpu', 'memory'] as const) {
    const value = figures[figure];
    const limit = thresholds[figure];
    if (value !== null && value > limit) deductions.push({ figure, points: POINTS[figure], value, limit });
  }
  const score = deductions.reduce((left, { points }) => left - points, 100);
  return { status: score >= thresholds.healthyFrom ? 'healthy' : 'unhealthy', score, deductions, figures };
}
