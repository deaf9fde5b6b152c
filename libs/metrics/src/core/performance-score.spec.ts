import { describe, expect, it } from 'vitest';
import { type PerformanceFigures, scorePerformance } from './performance-score.js';

const thresholds = { p95Ms: 2000, errorRate: 0.01, cpu: 0.7, memory: 0.8, healthyFrom: 70 };
const fine: PerformanceFigures = {
  requests: 100,
  p50Ms: 10,
  p95Ms: 2000,
  p99Ms: 5000,
  errorRate: 0.01,
  errorRateByType: {},
  qps10s: 1,
  qps60s: 1,
  active: 0,
  maxActive: 1,
  cpu: 0.7,
  memory: 0.8,
};

describe('the performance score', () => {
  it('is 100 while no figure is above its limit, a figure at the limit included', () => {
    expect(scorePerformance(fine, thresholds)).toEqual({
      status: 'healthy',
      score: 100,
      deductions: [],
      figures: fine,
    });
  });

  it.each([
    [{ p95Ms: 2001 }, 70, 'healthy'],
    [{ errorRate: 0.0101 }, 80, 'healthy'],
    [{ cpu: 0.71 }, 90, 'healthy'],
    [{ memory: 0.81 }, 90, 'healthy'],
    [{ cpu: 0.71, memory: 0.81 }, 80, 'healthy'],
    [{ p95Ms: 2001, cpu: 0.71 }, 60, 'unhealthy'],
    [{ p95Ms: 2001, errorRate: 1, cpu: 1, memory: 1 }, 30, 'unhealthy'],
  ] as const)('with %j is %i, %s', (change, score, status) => {
    expect(scorePerformance({ ...fine, ...change }, thresholds)).toMatchObject({ score, status });
  });

  it('takes nothing off for what has not been measured', () => {
    expect(scorePerformance({ ...fine, cpu: null, memory: null }, thresholds).score).toBe(100);
  });
});
