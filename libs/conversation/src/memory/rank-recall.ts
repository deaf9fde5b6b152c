/** An old message that holds words of the question. */
export interface WordMatch {
  readonly seq: number;
  readonly createdAt: Date;
  /** Distinct words of the message. */
  readonly length: number;
  /** Which words of the question it holds, by their place in the query. */
  readonly hits: readonly number[];
}

/** An old message near the question in meaning. */
export interface MeaningMatch {
  readonly seq: number;
  readonly createdAt: Date;
  readonly similarity: number;
}

/** An old message of a time the question names. */
export interface TimeMatch {
  readonly seq: number;
  readonly createdAt: Date;
  /** True when the question names the very day. */
  readonly day: boolean;
}

export interface RecallEvidence {
  /** Old messages there are. */
  readonly total: number;
  readonly worded: readonly WordMatch[];
  readonly near: readonly MeaningMatch[];
  /** Messages of a time the question names. */
  readonly timed: readonly TimeMatch[];
}

/** Okapi BM25's length normalisation; messages are short, so a long one is seldom off the subject. */
const LENGTH_WEIGHT = 0.4;
const SATURATION = 1.2;
/** What a word counts that stands not in the message but this many messages away from it. */
const NEIGHBOUR_WEIGHTS = [1, 0.6, 0.5, 0.4, 0.3, 0.2, 0.2];
/** Messages further apart in time than this are not about the same thing. */
const SAME_TALK_MS = 3_600_000;
/** Share of meaning in the score. The same as plain retrieval's, for the same reason: a weak embedder. */
const MEANING_SHARE = 0.3;
/** Share of the best match's similarity below which meaning counts nothing. */
const RELATIVE_SIMILARITY = 0.75;
/** What a named day is worth: as much as the best match of words and meaning. A longer time is worth less. */
const DAY_BONUS = 1;
const PERIOD_BONUS = 0.4;

interface Scored {
  readonly seq: number;
  readonly at: number;
  score: number;
}

/**
 * Ranks old messages, best first. Words: BM25 where a word also counts, for less, when it stands in a message
 * nearby, since a talk names its subject once and then goes on about it; each word counts once. Meaning: cosine
 * similarity. Both are brought to the best one's measure and added. A message of a time the question names gains.
 * Of neighbouring messages only the best is named: the caller brings its surroundings along.
 */
export function rankRecall(evidence: RecallEvidence, limit: number): readonly number[] {
  const kept: Scored[] = [];
  for (const one of scoreAll(evidence)) {
    if (kept.length >= limit) break;
    if (!kept.some((other) => isNextTo(one, other))) kept.push(one);
  }
  return kept.map(({ seq }) => seq);
}

function scoreAll({ total, worded, near, timed }: RecallEvidence): readonly Scored[] {
  const scored = new Map<number, Scored>();
  const of = (seq: number, createdAt: Date) => {
    const known = scored.get(seq);
    if (known) return known;
    const fresh = { seq, at: createdAt.getTime(), score: 0 };
    scored.set(seq, fresh);
    return fresh;
  };
  const words = wordScores(total, worded);
  const bestWords = Math.max(...words.values(), Number.MIN_VALUE);
  const share = near.length > 0 ? MEANING_SHARE : 0;
  for (const { seq, createdAt } of worded)
    of(seq, createdAt).score += ((1 - share) * words.get(seq)!) / bestWords;
  const nearest = near[0]?.similarity ?? 0;
  const floor = nearest * RELATIVE_SIMILARITY;
  for (const { seq, createdAt, similarity } of near)
    if (similarity > floor) of(seq, createdAt).score += (share * (similarity - floor)) / (nearest - floor);
  for (const { seq, createdAt, day } of timed) of(seq, createdAt).score += day ? DAY_BONUS : PERIOD_BONUS;
  return [...scored.values()]
    .filter(({ score }) => score > 0)
    .sort((left, right) => right.score - left.score || right.seq - left.seq);
}

function wordScores(total: number, worded: readonly WordMatch[]): ReadonlyMap<number, number> {
  const frequency = new Map<number, number>();
  for (const { hits } of worded) for (const hit of hits) frequency.set(hit, (frequency.get(hit) ?? 0) + 1);
  const rarity = (hit: number) => {
    const holding = frequency.get(hit)!;
    return Math.log(1 + (total - holding + 0.5) / (holding + 0.5));
  };
  const mean = worded.reduce((sum, { length }) => sum + length, 0) / Math.max(1, worded.length);
  const ordered = [...worded].sort((left, right) => left.seq - right.seq);
  const weight = ({ length }: WordMatch) =>
    (SATURATION + 1) / (1 + SATURATION * (1 - LENGTH_WEIGHT + (LENGTH_WEIGHT * length) / mean));
  const scores = new Map<number, number>();
  ordered.forEach((match, at) => {
    const best = new Map<number, number>();
    const take = (other: WordMatch) => {
      const away = Math.abs(other.seq - match.seq);
      const counts = NEIGHBOUR_WEIGHTS[away];
      if (counts === undefined) return false;
      if (Math.abs(other.createdAt.getTime() - match.createdAt.getTime()) > SAME_TALK_MS) return false;
      for (const hit of other.hits)
        best.set(hit, Math.max(best.get(hit) ?? 0, counts * weight(other) * rarity(hit)));
      return true;
    };
    for (let left = at; left >= 0 && take(ordered[left]!); left -= 1);
    for (let right = at + 1; right < ordered.length && take(ordered[right]!); right += 1);
    scores.set(
      match.seq,
      [...best.values()].reduce((sum, value) => sum + value, 0),
    );
  });
  return scores;
}

function isNextTo(one: Scored, other: Scored): boolean {
  return Math.abs(one.seq - other.seq) <= 2 && Math.abs(one.at - other.at) <= SAME_TALK_MS;
}
