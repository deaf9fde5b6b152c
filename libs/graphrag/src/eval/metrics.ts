import type { Random } from '@sparkle/contracts';

/** The share of `gold` among the first `k` of `ranked`, in `[0, 1]`; 0 without gold. */
export function recallAt(ranked: readonly string[], gold: readonly string[], k: number): number {
  const wanted = new Set(gold);
  if (wanted.size === 0) return 0;
  const found = new Set(ranked.slice(0, k).filter((id) => wanted.has(id)));
  return found.size / wanted.size;
}

/** Arithmetic mean; 0 of nothing. */
export function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The nearest-rank percentile, `share` in `[0, 1]`; 0 of nothing. */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) return 0;
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]!;
}

export interface ConfidenceInterval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/**
 * The 95 % interval of the mean difference of paired values, by percentile bootstrap (Efron & Tibshirani 1993).
 * `left` and `right` hold one value per question, in the same order.
 */
export function bootstrapDifference(
  left: readonly number[],
  right: readonly number[],
  random: Random,
  resamples = 2000,
): ConfidenceInterval {
  if (left.length !== right.length) throw new RangeError('paired values need equal lengths');
  const differences = left.map((value, index) => value - right[index]!);
  if (differences.length === 0) return { mean: 0, low: 0, high: 0 };
  const means: number[] = [];
  for (let sample = 0; sample < resamples; sample += 1) {
    let sum = 0;
    for (let draw = 0; draw < differences.length; draw += 1) {
      sum += differences[Math.floor(random.next() * differences.length)]!;
    }
    means.push(sum / differences.length);
  }
  return { mean: mean(differences), low: percentile(means, 0.025), high: percentile(means, 0.975) };
}
