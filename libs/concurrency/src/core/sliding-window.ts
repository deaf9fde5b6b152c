interface Slice {
  /** Time divided by the slice's width, rounded down. */
  readonly index: number;
  count: number;
}

/** Slices per window. */
const SLICES = 60;

/**
 * Units consumed, counted in slices of a sixtieth of the window: O(1) memory. A slice counts in full until the
 * last instant it covers has left the window, so an estimate never falls below the truth and no window admits
 * more than the limit — unlike the usual two-window interpolation, which assumes an even spread. The price is
 * that a unit comes back up to one slice late. `lua/includes/sliding-window.lua` is the same arithmetic.
 */
export class SlidingWindow {
  /** Units that count. */
  total = 0;
  private atMs = 0;
  private readonly widthMs: number;
  /** Those that count, oldest first. */
  private readonly slices: Slice[] = [];

  constructor(private readonly windowMs: number) {
    this.widthMs = Math.ceil(windowMs / SLICES);
  }

  /** Lets time pass. Time that goes back behind the newest slice stands still at its start. */
  advance(nowMs: number): void {
    const newest = this.slices.at(-1);
    this.atMs = newest ? Math.max(nowMs, newest.index * this.widthMs) : nowMs;
    let oldest = this.slices[0];
    while (oldest && this.endMs(oldest) <= this.atMs) {
      this.total -= oldest.count;
      this.slices.shift();
      oldest = this.slices[0];
    }
  }

  /** Milliseconds until there is room for `cost` under `limit`; 0 when there is. */
  waitMs(limit: number, cost: number): number {
    let rest = this.total;
    let waitMs = 0;
    for (const slice of this.slices) {
      if (rest + cost <= limit) break;
      rest -= slice.count;
      waitMs = this.endMs(slice) - this.atMs;
    }
    return waitMs;
  }

  /** Milliseconds until nothing counts. */
  get resetMs(): number {
    const newest = this.slices.at(-1);
    return newest ? this.endMs(newest) - this.atMs : 0;
  }

  /** Consumes units now. */
  add(units: number): void {
    if (units <= 0) return;
    const index = Math.floor(this.atMs / this.widthMs);
    const newest = this.slices.at(-1);
    if (newest?.index === index) newest.count += units;
    else this.slices.push({ index, count: units });
    this.total += units;
  }

  /** When how many units come back. */
  returns(): { inMs: number; units: number }[] {
    return this.slices.map((slice) => ({ inMs: this.endMs(slice) - this.atMs, units: slice.count }));
  }

  private endMs(slice: Slice): number {
    return (slice.index + 1) * this.widthMs + this.windowMs;
  }
}
