/** BM25 parameters: `k1` saturates repetitions, `b` in `[0, 1]` normalises by length. */
export interface Bm25Options {
  readonly k1?: number;
  readonly b?: number;
}

/**
 * Inverted index with BM25 impacts computed when it is built (Robertson & Zaragoza 2009, with the idf
 * `ln(1 + (N − df + 0.5) / (df + 0.5))`, which is never negative). A query costs its postings.
 */
export class LexicalIndex {
  private constructor(
    readonly size: number,
    private readonly vocabulary: ReadonlyMap<string, number>,
    private readonly offsets: Int32Array,
    private readonly documents: Int32Array,
    private readonly impacts: Float32Array,
  ) {}

  /** `termsOf[i]` are the analysed terms of document `i`. */
  static build(termsOf: readonly (readonly string[])[], options: Bm25Options = {}): LexicalIndex {
    const k1 = options.k1 ?? 1.2;
    const b = options.b ?? 0.75;
    const vocabulary = new Map<string, number>();
    const frequencies: Map<number, number>[] = [];
    const documentFrequency: number[] = [];
    let total = 0;
    for (const terms of termsOf) {
      const counts = new Map<number, number>();
      for (const term of terms) {
        let id = vocabulary.get(term);
        if (id === undefined) {
          id = vocabulary.size;
          vocabulary.set(term, id);
          documentFrequency.push(0);
        }
        const before = counts.get(id) ?? 0;
        if (before === 0) documentFrequency[id]! += 1;
        counts.set(id, before + 1);
      }
      frequencies.push(counts);
      total += terms.length;
    }
    const offsets = new Int32Array(vocabulary.size + 1);
    for (let id = 0; id < vocabulary.size; id += 1) offsets[id + 1] = offsets[id]! + documentFrequency[id]!;
    const documents = new Int32Array(offsets[vocabulary.size]!);
    const impacts = new Float32Array(documents.length);
    const cursor = offsets.slice();
    const averageLength = total / Math.max(1, termsOf.length) || 1;
    frequencies.forEach((counts, document) => {
      const norm = k1 * (1 - b + (b * termsOf[document]!.length) / averageLength);
      for (const [id, count] of counts) {
        const df = documentFrequency[id]!;
        const idf = Math.log(1 + (termsOf.length - df + 0.5) / (df + 0.5));
        const at = cursor[id]!;
        documents[at] = document;
        impacts[at] = (idf * count * (k1 + 1)) / (count + norm);
        cursor[id] = at + 1;
      }
    });
    return new LexicalIndex(termsOf.length, vocabulary, offsets, documents, impacts);
  }

  /** Scores of all documents for the query's terms; a repeated term counts once. Zero means no term occurs. */
  score(terms: Iterable<string>): Float32Array {
    const scores = new Float32Array(this.size);
    for (const term of new Set(terms)) {
      const id = this.vocabulary.get(term);
      if (id === undefined) continue;
      const end = this.offsets[id + 1]!;
      for (let at = this.offsets[id]!; at < end; at += 1) scores[this.documents[at]!]! += this.impacts[at]!;
    }
    return scores;
  }

  /** In how many documents a term occurs. */
  documentFrequency(term: string): number {
    const id = this.vocabulary.get(term);
    return id === undefined ? 0 : this.offsets[id + 1]! - this.offsets[id]!;
  }

  /** Approximate size in memory. */
  get bytes(): number {
    return (
      this.offsets.byteLength +
      this.documents.byteLength +
      this.impacts.byteLength +
      this.vocabulary.size * 96
    );
  }
}
