/** Seeds of {@link hashKey}: two numbers nobody outside of the process knows. */
export interface HashSeed {
  readonly low: number;
  readonly high: number;
}

/**
 * HalfSipHash-1-3 of a string's UTF-16 code units, 32 bits (Aumasson, Bernstein: "SipHash: a fast short-input
 * PRF", INDOCRYPT 2012, and the authors' 32-bit variant). Keyed, so that whoever chooses keys cannot choose which
 * of them share counters.
 */
export function hashKey(key: string, { low, high }: HashSeed): number {
  let v0 = low | 0;
  let v1 = high | 0;
  let v2 = 0x6c796765 ^ low;
  let v3 = 0x74656462 ^ high;
  const round = () => {
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
  };
  const absorb = (word: number) => {
    v3 ^= word;
    round();
    v0 ^= word;
  };
  const pairs = key.length & ~1;
  for (let index = 0; index < pairs; index += 2)
    absorb(key.charCodeAt(index) | (key.charCodeAt(index + 1) << 16));
  absorb((pairs < key.length ? key.charCodeAt(pairs) : 0) | (key.length << 25));
  v2 ^= 0xff;
  round();
  round();
  round();
  return v1 ^ v3;
}
