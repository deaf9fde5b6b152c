/** What saturates repetitions, and in `[0, 1]` how much long texts are held back. */
export const BM25_K1 = 1.2;
export const BM25_B = 0.75;

/** What BM25 knows of a collection of texts. */
export interface LexicalStatistics {
  /** Texts, those without any term included. */
  readonly texts: number;
  /** Terms of all texts, repetitions included. */
  readonly terms: number;
}

/** Terms of an average text; 1 for an empty collection. */
export function averageLength({ texts, terms }: LexicalStatistics): number {
  return terms / Math.max(1, texts) || 1;
}

/** The weight of a term that `frequency` of `texts` texts have: `ln(1 + (N − df + 0.5) / (df + 0.5))`, never negative. */
export function inverseDocumentFrequency(texts: number, frequency: number): number {
  return Math.log(1 + (texts - frequency + 0.5) / (frequency + 0.5));
}

/**
 * What a term that stands `count` times in a text of `length` terms adds to its score (Robertson & Zaragoza
 * 2009). The SQL reader writes the same operations in the same order, so both give the same bits.
 */
export function bm25Impact(idf: number, count: number, length: number, average: number): number {
  const norm = BM25_K1 * (1 - BM25_B + (BM25_B * length) / average);
  return (idf * count * (BM25_K1 + 1)) / (count + norm);
}
