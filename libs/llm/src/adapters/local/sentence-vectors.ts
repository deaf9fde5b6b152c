import { cjkFeatures, normalise } from './cjk-features.js';
import { splitScripts } from './text-scripts.js';
import { USE_DIMENSIONS, USE_MAX_PIECES, type UseEncoder } from './use-encoder.js';

/** Pieces per pass through the network: enough to fill the matrix products, short enough to stay responsive. */
const PIECES_PER_PASS = 192;

/**
 * One unit vector per text. The encoder knows no CJK script and maps all of it to nearly one point, so CJK
 * characters get {@link cjkFeatures} instead, and a mixed text is the sum of both weighted by their shares.
 */
export function embedTexts(encoder: UseEncoder, texts: readonly string[]): Float32Array[] {
  const parts = texts.map(splitScripts);
  const vectors = parts.map(({ cjkRuns, cjkShare }) => {
    const vector = cjkFeatures(cjkRuns, USE_DIMENSIONS);
    return cjkShare === 0 ? vector : vector.map((value) => value * cjkShare);
  });
  const pending: { readonly index: number; readonly ids: readonly number[] }[] = [];
  for (const [index, { other }] of parts.entries()) {
    const ids = encoder.tokenize(other).slice(0, USE_MAX_PIECES);
    if (ids.length > 0) pending.push({ index, ids });
  }
  for (const group of groupBySize(pending)) {
    const encoded = encoder.encode(group.map(({ ids }) => ids));
    for (const [position, { index }] of group.entries()) {
      const target = vectors[index] as Float32Array;
      const source = encoded[position] as Float32Array;
      const share = 1 - (parts[index]?.cjkShare ?? 0);
      for (const [column, value] of source.entries()) target[column] = (target[column] ?? 0) + value * share;
    }
  }
  return vectors.map(normalise);
}

function* groupBySize<T extends { readonly ids: readonly number[] }>(items: readonly T[]): Generator<T[]> {
  let group: T[] = [];
  let pieces = 0;
  for (const item of items) {
    if (group.length > 0 && pieces + item.ids.length > PIECES_PER_PASS) {
      yield group;
      group = [];
      pieces = 0;
    }
    group.push(item);
    pieces += item.ids.length;
  }
  if (group.length > 0) yield group;
}
