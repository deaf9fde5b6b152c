import type { ContextPassage } from '@sparkle/llm';
import type { SummarisedCommunity, SummaryPoint } from '../adapters/postgres/community.store.js';
import { foldText } from '../extract/entity-name.js';
import { analyse } from '../index/analyse.js';
import { LexicalIndex } from '../index/lexical-index.js';

export interface CommunityContext {
  /** One passage of kind `community` per community (`G1`, `G2`, …), the most relevant first. */
  readonly passages: readonly ContextPassage[];
  /** By passage id: the points it is made of, in order, each with the passages of documents it rests on. */
  readonly points: ReadonlyMap<string, readonly SummaryPoint[]>;
  /** Every document passage that a point rests on, without repetition. */
  readonly chunkIds: readonly string[];
  /** Tokens of all passages' titles and texts. */
  readonly tokens: number;
}

export interface CommunityContextOptions {
  readonly question: string;
  /** The question's embedding; without it words alone decide. */
  readonly vector?: Float32Array | undefined;
  /** Communities at most. */
  readonly k: number;
  /** Upper bound of {@link CommunityContext.tokens}. */
  readonly tokenBudget: number;
  readonly countTokens: (text: string) => number;
  /** The document of each passage that points rest on. */
  readonly documentOf: (chunkId: string) => string | undefined;
  /** Whether the asker may read a passage: points that rest on others are left out. Default: all. */
  readonly mayRead?: ((chunkId: string) => boolean) | undefined;
}

/** Between the names of a community's title. */
export const TITLE_SEPARATOR = ' · ';
/** How much being unlike those already chosen counts against being relevant (maximal marginal relevance). */
const DIVERSITY = 0.3;
/** How much a community's size counts: a question about everything is about what there is most of. */
const SIZE = 0.35;

interface Candidate {
  readonly community: SummarisedCommunity;
  readonly points: readonly { readonly point: SummaryPoint; readonly score: number }[];
  readonly score: number;
}

/**
 * Chooses what communities' summaries say about a question: coverage before depth. Communities come in order of
 * relevance (words and embedding, scaled within the question) and size, each unlike those before it. Then each in
 * turn gives one point, one whose documents are not there yet if it has one, until the budget is used.
 */
export function buildCommunityContext(
  communities: readonly SummarisedCommunity[],
  options: CommunityContextOptions,
): CommunityContext {
  const chosen = diversified(candidatesOf(communities, options), options.k);
  const covered = new Set<string>();
  const said = new Set<string>();
  const taken = chosen.map(() => [] as SummaryPoint[]);
  const open = chosen.map(({ points }) => [...points]);
  let tokens = 0;
  for (let round = true; round; ) {
    round = false;
    chosen.forEach(({ community }, index) => {
      for (;;) {
        const next = takeNext(open[index]!, covered, options.documentOf);
        if (!next) return;
        if (said.has(next.text)) continue;
        const title = titleOf(community, [...taken[index]!, next]);
        const heading = options.countTokens(title) - options.countTokens(titleOf(community, taken[index]!));
        const cost = options.countTokens(next.text) + 1 + heading;
        if (tokens + cost > options.tokenBudget) continue;
        tokens += cost;
        said.add(next.text);
        for (const chunkId of next.chunkIds) {
          const document = options.documentOf(chunkId);
          if (document !== undefined) covered.add(document);
        }
        taken[index]!.push(next);
        round = true;
        return;
      }
    });
  }
  return assemble(chosen, taken, options.countTokens);
}

/** The best point whose documents are new, or else the best one, is taken out of `points`. */
function takeNext(
  points: { readonly point: SummaryPoint }[],
  covered: ReadonlySet<string>,
  documentOf: (chunkId: string) => string | undefined,
): SummaryPoint | undefined {
  if (points.length === 0) return undefined;
  const fresh = points.findIndex(({ point }) =>
    point.chunkIds.some((chunkId) => !covered.has(documentOf(chunkId) ?? '')),
  );
  return points.splice(Math.max(0, fresh), 1)[0]!.point;
}

function candidatesOf(
  communities: readonly SummarisedCommunity[],
  { question, vector, mayRead }: CommunityContextOptions,
): Candidate[] {
  const readable = communities.flatMap((community) => {
    const points = community.points.filter(
      ({ chunkIds, verbatim }) => !mayRead || (verbatim ? chunkIds : community.sourceIds).every(mayRead),
    );
    return points.length > 0 ? [{ community, points }] : [];
  });
  const terms = analyse(question);
  const all = readable.flatMap(({ points }) => points);
  const pointScores = LexicalIndex.build(all.map(({ text }) => analyse(text))).score(terms);
  const titleScores = LexicalIndex.build(
    readable.map(({ community, points }) =>
      analyse([community.title, ...points.map(({ text }) => text)].join('\n')),
    ),
  ).score(terms);
  const lexical = scaled(readable.map((_, index) => titleScores.of(index)));
  const dense = scaled(
    readable.map(({ community }) => (vector && community.embedding ? dot(vector, community.embedding) : 0)),
  );
  const size = scaled(readable.map(({ community }) => Math.log1p(community.chunkCount)));
  let at = 0;
  return readable.map(({ community, points }, index) => ({
    community,
    points: points
      .map((point, order) => ({ point, score: pointScores.of(at++), order }))
      .sort((a, b) => b.score - a.score || a.order - b.order),
    score: (1 - SIZE) * 0.5 * (lexical[index]! + dense[index]!) + SIZE * size[index]!,
  }));
}

function diversified(candidates: readonly Candidate[], k: number): Candidate[] {
  const left = [...candidates];
  const chosen: Candidate[] = [];
  while (chosen.length < k && left.length > 0) {
    let best = 0;
    let highest = Number.NEGATIVE_INFINITY;
    left.forEach((candidate, index) => {
      const alike = Math.max(0, ...chosen.map((other) => likeness(candidate.community, other.community)));
      const value = (1 - DIVERSITY) * candidate.score - DIVERSITY * alike;
      if (value > highest) [best, highest] = [index, value];
    });
    chosen.push(...left.splice(best, 1));
  }
  return chosen;
}

function likeness(left: SummarisedCommunity, right: SummarisedCommunity): number {
  if (left.parentId === right.id || right.parentId === left.id) return 1;
  if (left.embedding && right.embedding) return dot(left.embedding, right.embedding);
  return left.parentId !== null && left.parentId === right.parentId ? 0.5 : 0;
}

function assemble(
  chosen: readonly Candidate[],
  taken: readonly (readonly SummaryPoint[])[],
  countTokens: (text: string) => number,
): CommunityContext {
  const passages: ContextPassage[] = [];
  const points = new Map<string, readonly SummaryPoint[]>();
  let tokens = 0;
  chosen.forEach(({ community, score }, index) => {
    const own = taken[index]!;
    if (own.length === 0) return;
    const id = `G${passages.length + 1}`;
    const text = own.map((point) => point.text).join('\n');
    const title = titleOf(community, own);
    passages.push({ id, kind: 'community', text, score, ...(title !== '' && { title }) });
    points.set(id, own);
    tokens += countTokens(title) + countTokens(text);
  });
  const chunkIds = [...new Set([...points.values()].flat().flatMap((point) => point.chunkIds))];
  return { passages, points, chunkIds, tokens };
}

/** Names of the community's title that the points say: the others may be somebody else's, or deleted. */
function titleOf(community: SummarisedCommunity, points: readonly SummaryPoint[]): string {
  const said = foldText(points.map(({ text }) => text).join('\n'));
  return community.title
    .split(TITLE_SEPARATOR)
    .filter((name) => said.includes(foldText(name)))
    .join(TITLE_SEPARATOR);
}

function scaled(values: readonly number[]): number[] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  return values.map((value) => (high > low ? (value - low) / (high - low) : 0));
}

function dot(left: Float32Array, right: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < left.length; i += 1) sum += left[i]! * right[i]!;
  return sum;
}
