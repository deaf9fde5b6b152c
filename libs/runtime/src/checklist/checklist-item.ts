/** The items of the production checklist, in the order in which they are shown. */
export const CHECKLIST_ITEMS = [
  'index-coverage',
  'p95',
  'hit-rate',
  'error-rate',
  'cpu',
  'memory',
  'target-qps',
  'lock-lease',
  'pool',
  'alerts',
  'degradation',
  'load-test',
] as const;

export type ChecklistItemName = (typeof CHECKLIST_ITEMS)[number];

/** One line of the production checklist. */
export interface ChecklistItem {
  readonly item: ChecklistItemName;
  /** What has to be so, e.g. `< 2000 ms`. */
  readonly target: string;
  /** The figure; `null` when it was not measured. */
  readonly measured: string | null;
  readonly status: 'pass' | 'fail' | 'not-measured';
  /** How it was measured, or why it was not. */
  readonly how: string;
}

/** What each item has to reach. */
export const TARGETS = {
  indexCoverage: 0.8,
  p95Ms: 2000,
  hitRate: 0.8,
  errorRate: 0.01,
  cpu: 0.7,
  memory: 0.8,
} as const;

/** An item that was measured. */
export function judged(
  item: ChecklistItemName,
  target: string,
  passes: boolean,
  measured: string,
  how: string,
): ChecklistItem {
  return { item, target, measured, status: passes ? 'pass' : 'fail', how };
}

/** An item that was not measured, and why. */
export function notMeasured(item: ChecklistItemName, target: string, why: string): ChecklistItem {
  return { item, target, measured: null, status: 'not-measured', how: why };
}

/** `0.8531` as `85.3 %`. */
export function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}
