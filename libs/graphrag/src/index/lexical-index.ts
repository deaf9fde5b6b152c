import { bestScored } from './best-scored.js';
import { averageLength, bm25Impact, inverseDocumentFrequency, type LexicalStatistics } from './bm25.js';
import type { LexicalHit } from './graph-reader.port.js';
import { GrowingUint32 } from './packed-strings.js';
import { finished, type Steps } from './steps.js';

/** Counts and lengths above these stand for these; the database has the same bounds. */
const MOST_COUNTED = 0xff;
const LONGEST = 0xffff;
const NO_SCORE = new Float64Array(0);

/** Scores of one query over all texts. */
export interface LexicalScores {
  /** The best texts with their scores; equal ones in order of number. */
  best(limit: number): LexicalHit[];
  /** The score of a text, 0 where no term occurs. */
  of(text: number): number;
}

/**
 * Inverted index of texts numbered from zero: for each term the texts that have it and how often. Scores are
 * BM25 (see {@link bm25Impact}), computed when asked for, so a query costs its postings.
 */
export class LexicalIndex {
  /** @internal Made by {@link LexicalIndexBuilder}. */
  constructor(
    /** Terms of each text, repetitions included. */
    private readonly lengths: Uint16Array,
    private readonly totalLength: number,
    private readonly vocabulary: ReadonlyMap<string, number>,
    private readonly offsets: Int32Array,
    private readonly texts: Int32Array,
    private readonly counts: Uint8Array,
  ) {}

  /** `termsOf` yields the analysed terms of text 0, 1, … */
  static build(termsOf: Iterable<readonly string[]>): LexicalIndex {
    const builder = new LexicalIndexBuilder();
    for (const terms of termsOf) builder.add(terms);
    return finished(builder.build());
  }

  get statistics(): LexicalStatistics {
    return { texts: this.lengths.length, terms: this.totalLength };
  }

  /** In how many texts a term occurs. */
  frequency(term: string): number {
    const id = this.idOf(term);
    return id === undefined ? 0 : this.offsets[id + 1]! - this.offsets[id]!;
  }

  /** Scores all texts for the query's terms; a repeated term counts once. */
  score(terms: Iterable<string>): LexicalScores {
    const ids: number[] = [];
    for (const term of new Set(terms)) {
      const id = this.idOf(term);
      if (id !== undefined) ids.push(id);
    }
    const scores = ids.length > 0 ? new Float64Array(this.lengths.length) : NO_SCORE;
    const found: number[] = [];
    const average = averageLength(this.statistics);
    const { offsets, texts, counts, lengths } = this;
    for (const id of ids) {
      const start = offsets[id]!;
      const end = offsets[id + 1]!;
      const idf = inverseDocumentFrequency(lengths.length, end - start);
      for (let at = start; at < end; at += 1) {
        const text = texts[at]!;
        if (scores[text] === 0) found.push(text);
        scores[text]! += bm25Impact(idf, counts[at]!, lengths[text]!, average);
      }
    }
    const scoreOf = (text: number) => scores[text] ?? 0;
    return {
      of: scoreOf,
      best: (limit) =>
        bestScored(found, scoreOf, limit, (left, right) => left < right).map((ref) => ({
          ref,
          score: scores[ref]!,
        })),
    };
  }

  /** Approximate size in memory, without the vocabulary, which several indexes share. */
  get bytes(): number {
    const { lengths, offsets, texts, counts } = this;
    return lengths.byteLength + offsets.byteLength + texts.byteLength + counts.byteLength;
  }

  /** The vocabulary may know terms that none of these texts has. */
  private idOf(term: string): number | undefined {
    const id = this.vocabulary.get(term);
    return id !== undefined && id < this.offsets.length - 1 ? id : undefined;
  }
}

/** Takes texts one after the other, so that whoever builds may pause between them. */
export class LexicalIndexBuilder {
  private terms = new Int32Array(1024);
  private counts = new Uint8Array(1024);
  private size = 0;
  private readonly ends = new GrowingUint32();
  private readonly lengths = new GrowingUint32();
  private totalLength = 0;
  /** By term: in how many texts it is, and where it stands among the postings of the text seen last. */
  private frequencies = new Int32Array(1024);
  private places = new Int32Array(1024).fill(-1);

  /** @param vocabulary numbers of terms, which may be shared with other indexes; new terms are added. */
  constructor(private readonly vocabulary: Map<string, number> = new Map()) {}

  add(terms: readonly string[]): void {
    const start = this.size;
    for (const term of terms) {
      const id = this.numberOf(term);
      const place = this.places[id]!;
      if (place >= start) {
        if (this.counts[place]! < MOST_COUNTED) this.counts[place]! += 1;
        continue;
      }
      if (this.size === this.terms.length) {
        this.terms = enlarged(this.terms, new Int32Array(2 * this.size));
        this.counts = enlarged(this.counts, new Uint8Array(2 * this.size));
      }
      this.places[id] = this.size;
      this.terms[this.size] = id;
      this.counts[this.size] = 1;
      this.frequencies[id]! += 1;
      this.size += 1;
    }
    const length = Math.min(LONGEST, terms.length);
    this.ends.push(this.size);
    this.lengths.push(length);
    this.totalLength += length;
  }

  *build(): Steps<LexicalIndex> {
    const { frequencies, size, vocabulary } = this;
    const ends = this.ends.build();
    const offsets = new Int32Array(vocabulary.size + 1);
    for (let id = 0; id < vocabulary.size; id += 1) offsets[id + 1] = offsets[id]! + (frequencies[id] ?? 0);
    const cursor = offsets.slice();
    const texts = new Int32Array(size);
    const counts = new Uint8Array(size);
    yield;
    let at = 0;
    for (let text = 0; text < ends.length; text += 1) {
      for (; at < ends[text]!; at += 1) {
        const place = cursor[this.terms[at]!]!;
        cursor[this.terms[at]!] = place + 1;
        texts[place] = text;
        counts[place] = this.counts[at]!;
      }
      if (text % 1024 === 0) yield;
    }
    const lengths = new Uint16Array(this.lengths.build());
    return new LexicalIndex(lengths, this.totalLength, vocabulary, offsets, texts, counts);
  }

  private numberOf(term: string): number {
    let id = this.vocabulary.get(term);
    if (id === undefined) {
      id = this.vocabulary.size;
      this.vocabulary.set(term, id);
    }
    while (id >= this.places.length) {
      this.frequencies = enlarged(this.frequencies, new Int32Array(2 * this.places.length));
      this.places = enlarged(this.places, new Int32Array(2 * this.places.length).fill(-1));
    }
    return id;
  }
}

function enlarged<Values extends Int32Array | Uint8Array>(values: Values, larger: Values): Values {
  larger.set(values);
  return larger;
}
