import { findChineseSpans } from '../extract/chinese-spans.js';
import { findEnglishSpans } from '../extract/english-spans.js';
import { analyse } from '../index/analyse.js';
import type { GraphReader } from '../index/graph-reader.port.js';
import { splitSentences } from '../ingest/sentences.js';
import type { VectorIndex } from './vector-index.port.js';

/** How well passages are found again from one of their sentences, by keywords and by vectors. */
export interface EmbeddingStrength {
  /** Published passages when it was measured. */
  readonly passages: number;
  /** Sentences it was measured with. */
  readonly samples: number;
  /** Mean reciprocal ranks in `[0, 1]` within the first {@link SEARCH_DEPTH}. */
  readonly lexicalRank: number;
  readonly denseRank: number;
}

/** A passage and the question made from it. */
export interface StrengthProbe {
  readonly chunkId: string;
  readonly question: string;
}

const SEARCH_DEPTH = 10;
/** Fewer terms than this make no question. */
const LEAST_TERMS = 4;
/** Of a probe's terms the keyword search gets every second one: questions use other words than their answers. */
const KEPT_TERMS = 2;

/** Vectors' part of flat scores where nothing was measured or the model is weak; measured on question sets. */
export const USUAL_DENSE_SHARE = 0.3;
const GREATEST_DENSE_SHARE = 0.7;
/**
 * Dense rank over lexical rank, up to which a model is weak, and from which it is strong. Keywords have the advantage
 * that a probe repeats its passage's words: a small sentence encoder reached 0.1 to 0.5 on three corpora.
 */
const RANK_RATIO = { weak: 0.6, strong: 1 } as const;
/** Where keywords find less than this themselves, being as good as they are is not being strong. */
const LEAST_RANK = 0.5;
/** Fewer samples than this say nothing. */
const LEAST_SAMPLES = 16;

/**
 * Makes a question of a passage: the sentence in its middle, without names and dates, for a name finds its passage
 * whatever the model understands. `undefined` for passages of one sentence or without enough words.
 */
export function probeOf(chunkId: string, text: string): StrengthProbe | undefined {
  const sentences = splitSentences(text);
  const middle = sentences[Math.floor(sentences.length / 2)];
  if (sentences.length < 2 || !middle) return undefined;
  const sentence = text.slice(middle.start, middle.end);
  const spans = [...findEnglishSpans(sentence, new Set([0])), ...findChineseSpans(sentence)];
  let question = '';
  let at = 0;
  for (const { start, end } of spans.sort((left, right) => left.start - right.start)) {
    if (start > at) question += sentence.slice(at, start);
    at = Math.max(at, end);
  }
  question = (question + sentence.slice(at)).replace(/\s+/g, ' ').trim();
  return new Set(analyse(question)).size >= LEAST_TERMS ? { chunkId, question } : undefined;
}

/** Searches for each probe's passage by keywords and by its vector. */
export async function measureStrength(
  probes: readonly StrengthProbe[],
  vectorsOf: readonly Float32Array[],
  reader: GraphReader,
  index: VectorIndex,
): Promise<Omit<EmbeddingStrength, 'passages'>> {
  const chunks = await reader.chunksOf(probes.map(({ chunkId }) => chunkId));
  let lexical = 0;
  let dense = 0;
  let samples = 0;
  for (const [at, { chunkId, question }] of probes.entries()) {
    const chunk = chunks[at];
    if (chunk === undefined) continue;
    const terms = [...new Set(analyse(question))].filter((_, place) => place % KEPT_TERMS === 0);
    const { best } = await reader.searchPassages(terms, SEARCH_DEPTH);
    const hits = await index.search(vectorsOf[at]!, SEARCH_DEPTH);
    lexical += reciprocal(best.findIndex(({ ref }) => ref === chunk));
    dense += reciprocal(hits.findIndex((hit) => hit.chunkId === chunkId));
    samples += 1;
  }
  return { samples, lexicalRank: lexical / Math.max(1, samples), denseRank: dense / Math.max(1, samples) };
}

function reciprocal(place: number): number {
  return place < 0 ? 0 : 1 / (place + 1);
}

/**
 * The part of flat scores that vectors make up: {@link USUAL_DENSE_SHARE} for a weak model, up to 0.7 for one that
 * finds passages as surely as their own words do.
 */
export function denseShare(strength: EmbeddingStrength | undefined): number {
  if (!strength || strength.samples < LEAST_SAMPLES) return USUAL_DENSE_SHARE;
  const ratio = strength.denseRank / Math.max(strength.lexicalRank, LEAST_RANK);
  const strong = Math.min(1, Math.max(0, (ratio - RANK_RATIO.weak) / (RANK_RATIO.strong - RANK_RATIO.weak)));
  return USUAL_DENSE_SHARE + strong * (GREATEST_DENSE_SHARE - USUAL_DENSE_SHARE);
}
