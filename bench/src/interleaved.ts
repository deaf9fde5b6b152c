/** Measures one case once and returns its figures; every round returns as many. */
export type Case = () => Promise<readonly number[]> | readonly number[];

export interface InterleavingOptions {
  /** Rounds that count. */
  readonly rounds: number;
  /** Rounds before them that do not: the compiler is still at work. Default 1. */
  readonly warmup?: number;
}

/**
 * Runs every case once per round and gives all figures of each. The order turns by one with each round, so that
 * a slow phase of the machine, and whoever runs first, weigh on every case alike. Garbage is collected before
 * each case where the process exposes it.
 */
export async function interleaved<Name extends string>(
  cases: Readonly<Record<Name, Case>>,
  { rounds, warmup = 1 }: InterleavingOptions,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(cases) as Name[];
  const figures = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, number[]>;
  for (let round = 0; round < warmup + rounds; round += 1) {
    for (let at = 0; at < names.length; at += 1) {
      const name = names[(round + at) % names.length]!;
      globalThis.gc?.();
      const measured = await cases[name]();
      if (round >= warmup) figures[name].push(...measured);
    }
  }
  return figures;
}

/**
 * A case that makes `count` calls and gives calls per second. Each case brings a loop of its own, so that the
 * compiler optimises each for itself.
 */
export function perSecond(count: number, loop: (count: number) => Promise<void>): Case {
  return async () => {
    const started = performance.now();
    await loop(count);
    return [(count * 1000) / (performance.now() - started)];
  };
}

/** A case that makes `count` calls with `width` of them in flight, and gives calls per second. */
export function inFlight(width: number, count: number, call: (index: number) => Promise<unknown>): Case {
  return perSecond(count, async () => {
    let next = 0;
    const lane = async () => {
      while (next < count) await call(next++);
    };
    await Promise.all(Array.from({ length: width }, lane));
  });
}

/** @throws RangeError without values. */
export function median(values: readonly number[]): number {
  const sorted = ascending(values);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * The nearest-rank percentile.
 * @param share in `(0, 1]`.
 * @throws RangeError without values.
 */
export function percentile(values: readonly number[], share: number): number {
  const sorted = ascending(values);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

function ascending(values: readonly number[]): number[] {
  if (values.length === 0) throw new RangeError('there are no values');
  return [...values].sort((left, right) => left - right);
}
