import { analyse } from '../index/analyse.js';
import { inverseDocumentFrequency } from '../index/bm25.js';
import type { GraphReader } from '../index/graph-reader.port.js';

/** In a corpus smaller than this, leading to every passage is not leading everywhere. */
const SMALL_CORPUS = 100;

/** Weighs terms and nodes by how few of the corpus's passages they lead to. */
export class Rarity {
  private readonly having = new Map<string, number>();
  private passages = 0;

  /** @param weighs false takes all nodes for equally rare. */
  constructor(
    private readonly reader: GraphReader,
    private readonly weighs = true,
  ) {}

  /** Makes ready what the others answer from, in one step: these terms, and these nodes, which are loaded. */
  async load(terms: Iterable<string>, nodes: Iterable<number>): Promise<void> {
    const unknown = new Set<string>();
    for (const term of terms) unknown.add(term);
    for (const node of nodes) {
      const word = this.wordOf(node);
      if (word !== undefined) unknown.add(word);
    }
    const asked = [...unknown].filter((term) => !this.having.has(term));
    const { passages, having } = await this.reader.countPassages(asked);
    this.passages = passages;
    asked.forEach((term, at) => {
      this.having.set(term, having[at]!);
    });
  }

  /** BM25's weight of a term. */
  idf(term: string): number {
    return inverseDocumentFrequency(this.passages, this.having.get(term)!);
  }

  /** The part of the terms' weight, in `[0, 1]`, that a text with these terms has. 0 without terms. */
  coverage(terms: readonly string[], own: ReadonlySet<string>): number {
    let covered = 0;
    let total = 0;
    for (const term of terms) {
      const weight = this.idf(term);
      total += weight;
      if (own.has(term)) covered += weight;
    }
    return total > 0 ? covered / total : 0;
  }

  /** One over the {@link spread} of a node. */
  of(node: number): number {
    return this.weighs ? 1 / this.spread(node) : 1;
  }

  /** In `[0, 1]`: 1 for a node that leads to one passage, 0 for one that leads to all of a large corpus. */
  specificity(node: number): number {
    const passages = Math.max(SMALL_CORPUS, this.passages);
    return Math.max(0, 1 - Math.log(this.spread(node)) / Math.log(passages));
  }

  /**
   * How many passages a node leads to: those that mention it, and for a name of one word all that have the word.
   * `Change`, mentioned once as the title of a song, is no rare name where every other passage has the word.
   */
  private spread(node: number): number {
    const word = this.wordOf(node);
    const having = word === undefined ? 0 : this.having.get(word)!;
    return Math.max(1, having, this.reader.node(node).passages);
  }

  private wordOf(node: number): string | undefined {
    const terms = analyse(this.reader.node(node).name);
    return terms.length === 1 ? terms[0] : undefined;
  }
}
