/**
 * Units consumed, counted in slices of a sixtieth of the window: O(1) memory. A slice counts in full until the
 * last instant it covers has left the window, so an estimate never falls below the truth and no window admits
 * more than the limit — unlike the usual two-window interpolation, which assumes an even spread. The price is
 * that a unit comes back up to one slice late. `lua/includes/limit-rules.lua` is the same arithmetic.
 */
export interface WindowSlice {
  /** Time divided by the slice's width, rounded down. */
  readonly index: number;
  readonly count: number;
}

export interface SlidingWindowRule {
  readonly limit: number;
  readonly windowMs: number;
}

/** Slices per window. */
export const SLICES = 60;

export function sliceWidthMs(windowMs: number): number {
  return Math.ceil(windowMs / SLICES);
}

/** When a slice stops counting. */
export function sliceEndMs(slice: WindowSlice, windowMs: number): number {
  return (slice.index + 1) * sliceWidthMs(windowMs) + windowMs;
}

/** `nowMs`, or the newest slice's start where time has gone back behind it. */
export function windowNow(slices: readonly WindowSlice[], windowMs: number, nowMs: number): number {
  const newest = slices.at(-1);
  return newest ? Math.max(nowMs, newest.index * sliceWidthMs(windowMs)) : nowMs;
}

/** The slices that still count at `nowMs`, oldest first. */
export function liveSlices(slices: readonly WindowSlice[], windowMs: number, nowMs: number): WindowSlice[] {
  return slices.filter((slice) => sliceEndMs(slice, windowMs) > nowMs);
}

export function countSlices(slices: readonly WindowSlice[]): number {
  return slices.reduce((total, slice) => total + slice.count, 0);
}

/** Milliseconds until live slices leave room for `cost`; 0 when they do. */
export function windowWaitMs(
  slices: readonly WindowSlice[],
  rule: SlidingWindowRule,
  cost: number,
  nowMs: number,
): number {
  let total = countSlices(slices);
  let waitMs = 0;
  for (const slice of slices) {
    if (total + cost <= rule.limit) break;
    total -= slice.count;
    waitMs = sliceEndMs(slice, rule.windowMs) - nowMs;
  }
  return waitMs;
}

/** Milliseconds until none of the live slices counts. */
export function windowResetMs(slices: readonly WindowSlice[], windowMs: number, nowMs: number): number {
  const newest = slices.at(-1);
  return newest ? sliceEndMs(newest, windowMs) - nowMs : 0;
}

/** Adds units at `nowMs`. */
export function addToWindow(
  slices: readonly WindowSlice[],
  windowMs: number,
  count: number,
  nowMs: number,
): WindowSlice[] {
  if (count <= 0) return [...slices];
  const index = Math.floor(nowMs / sliceWidthMs(windowMs));
  const newest = slices.at(-1);
  if (newest?.index === index) return [...slices.slice(0, -1), { index, count: newest.count + count }];
  return [...slices, { index, count }];
}
