/** The only source of randomness in Sparkle, so that tests can seed it. */
export interface Random {
  /** A number in `[0, 1)`. */
  next(): number;
}

/** Injection token of the {@link Random} port. */
export const Random = Symbol('Random');

/** `Math.random` behind the port. */
export class SystemRandom implements Random {
  next(): number {
    return Math.random();
  }
}
