import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '@sparkle/contracts';

export interface Passage {
  readonly title: string;
  readonly text: string;
}

const FIRST_NAMES =
  'Adela Bruno Clara Dmitri Elsa Farid Greta Hugo Irina Jonas Karla Leon Mira Nils Olga Pavel Rosa Stefan Tessa Viktor';
const LAST_NAMES =
  'Abend Brandt Castell Dorn Engel Falk Gerber Hartmann Imhof Jansen Keller Lorenz Meister Novak Oswald Pohl Richter Sander Thoma Vogel';
const PLACES =
  'Aldhaven Brunnfeld Carstow Dellmark Eastmere Fernholt Graustadt Hollwick Ivelden Jarnsee Kaltenau Lindrath Marrow Nordweil Ostby';
const INSTITUTES = 'University Observatory Museum College Academy Theatre Library Institute';
const FIELDS =
  'astronomy|mineral chemistry|early music|river ecology|number theory|stage design|comparative law|glass making';
const SENTENCES: readonly ((pick: Picker) => string)[] = [
  (p) => `${p.person} was a ${p.field} scholar born in ${p.place} on ${p.date}.`,
  (p) => `The ${p.institute} of ${p.place} was founded by ${p.person} in ${p.year}.`,
  (p) => `After leaving ${p.place}, ${p.person} worked with ${p.person} at the ${p.place} ${p.institute}.`,
  (p) => `"The ${p.place} Letters" was written by ${p.person} and published in ${p.year}.`,
  (p) => `${p.field} requires patience, careful notes and a good instrument, as ${p.person} remarked.`,
  (p) =>
    `In ${p.year} the town of ${p.place} gave its old mill to the ${p.institute}, which still uses it today.`,
  (p) => `${p.person} married ${p.person}, and both of them moved to ${p.place} before the winter.`,
  (p) => `Several pupils, such as ${p.person} and ${p.person}, later taught ${p.field} there.`,
];

interface Picker {
  readonly person: string;
  readonly place: string;
  readonly institute: string;
  readonly field: string;
  readonly year: string;
  readonly date: string;
}

/**
 * Invented encyclopaedia passages of 60 to 110 words each. About a third of the names of a passage occur in
 * others, too; every passage is different.
 */
export function* inventedPassages(random: Random): Generator<Passage, never, undefined> {
  const of = <T>(list: readonly T[]): T => list[Math.floor(random.next() * list.length)]!;
  const [first, last, places, institutes] = [FIRST_NAMES, LAST_NAMES, PLACES, INSTITUTES].map((names) =>
    names.split(' '),
  ) as [string[], string[], string[], string[]];
  const fields = FIELDS.split('|');
  const number = (most: number) => 1 + Math.floor(random.next() * most);
  const pick: Picker = {
    get person() {
      return random.next() < 0.4
        ? `${of(first)} ${of(last)}`
        : `${of(first)} ${of(last)}${of(last).toLowerCase()}`;
    },
    get place() {
      return random.next() < 0.5 ? of(places) : `${of(places)} ${number(400)}`;
    },
    get institute() {
      return of(institutes);
    },
    get field() {
      return of(fields);
    },
    get year() {
      return String(1700 + number(300));
    },
    get date() {
      return `${number(28)} March ${1700 + number(300)}`;
    },
  };
  for (let serial = 0; ; serial += 1) {
    const sentences = Array.from({ length: 4 + number(4) }, () => of(SENTENCES)(pick));
    yield { title: `${pick.person} (${serial})`, text: sentences.join(' ') };
  }
}

/** Passages of the evaluation sets in `folder`, and then again and again with other names. */
export function* realPassages(folder: string): Generator<Passage, never, undefined> {
  const sets = ['musique-train100', 'hotpot-dev200', '2wiki-dev164'];
  const passages = sets.flatMap((set) =>
    readFileSync(join(folder, set, 'corpus.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Passage),
  );
  for (let round = 0; ; round += 1) {
    for (const { title, text } of passages) {
      // A syllable of their own makes the capitalised words of a round names nobody has had.
      const rename = (words: string) =>
        round === 0 ? words : words.replace(/\b(\p{Lu}\p{Ll}{3,})\b/gu, `$1${'aeiou'[round % 5]}x`);
      yield { title: rename(title), text: rename(text) };
    }
  }
}
