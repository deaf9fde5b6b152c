/** Value that stands for every label value beyond the bound. */
export const OTHER = 'other';

/**
 * Bounds the distinct values of a label. The first `max` values keep their own series for the life of the
 * process, so that no counter ever moves between series; every later value becomes `other`.
 */
export class BoundedLabel {
  private readonly known: Set<string>;
  private readonly capacity: number;

  /** @param pinned values that have their own series in any case, in addition to the first `max`. */
  constructor(max: number, pinned: readonly string[] = []) {
    this.known = new Set(pinned);
    this.capacity = max + this.known.size;
  }

  fold(value: string): string {
    if (this.known.has(value)) return value;
    if (this.known.size >= this.capacity) return OTHER;
    this.known.add(value);
    return value;
  }
}
