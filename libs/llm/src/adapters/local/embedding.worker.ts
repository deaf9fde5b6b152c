import { move } from 'piscina';
import { embedTexts } from './sentence-vectors.js';
import { USE_DIMENSIONS, UseEncoder } from './use-encoder.js';

let encoder: Promise<UseEncoder> | undefined;

/** Vectors of `texts`, one after another in a single buffer that is moved, not copied, to the caller. */
export default async function embed(texts: readonly string[]): Promise<Float32Array> {
  encoder ??= UseEncoder.load();
  const vectors = embedTexts(await encoder, texts);
  const packed = new Float32Array(vectors.length * USE_DIMENSIONS);
  for (const [index, vector] of vectors.entries()) packed.set(vector, index * USE_DIMENSIONS);
  return move(packed) as unknown as Float32Array;
}
