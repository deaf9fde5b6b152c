/** What the first tier is bounded by. */
export type Measure = 'entries' | 'bytes';

export interface MemoryBounds {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/** An amount of entries. */
export interface MemoryAmount {
  readonly entries: number;
  readonly bytes: number;
}

/** The bound an amount exceeds, if it does. */
export function exceeded({ entries, bytes }: MemoryAmount, bounds: MemoryBounds): Measure | undefined {
  if (bytes > bounds.maxBytes) return 'bytes';
  return entries > bounds.maxEntries ? 'entries' : undefined;
}

/** The bound an amount is closest to. */
export function scarcest({ entries, bytes }: MemoryAmount, bounds: MemoryBounds): Measure {
  return bytes / bounds.maxBytes > entries / bounds.maxEntries ? 'bytes' : 'entries';
}
