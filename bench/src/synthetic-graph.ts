import type { Random } from '@sparkle/contracts';
import type { SnapshotRows } from '@sparkle/graphrag';

const WORDS = 20_000;
const WORDS_PER_PASSAGE = 80;
const MENTIONS_PER_PASSAGE = 8;
const EDGES_PER_PASSAGE = 10;
/** Statements tried for each passage: some repeat an edge that others state, too. */
const STATEMENTS_PER_PASSAGE = 14;
const NODES_PER_PASSAGE = 2;

/** A question about two entities of the graph. */
export interface SyntheticQuestion {
  readonly text: string;
  readonly vector: Float32Array;
}

export interface SyntheticGraph {
  readonly rows: SnapshotRows;
  readonly questions: readonly SyntheticQuestion[];
  /** The embedding of passage number `at`. */
  vectorOf(at: number): Float32Array;
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

/** Ids of one kind that rise with their numbers. */
const idsOf = (kind: number) => (index: number) =>
  `${kind.toString(16).padStart(8, '0')}-0000-8000-8000-${index.toString(16).padStart(12, '0')}`;
const nodeId = idsOf(1);
const chunkId = idsOf(2);
const documentId = idsOf(3);
const edgeId = idsOf(4);

/**
 * A graph of about `edgeCount` edges, a fifth as many nodes and a tenth as many passages, made of nothing: words and
 * entities are drawn from Zipf-like distributions, so a few are everywhere and most are rare, as in texts.
 */
export function syntheticGraph(
  edgeCount: number,
  { questions, dimensions, random }: { questions: number; dimensions: number; random: Random },
): SyntheticGraph {
  const below = (bound: number) => Math.floor(random.next() * bound);
  const zipf = (bound: number) => Math.min(bound - 1, Math.floor(bound ** random.next()) - 1);
  const passages = Math.ceil(edgeCount / EDGES_PER_PASSAGE);
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

  // Every node is mentioned somewhere: two of its own in each passage, the others by chance.
  const mentionedBy = Array.from({ length: passages }, (_, passage) => [
    ...new Set([
      2 * passage,
      2 * passage + 1,
      ...Array.from({ length: MENTIONS_PER_PASSAGE - NODES_PER_PASSAGE }, nodeOf),
    ]),
  ]);
  const numbers = new Map<string, number>();
  const edges: SnapshotRows['edges'][number][] = [];
  const evidence: SnapshotRows['evidence'][number][] = [];
  mentionedBy.forEach((nodes, passage) => {
    const stated = new Set<string>();
    for (let at = 0; at < STATEMENTS_PER_PASSAGE; at += 1) {
      const source = nodes[below(nodes.length)]!;
      const target = nodes[below(nodes.length)]!;
      const pair = `${source} ${target}`;
      if (source === target || stated.has(pair)) continue;
      stated.add(pair);
      const known = numbers.get(pair);
      const edge = known ?? edges.length;
      if (known === undefined) {
        numbers.set(pair, edge);
        const type = below(2) === 0 ? 'related_to' : word(below(50));
        const sourceId = nodeId(source);
        const targetId = nodeId(target);
        edges.push({ id: edgeId(edge), sourceId, targetId, type, weight: 1, confidence: 0.8 });
      } else edges[edge] = { ...edges[edge]!, weight: edges[edge]!.weight + 1 };
      const statement = `${nameOf(source)} ${word(zipf(WORDS))} ${word(zipf(WORDS))} ${nameOf(target)}.`;
      evidence.push({ edgeId: edgeId(edge), chunkId: chunkId(passage), statement });
    }
  });

  const vectors = Array.from({ length: passages }, () =>
    Float32Array.from({ length: dimensions }, () => random.next() - 0.5),
  );
  const asked = Array.from({ length: questions }, () => {
    const passage = below(passages);
    const [from, to] = [mentionedBy[passage]![0]!, nodeOf()];
    const words = Array.from({ length: 4 }, () => word(zipf(WORDS))).join(' ');
    return {
      text: `How is ${capitalised(nameOf(from))} ${words} related to ${capitalised(nameOf(to))}?`,
      vector: vectors[passage]!.map((value) => value + 0.1 * (random.next() - 0.5)),
    };
  });
  return {
    rows: {
      nodes: Array.from({ length: nodeCount }, (_, node) => ({
        id: nodeId(node),
        key: nameOf(node),
        name: capitalised(nameOf(node)),
        type: 'term',
        aliasKeys: [],
        aliases: [],
      })),
      edges,
      chunks: mentionedBy.map((nodes, passage) => ({
        id: chunkId(passage),
        documentId: documentId(passage),
        documentTitle: capitalised(nameOf(nodes[0]!)),
        ordinal: 0,
        headings: [],
        text: text(nodes),
        tokens: WORDS_PER_PASSAGE + 30,
      })),
      mentions: mentionedBy.flatMap((nodes, passage) =>
        nodes.map((node) => ({ nodeId: nodeId(node), chunkId: chunkId(passage), count: 1 })),
      ),
      evidence,
    },
    questions: asked,
    vectorOf: (at) => vectors[at]!,
  };
}

function capitalised(name: string): string {
  return name.replace(/\b\p{Ll}/gu, (letter) => letter.toUpperCase());
}
