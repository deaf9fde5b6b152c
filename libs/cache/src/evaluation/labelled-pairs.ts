import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { EvaluationDataMissingError } from '../errors.js';

/** Two texts of which people said whether the answer to one answers the other. */
export interface LabelledPair {
  readonly first: string;
  readonly second: string;
  readonly duplicate: boolean;
}

/** Scores from here on count as the same: "mostly equivalent, some unimportant details differ". */
const STS_DUPLICATE = 4;

/** Rules of the product were developed on `development`; `test` was only ever counted. */
export type Half = 'development' | 'test';

/** Which half a pair belongs to: one bit of a hash of its texts, in either order. */
export function halfOf({ first, second }: Pick<LabelledPair, 'first' | 'second'>): Half {
  const digest = createHash('sha256').update([first, second].sort().join('\n')).digest();
  return (digest[0]! & 1) === 0 ? 'development' : 'test';
}

/**
 * Reads `label TAB first TAB second` lines, gzipped; label 1 means duplicate.
 * @throws EvaluationDataMissingError naming the file.
 */
export function questionPairs(file: string): LabelledPair[] {
  const text = gunzipSync(read(file)).toString('utf8');
  return usable(
    text.split('\n').map((line) => {
      const [label, first = '', second = ''] = line.split('\t');
      return { first, second, duplicate: label === '1' };
    }),
  );
}

/**
 * Reads `first,second,score` lines (RFC 4180) with scores from 0 to 5; pairs from 4 on are duplicates.
 * @throws EvaluationDataMissingError naming the file.
 */
export function sentencePairs(file: string): LabelledPair[] {
  const text = read(file).toString('utf8');
  return usable(
    text.split('\n').map((line) => {
      const [first = '', second = '', score] = fieldsOf(line.trimEnd());
      return { first, second, duplicate: Number(score) >= STS_DUPLICATE };
    }),
  );
}

function read(file: string): Buffer {
  if (!existsSync(file)) throw new EvaluationDataMissingError(file);
  return readFileSync(file);
}

function usable(pairs: readonly LabelledPair[]): LabelledPair[] {
  return pairs.filter(({ first, second }) => first.trim() !== '' && second.trim() !== '');
}

/** The fields of a CSV line (RFC 4180; no line breaks within fields). */
export function fieldsOf(line: string): string[] {
  return [...line.matchAll(/(?<=^|,)(?:"((?:[^"]|"")*)"|([^",]*))(?=,|$)/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '',
  );
}
