import type { Random } from '@sparkle/contracts';
import type { SnapshotRows, VectorHit, VectorIndex } from '@sparkle/graphrag';

const WORDS = 20_000;
const WORDS_PER_PASSAGE = 80;
const MENTIONS_PER_PASSAGE = 6;
const EDGES_PER_PASSAGE = 4;
const NODES_PER_PASSAGE = 2;
const NEIGHBOURS = 100;

/** A question about two entities of the graph. */
export interface SyntheticQuestion {
  readonly text: string;
  readonly vector: Float32Array;
}

export interface SyntheticGraph {
  readonly rows: SnapshotRows;
  readonly questions: readonly SyntheticQuestion[];
  /** Knows the nearest passages of each question beforehand: searching vectors costs nothing here. */
  readonly vectors: VectorIndex;
}

const SYLLABLES = 'ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu'.split(' ');

/** The same number, always the same word of four syllables. */
function word(index: number): string {
  let rest = index;
  let text = '';
  for (let at = 0; at < 4; at += 1) {
    text += SYLLABLES[rest % SYLLABLES.length];
    rest = Math.floor(rest / SYLLABLES.length);
  }
  return text;
}

/**
 * A graph as large as one that many documents leave, made of nothing: words and entities are drawn from
 * Zipf-like distributions, so a few are everywhere and most are rare, as in texts.
 */
export function syntheticGraph(passages: number, questions: number, random: Random): SyntheticGraph {
  const below = (bound: number) => Math.floor(random.next() * bound);
  const zipf = (bound: number) => Math.min(bound - 1, Math.floor(bound ** random.next()) - 1);
  const nodeCount = passages * NODES_PER_PASSAGE;
  // Rare words name entities, so that a name is not an everyday word.
  const nameOf = (node: number) => `${word(WORDS + (node % 9_973))} ${word(2 * WORDS + node)}`;
  const nodeOf = () => zipf(nodeCount);
  const text = (mentioned: readonly number[]) => {
    const words = Array.from({ length: WORDS_PER_PASSAGE }, () => word(zipf(WORDS)));
    mentioned.forEach((node, at) => {
      words[at * 10] = nameOf(node);
    });
    return `${words.join(' ')}.`;
  };

  const mentionedBy = Array.from({ length: passages }, () => [
    ...new Set(Array.from({ length: MENTIONS_PER_PASSAGE }, nodeOf)),
  ]);
  const edges = new Map<string, SnapshotRows['edges'][number]>();
  const evidence: SnapshotRows['evidence'][number][] = [];
  mentionedBy.forEach((nodes, passage) => {
    for (let at = 0; at < EDGES_PER_PASSAGE; at += 1) {
      const source = nodes[below(nodes.length)]!;
      const target = nodes[below(nodes.length)]!;
      if (source === target) continue;
      const id = `e${source}-${target}`;
      edges.set(id, {
        id,
        sourceId: `n${source}`,
        targetId: `n${target}`,
        type: 'related_to',
        weight: 1,
        confidence: 0.8,
      });
      const statement = `${nameOf(source)} ${word(zipf(WORDS))} ${word(zipf(WORDS))} ${nameOf(target)}.`;
      evidence.push({ edgeId: id, chunkId: `c${passage}`, statement });
    }
  });

  const rows: SnapshotRows = {
    nodes: Array.from({ length: nodeCount }, (_, node) => ({
      id: `n${node}`,
      key: nameOf(node),
      name: nameOf(node),
      type: 'term',
      aliasKeys: [],
      aliases: [],
    })),
    edges: [...edges.values()],
    chunks: mentionedBy.map((nodes, passage) => ({
      id: `c${passage}`,
      documentId: `d${passage}`,
      documentTitle: nameOf(nodes[0]!),
      ordinal: 0,
      headings: [],
      text: text(nodes),
      tokens: WORDS_PER_PASSAGE + 30,
    })),
    mentions: mentionedBy.flatMap((nodes, passage) =>
      nodes.map((node) => ({ nodeId: `n${node}`, chunkId: `c${passage}`, count: 1 })),
    ),
    evidence,
  };

  const neighbours = new Map<Float32Array, readonly VectorHit[]>();
  const asked = Array.from({ length: questions }, () => {
    const passage = below(passages);
    const [from, to] = [mentionedBy[passage]![0]!, nodeOf()];
    const vector = new Float32Array(1);
    neighbours.set(
      vector,
      Array.from({ length: NEIGHBOURS }, (_, rank) => ({
        chunkId: `c${rank === 0 ? passage : below(passages)}`,
        similarity: 0.9 - rank / 200,
      })),
    );
    const words = Array.from({ length: 4 }, () => word(zipf(WORDS))).join(' ');
    return { text: `How is ${nameOf(from)} ${words} related to ${nameOf(to)}?`, vector };
  });
  return {
    rows,
    questions: asked,
    vectors: { search: async (vector, k) => (neighbours.get(vector) ?? []).slice(0, k) },
  };
}
