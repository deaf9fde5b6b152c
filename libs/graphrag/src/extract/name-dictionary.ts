import { foldText, isCjk, normaliseEntityName } from './entity-name.js';

/** Names longer than this many words or Chinese characters are not looked for in running text. */
export const MAX_NAME_UNITS = 16;

/** A word of a text, or one character of a script without spaces, with its UTF-16 position. */
export interface NameUnit {
  readonly text: string;
  readonly start: number;
  readonly end: number;
  readonly cjk: boolean;
}

/** A name found in a text: `units` from `first` (inclusive) to `last` (exclusive), and whose name it is. */
export interface NameMatch {
  readonly first: number;
  readonly last: number;
  readonly key: string;
  readonly ids: readonly number[];
}

const UNIT = /[\p{L}\p{M}\p{N}][\p{L}\p{M}\p{N}+#]*(?:['’ʼ](?=\p{L}))?/gu;

/** Splits a text into {@link NameUnit}s; possessive endings are dropped, positions refer to `text`. */
export function nameUnits(text: string): NameUnit[] {
  const units: NameUnit[] = [];
  for (const match of text.matchAll(UNIT)) {
    const word = match[0];
    if (/^s$/i.test(word) && /['’ʼ]/.test(text[match.index - 1] ?? '')) continue;
    let at = match.index;
    let latinFrom = at;
    for (const character of word) {
      if (isCjk(character.codePointAt(0)!)) {
        if (latinFrom < at) pushUnit(units, text, latinFrom, at);
        units.push({ text: foldText(character), start: at, end: at + character.length, cjk: true });
        latinFrom = at + character.length;
      }
      at += character.length;
    }
    if (latinFrom < at) pushUnit(units, text, latinFrom, at);
  }
  return joinInitials(units, text);
}

/** `J. K. Rowling` has the units `jk` and `rowling`, as its normal form has. */
function joinInitials(units: readonly NameUnit[], text: string): NameUnit[] {
  const joined: NameUnit[] = [];
  let open = false;
  for (const unit of units) {
    const initial = /^[a-z]$/.test(unit.text) && !(unit.text === 'a' && text[unit.end] !== '.');
    const previous = joined.at(-1);
    if (initial && open && previous)
      joined[joined.length - 1] = { ...previous, text: previous.text + unit.text, end: unit.end };
    else joined.push(unit);
    open = initial;
  }
  return joined;
}

function pushUnit(units: NameUnit[], text: string, start: number, end: number): void {
  const folded = foldText(text.slice(start, end)).replace(/['’ʼ]$/, '');
  if (folded !== '') units.push({ text: folded, start, end, cjk: false });
}

/**
 * Normal forms of names with the numbers of their owners, searchable in running text in one pass: at each
 * position only as many words are tried as the longest name with that first word has.
 */
export class NameDictionary {
  private readonly owners = new Map<string, number[]>();
  private readonly longest = new Map<string, number>();

  /** Registers a name; blank and over-long names are left out. */
  add(name: string, id: number): void {
    this.addKey(normaliseEntityName(name), id);
  }

  /** Registers a name that is in normal form already. */
  addKey(key: string, id: number): void {
    if (key === '') return;
    const ids = this.owners.get(key);
    if (ids) {
      if (!ids.includes(id)) ids.push(id);
      return;
    }
    const units = nameUnits(key);
    if (units.length === 0 || units.length > MAX_NAME_UNITS) return;
    this.owners.set(key, [id]);
    const first = units[0]!.text;
    this.longest.set(first, Math.max(this.longest.get(first) ?? 0, units.length));
  }

  /** The owners of exactly this normal form. */
  get(key: string): readonly number[] {
    return this.owners.get(key) ?? [];
  }

  get size(): number {
    return this.owners.size;
  }

  /** Approximate size in memory. */
  get bytes(): number {
    return this.owners.size * 140 + this.longest.size * 80;
  }

  /** Every name that occurs in the units, nested ones included, in order of position and falling length. */
  findAll(units: readonly NameUnit[]): NameMatch[] {
    const matches: NameMatch[] = [];
    for (let first = 0; first < units.length; first += 1) {
      const most = Math.min(this.longest.get(units[first]!.text) ?? 0, units.length - first);
      for (let length = most; length > 0; length -= 1) {
        const key = joinUnits(units, first, first + length);
        const ids = this.owners.get(key);
        if (ids) matches.push({ first, last: first + length, key, ids });
      }
    }
    return matches;
  }

  /** The longest names that occur, from left to right, none overlapping another. */
  findLongest(units: readonly NameUnit[]): NameMatch[] {
    const matches: NameMatch[] = [];
    let free = 0;
    for (const match of this.findAll(units)) {
      if (match.first < free) continue;
      matches.push(match);
      free = match.last;
    }
    return matches;
  }
}

/** Joins units as a normal form writes them: spaces between words, none between Chinese characters. */
export function joinUnits(units: readonly NameUnit[], first: number, last: number): string {
  let key = '';
  for (let i = first; i < last; i += 1) {
    const unit = units[i]!;
    if (key !== '' && !(unit.cjk && units[i - 1]!.cjk)) key += adjoining(units[i - 1]!, unit) ? '' : ' ';
    key += unit.text;
  }
  return key;
}

/** A Latin run glued to a Chinese one (`K近邻`) stays glued in the normal form. */
function adjoining(left: NameUnit, right: NameUnit): boolean {
  return left.cjk !== right.cjk && left.end === right.start;
}
