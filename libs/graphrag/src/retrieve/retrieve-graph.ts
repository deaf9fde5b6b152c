import { analyse } from '../index/analyse.js';
import { bestScored } from '../index/best-scored.js';
import type { GraphReader, LexicalHit } from '../index/graph-reader.port.js';
import { passageText } from '../index/passage-terms.js';
import type { RetrievalResult } from '../model.js';
import { bestChunks, type FlatScores, flatScores, rankedChunks } from './flat-scores.js';
import {
  findNames,
  type LinkedNode,
  linkEntities,
  linkPlurals,
  linkUnmatchedNames,
} from './link-entities.js';
import { personalisedPageRank, type VertexRanks } from './page-rank.js';
import { questionPaths } from './question-paths.js';
import { Rarity } from './rarity.js';
import { DEFAULT_CHUNK_LIMIT, type RetrievalDependencies, type RetrievalQuery } from './retrieval-query.js';
import { retrievePlain } from './retrieve-plain.js';
import { routeQuestion } from './route-question.js';

/** Stated edges whose words match the question best and whose ends become seeds. */
const LINKED_FACTS = 4;
/** Weight of names linked by similarity, against at most 1 for names linked in full and 1 for facts. */
const UNMATCHED_SHARE = 0.5;
/** Weight of the best flat passages among the seeds, and how many there are. */
const PASSAGE_PRIOR = 0.05;
const PRIOR_PASSAGES = 100;
const DAMPING = 0.75;
/** Measured on MuSiQue, 2Wiki and HotpotQA: recall@5 as with 1e-8, at a fiftieth of the work. */
const RANK_TOLERANCE = 1e-5;
/** Part of a chunk's score that is flat where the graph is trusted and where it is not. */
const FLAT_SHARE = { trusted: 0.3, distrusted: 0.9 } as const;
/** Mean specificity of the seeds up to which the graph is not trusted, and from which it is in full. */
const SPECIFICITY = { low: 0.65, high: 0.85 } as const;
/** What words of the question that the best chunk has count for the other chunks, where the graph is trusted. */
const COVERED_SHARE = 0.2;
/** Names less specific than this do not stand at the ends of paths: in 2,000 passages those that 140 have. */
const LEAST_END_SPECIFICITY = 0.35;
/** Ranks below this are all the same to the logarithm. */
const RANK_FLOOR = 1e-7;

/**
 * Retrieval over the graph. The question's entities (by name), the stated edges that match its words (BM25), and
 * faintly the best flat passages seed a personalised PageRank over nodes and chunks; nodes that lead to few
 * passages seed more. A chunk's score joins its flat score with the logarithm of its rank, scaled to `[0, 1]`: 0.3
 * to 0.7 where the seeds are specific, down to 0.9 to 0.1 where they lead everywhere, as the names of people who
 * speak in every passage do. After Gutiérrez et al., HippoRAG 2 (2025), with lexical instead of dense linking.
 *
 * What the best chunk has found is not looked for again: words of the question that it has count little for the
 * others, so that the next fact of a chain comes before passages that only resemble the first.
 *
 * Paths are those of {@link questionPaths}; names linked by similarity count there only when nothing is linked in
 * full. A question of which nothing is in the graph is answered by {@link retrievePlain}, and the result's
 * `strategy` says so.
 */
export async function retrieveGraph(
  reader: GraphReader,
  query: RetrievalQuery,
  dependencies: RetrievalDependencies,
): Promise<RetrievalResult> {
  const started = dependencies.clock.monotonic();
  const limit = query.limit ?? DEFAULT_CHUNK_LIMIT;
  const terms = [...new Set(analyse(query.question))];
  const without = new Set(query.without);
  const facts = await reader.searchFacts(terms, LINKED_FACTS);
  const names = await findNames(reader, query.question);
  const rarity = new Rarity(reader, !without.has('rarity'));
  await rarity.load(terms, names.nodes);
  const named = without.has('names') ? [] : linkEntities(reader, names, rarity);
  const similar = without.has('similar names') ? [] : await linkUnmatchedNames(reader, names, rarity);
  if (named.length === 0 && similar.length === 0 && facts.best.length === 0) {
    return retrievePlain(reader, query, dependencies);
  }
  const flat = await flatScores(reader, query, Math.max(limit, PRIOR_PASSAGES), dependencies);
  const { seeds, trust } = await seedWeights(reader, rarity, {
    terms,
    named,
    similar,
    facts: without.has('facts') ? [] : facts.best,
    flat: without.has('passage prior') ? [] : flat.best.slice(0, PRIOR_PASSAGES),
  });
  const ranks = await personalisedPageRank(reader, seeds, {
    damping: DAMPING,
    tolerance: RANK_TOLERANCE,
    ...(without.has('walk') && { rounds: 1 }),
  });
  const joined = await joinScores(reader, ranks, {
    flat,
    flatShare: without.has('flat scores') ? 0 : flatShareOf(without.has('trust') ? 1 : trust),
    limit,
  });
  const { scores, covered } = await discountCovered(reader, joined, {
    terms,
    flat,
    share: without.has('coverage') ? 0 : joined.flatShare * trust * (1 - COVERED_SHARE),
  });
  const chunks = await rankedChunks(reader, bestChunks(reader, scores, limit), scores);

  const certain = linkPlurals(reader, names, rarity);
  const linked = strongest(reader, [...certain, ...similar]);
  return {
    strategy: 'graph',
    route: routeQuestion({
      question: query.question,
      namedPlaces: new Set([...named, ...similar].map(({ place }) => place)).size,
      trust,
      coverage: rarity.coverage(terms, covered),
    }),
    chunks,
    paths: await questionPaths(reader, {
      question: query.question,
      linked: certain.length > 0 ? telling(reader, certain, rarity) : similar,
      factScores: (of) => facts.scores(of),
      ranks,
    }),
    linked: linked.map(({ node, weight }) => {
      const { id, name } = reader.node(node);
      return { id, name, weight };
    }),
    durationMs: dependencies.clock.monotonic() - started,
  };
}

/** What of a question was found in the graph. */
interface QuestionEvidence {
  readonly terms: readonly string[];
  readonly named: readonly LinkedNode[];
  readonly similar: readonly LinkedNode[];
  readonly facts: readonly LexicalHit[];
  /** Passages of the prior with their flat scores. */
  readonly flat: FlatScores['best'];
}

interface Seeds {
  /** Weights by vertex. */
  readonly seeds: ReadonlyMap<number, number>;
  /** In `[0, 1]`: how far the seeds say where to look. */
  readonly trust: number;
}

/**
 * Seeds of the walk. Each kind is scaled to its own share before they are added: names to the specificity of the
 * most specific one, facts to the part of the question that the best one covers.
 */
async function seedWeights(
  reader: GraphReader,
  rarity: Rarity,
  { terms, named, similar, facts, flat }: QuestionEvidence,
): Promise<Seeds> {
  const seeds = new Map<number, number>();
  let mass = 0;
  let specific = 0;
  const add = (weights: readonly (readonly [vertex: number, weight: number])[], share: number) => {
    const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [vertex, weight] of weights)
      seeds.set(vertex, (seeds.get(vertex) ?? 0) + (share * weight) / total);
  };
  const addNodes = (weights: readonly (readonly [node: number, weight: number])[], share: number) => {
    const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [node, weight] of weights) {
      mass += (share * weight) / total;
      specific += ((share * weight) / total) * rarity.specificity(node);
    }
    add(
      weights.map(([node, weight]) => [reader.nodeVertex(node), weight]),
      share,
    );
  };
  addNodes(
    named.map(({ node, weight }) => [node, weight]),
    Math.max(0, ...named.map(({ node }) => rarity.specificity(node))),
  );
  addNodes(
    similar.map(({ node, weight }) => [node, weight]),
    UNMATCHED_SHARE,
  );
  const stated = facts.map(({ ref, score }) => {
    const { edge, statement } = reader.fact(ref);
    const { source, target } = reader.edge(edge);
    return { ends: [source, target], statement, score };
  });
  const ends = new Set(stated.flatMap((fact) => fact.ends));
  await reader.loadNodes(ends);
  await rarity.load([], ends);
  const best = stated[0];
  if (best) {
    const text = [...best.ends.map((node) => reader.node(node).name), best.statement].join('\n');
    addNodes(
      stated.flatMap((fact) =>
        fact.ends.map((node) => [node, (fact.score / best.score) * rarity.of(node)] as const),
      ),
      rarity.coverage(terms, new Set(analyse(text))),
    );
  }
  add(
    flat.map(([chunk, score]) => [reader.chunkVertex(chunk), score]),
    PASSAGE_PRIOR,
  );
  const { low, high } = SPECIFICITY;
  const specificity = mass > 0 ? specific / mass : 0;
  return { seeds, trust: Math.min(1, Math.max(0, (specificity - low) / (high - low))) };
}

function flatShareOf(trust: number): number {
  return trust * FLAT_SHARE.trusted + (1 - trust) * FLAT_SHARE.distrusted;
}

/** Scores of chunks, of which `flatShare` is their flat score's part. */
interface JoinedScores {
  readonly scores: Map<number, number>;
  readonly flatShare: number;
}

/**
 * The joined scores of all chunks that can be among the best `limit`. A chunk the walk came to gets at least its
 * share for that and at most the whole flat share besides; one it did not come to has its flat score only.
 */
async function joinScores(
  reader: GraphReader,
  ranks: VertexRanks,
  { flat, flatShare, limit }: { flat: FlatScores; flatShare: number; limit: number },
): Promise<JoinedScores> {
  const floor = Math.log(RANK_FLOOR);
  let highest = floor;
  const reached = new Map<number, number>();
  for (const vertex of ranks.vertices) {
    const chunk = reader.vertexChunk(vertex);
    const rank = ranks.of(vertex);
    if (chunk === undefined || rank <= RANK_FLOOR) continue;
    reached.set(chunk, Math.log(rank));
    highest = Math.max(highest, Math.log(rank));
  }
  const range = highest - floor || 1;
  const shareOf = (chunk: number) => ((1 - flatShare) * ((reached.get(chunk) ?? floor) - floor)) / range;
  const sure = bestScored(reached.keys(), shareOf, limit, (left, right) => left < right);
  const least = sure.length < limit ? 0 : shareOf(sure.at(-1)!);
  const candidates = new Set(flat.best.map(([chunk]) => chunk));
  for (const chunk of reached.keys()) if (shareOf(chunk) + flatShare >= least) candidates.add(chunk);
  const chunks = [...candidates];
  const flatOf = await flat.of(chunks);
  const scores = new Map(chunks.map((chunk, at) => [chunk, flatShare * flatOf[at]! + shareOf(chunk)]));
  return { scores, flatShare };
}

/**
 * Takes from every chunk but the best one a share of what it scores for words that the best one has. No score falls
 * below the walk's part, so the chunks that can be among the best stay the same.
 */
async function discountCovered(
  reader: GraphReader,
  { scores }: JoinedScores,
  { terms, flat, share }: { terms: readonly string[]; flat: FlatScores; share: number },
): Promise<{ scores: ReadonlyMap<number, number>; covered: ReadonlySet<string> }> {
  const [first] = bestChunks(reader, scores, 1);
  if (first === undefined) return { scores, covered: new Set() };
  await reader.loadChunks([first]);
  const own = new Set(analyse(passageText(reader.chunk(first))));
  const covered = terms.filter((term) => own.has(term));
  if (covered.length > 0 && share > 0) {
    const others = [...scores.keys()].filter((chunk) => chunk !== first);
    const parts = await flat.partOf(covered, others);
    others.forEach((chunk, at) => {
      scores.set(chunk, scores.get(chunk)! - share * parts[at]!);
    });
  }
  return { scores, covered: new Set(covered) };
}

/**
 * Without words that lead everywhere, such as `American` or `name`, unless there are no others. Concepts of a course
 * and names of several words are meant when they are said, however often they occur.
 */
function telling(reader: GraphReader, linked: readonly LinkedNode[], rarity: Rarity): readonly LinkedNode[] {
  const specific = linked.filter(({ node }) => {
    const { type, name } = reader.node(node);
    return (
      type === 'concept' || analyse(name).length > 1 || rarity.specificity(node) >= LEAST_END_SPECIFICITY
    );
  });
  return specific.length > 0 ? specific : linked;
}

/** Linked nodes by falling weight, each once. */
function strongest(reader: GraphReader, linked: readonly LinkedNode[]): LinkedNode[] {
  const byNode = new Map<number, LinkedNode>();
  for (const entry of linked) {
    const known = byNode.get(entry.node);
    if (!known || known.weight < entry.weight) byNode.set(entry.node, entry);
  }
  return [...byNode.values()].sort(
    (left, right) =>
      right.weight - left.weight || (reader.nodeId(left.node) < reader.nodeId(right.node) ? -1 : 1),
  );
}
