/** Function characters: frequent in any sentence, so they say little about its subject. */
const FUNCTION_CHARACTERS = new Set(
  '的了是在吗呢吧啊么和与或也都就还很有个这那之其为以于对把被让给从到你我他她它们请',
);
const FUNCTION_WEIGHT = 0.15;
const BIGRAM_WEIGHT = 1.4;

/** FNV-1a, 32 bit. */
function hash(feature: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < feature.length; index++) {
    value = Math.imul(value ^ feature.charCodeAt(index), 0x01000193);
  }
  value ^= value >>> 15;
  value = Math.imul(value, 0x2c1b3c6d);
  return (value ^ (value >>> 12)) >>> 0;
}

function weightOf(character: string): number {
  return FUNCTION_CHARACTERS.has(character) ? FUNCTION_WEIGHT : 1;
}

/**
 * Characters and pairs of neighbouring characters, hashed with a sign into `dimensions` buckets (Weinberger
 * et al., "Feature Hashing for Large Scale Multitask Learning", 2009), term frequencies dampened by a square
 * root. The result has norm 1, or is all zero when `runs` is empty.
 */
export function cjkFeatures(runs: readonly string[], dimensions: number): Float32Array {
  const frequencies = new Map<string, number>();
  const add = (feature: string, weight: number) =>
    frequencies.set(feature, (frequencies.get(feature) ?? 0) + weight);
  for (const run of runs) {
    const characters = [...run];
    for (const [index, character] of characters.entries()) {
      add(character, weightOf(character));
      const next = characters[index + 1];
      if (next) add(character + next, BIGRAM_WEIGHT * weightOf(character) * weightOf(next));
    }
  }
  const vector = new Float32Array(dimensions);
  for (const [feature, frequency] of frequencies) {
    const value = hash(feature);
    const bucket = (value >>> 1) % dimensions;
    vector[bucket] = (vector[bucket] ?? 0) + (value & 1 ? 1 : -1) * Math.sqrt(frequency);
  }
  return normalise(vector);
}

/** Scales `vector` in place to norm 1; leaves an all-zero vector alone. */
export function normalise(vector: Float32Array): Float32Array {
  let squares = 0;
  for (const value of vector) squares += value * value;
  if (squares === 0) return vector;
  const scale = 1 / Math.sqrt(squares);
  for (let index = 0; index < vector.length; index++) vector[index] = (vector[index] ?? 0) * scale;
  return vector;
}
