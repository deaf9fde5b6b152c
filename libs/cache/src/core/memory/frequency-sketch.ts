const ROWS = 4;
const MAX_COUNT = 15;
/** Odd multipliers, one per row. */
const MULTIPLIERS = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f] as const;
/** Recordings per unit of width after which all counts are halved. */
const SAMPLE = 10;

/**
 * How often keys were asked for of late: a count-min sketch of 4-bit counters, halved after every `10 × width`
 * recordings so that old fame fades (Einziger, Friedman, Manes: "TinyLFU: A Highly Efficient Cache Admission
 * Policy", ACM ToS 13(4), 2017). Eight bytes per unit of width; counts are never too low but for the halving.
 */
export class FrequencySketch {
  /** Row `r` of slot `s` is nibble `4s + r`. */
  private table: Uint32Array;
  private slotMask: number;
  private recorded = 0;

  /** @param width how many keys to tell apart well: a power of two, at least 2. */
  constructor(private currentWidth: number) {
    this.table = new Uint32Array(2 * currentWidth);
    this.slotMask = ROWS * currentWidth - 1;
  }

  get width(): number {
    return this.currentWidth;
  }

  /** Counts requests of a key, 15 if they are more. True when that made all counts halve. */
  record(hash: number, requests = 1): boolean {
    const times = Math.min(requests, MAX_COUNT);
    const { table } = this;
    for (let row = 0; row < ROWS; row++) {
      const nibble = this.nibble(hash, row);
      const shift = (nibble & 7) << 2;
      const counters = table[nibble >>> 3]!;
      const count = (counters >>> shift) & MAX_COUNT;
      if (count === MAX_COUNT) continue;
      table[nibble >>> 3] = counters + ((Math.min(MAX_COUNT, count + times) - count) << shift);
    }
    this.recorded += times;
    if (this.recorded < SAMPLE * this.currentWidth) return false;
    this.recorded >>>= 1;
    for (let word = 0; word < table.length; word++) table[word] = (table[word]! >>> 1) & 0x77777777;
    return true;
  }

  /** Between 0 and 15. */
  estimate(hash: number): number {
    let least = MAX_COUNT;
    for (let row = 0; row < ROWS; row++) {
      const nibble = this.nibble(hash, row);
      const count = (this.table[nibble >>> 3]! >>> ((nibble & 7) << 2)) & MAX_COUNT;
      if (count < least) least = count;
    }
    return least;
  }

  /** Changes the width, a power of two, without forgetting: no estimate gets lower. */
  resize(width: number): void {
    while (this.currentWidth < width) {
      const doubled = new Uint32Array(2 * this.table.length);
      doubled.set(this.table);
      doubled.set(this.table, this.table.length);
      this.adopt(doubled);
    }
    while (this.currentWidth > width) {
      const half = this.table.slice(0, this.table.length / 2);
      for (let word = 0; word < half.length; word++)
        half[word] = largerNibbles(half[word]!, this.table[half.length + word]!);
      this.adopt(half);
    }
  }

  private adopt(table: Uint32Array): void {
    this.table = table;
    this.currentWidth = table.length / 2;
    this.slotMask = ROWS * this.currentWidth - 1;
  }

  private nibble(hash: number, row: number): number {
    let mixed = Math.imul(hash ^ (hash >>> 16), MULTIPLIERS[row]!);
    mixed ^= mixed >>> 15;
    return ((mixed & this.slotMask) << 2) | row;
  }
}

function largerNibbles(left: number, right: number): number {
  let larger = 0;
  for (let shift = 0; shift < 32; shift += 4)
    larger |= Math.max((left >>> shift) & MAX_COUNT, (right >>> shift) & MAX_COUNT) << shift;
  return larger;
}
