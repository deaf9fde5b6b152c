import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

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

/** @throws Error naming the file that is missing. */
export function questionPairs(dataFolder: string): LabelledPair[] {
  const text = gunzipSync(read(dataFolder, 'question-pairs/dev.tsv.gz')).toString('utf8');
  return usable(
    text.split('\n').map((line) => {
      const [label, first = '', second = ''] = line.split('\t');
      return { first, second, duplicate: label === '1' };
    }),
  );
}

/** @throws Error naming the file that is missing. */
export function chineseSentencePairs(dataFolder: string): LabelledPair[] {
  const text = read(dataFolder, 'sts-zh/dev.csv').toString('utf8');
  return usable(
    text.split('\n').map((line) => {
      const [first = '', second = '', score] = fieldsOf(line.trimEnd());
      return { first, second, duplicate: Number(score) >= STS_DUPLICATE };
    }),
  );
}

function read(dataFolder: string, name: string): Buffer {
  const file = join(dataFolder, name);
  if (!existsSync(file))
    throw new Error(
      `there is no ${file}: name the folder of evaluation data with --data DIR or SPARKLE_DATA (it holds ${name})`,
    );
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
