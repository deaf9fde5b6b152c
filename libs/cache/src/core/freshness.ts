import type { Random } from '@sparkle/contracts';

/**
 * Spreads expiries so that entries written together do not expire together: a time between
 * `ttlMs × (1 − jitter)` and `ttlMs`, never longer than asked for.
 */
export function jittered(ttlMs: number, jitter: number, random: Random): number {
  return Math.max(1, Math.round(ttlMs * (1 - jitter * random.next())));
}

/**
 * Probabilistic early expiration (XFetch; Vattani, Chierichetti, Lowenstein: "Optimal Probabilistic Cache
 * Stampede Prevention", VLDB 2015): refresh when `loadMs × beta × −ln(u) ≥ remainingMs`. Expensive values are
 * refreshed earlier, and of many readers about one does it.
 */
export function refreshesEarly(remainingMs: number, loadMs: number, beta: number, random: Random): boolean {
  if (remainingMs > earlyWindow(loadMs, beta)) return false;
  return -Math.log(1 - random.next()) * loadMs * beta >= remainingMs;
}

/** How long before expiry {@link refreshesEarly} can say yes: beyond it the chance is below one in 10⁸. */
export function earlyWindow(loadMs: number, beta: number): number {
  return loadMs * beta * 18.5;
}
