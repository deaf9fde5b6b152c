import { createHash } from 'node:crypto';
import { setImmediate as nextTick } from 'node:timers/promises';
import type {
  CommunityMember,
  CommunityState,
  FoundCommunity,
  StoredCommunity,
} from '../adapters/postgres/community.store.js';
import { deterministicId } from '../ingest/deterministic-id.js';
import { TITLE_SEPARATOR } from './community-context.js';
import type { CommunityGraph } from './community-graph.js';
import { extendPartition } from './extend-partition.js';
import { matchCommunities } from './match-communities.js';
import { type Partition, renumbered } from './partition.js';
import { inSlices } from './slices.js';

/** Names in a community's title. */
const TITLE_NAMES = 4;
/** When more than this share of the graph came or left, communities are found anew. */
const DRIFT = 0.2;

export interface PreviousCommunities {
  readonly state: CommunityState;
  readonly communities: readonly StoredCommunity[];
  readonly members: readonly { readonly memberId: string; readonly communityId: string }[];
}

export interface FoundCommunities {
  readonly communities: readonly FoundCommunity[];
  readonly members: readonly CommunityMember[];
  readonly generation: number;
  readonly drift: number;
}

/**
 * A tenant's communities, as like the previous ones as the graph allows. While little has changed, new nodes and
 * passages join the communities they are connected with, so that the others keep their summaries. After that they
 * are found anew, and get the ids of the earlier ones they overlap with most.
 */
export async function findCommunities(
  tenantId: string,
  graph: CommunityGraph,
  previous: PreviousCommunities | undefined,
  partition: (graph: CommunityGraph) => Promise<Partition>,
): Promise<FoundCommunities> {
  const generation = (previous?.state.generation ?? 0) + 1;
  const change = previous ? changeSince(graph, previous) : graph.vertexCount;
  const drift = (previous?.state.drift ?? 0) + change;
  const identify = (level: number, index: number) =>
    deterministicId(tenantId, 'community', String(generation), String(level), String(index));
  if (previous && drift <= DRIFT * graph.vertexCount)
    return { ...(await extended(graph, previous, identify)), generation, drift };
  const { fine, coarse } = await partition(graph);
  return { ...(await anew(graph, { fine, coarse }, previous, identify)), generation, drift: 0 };
}

/** Nodes and passages that came or left. */
function changeSince(graph: CommunityGraph, previous: PreviousCommunities): number {
  const before = new Set(previous.members.map(({ memberId }) => memberId));
  const stayed = graph.ids.filter((id) => before.has(id)).length;
  return before.size - stayed + graph.vertexCount - stayed;
}

type Identify = (level: number, index: number) => string;

function extended(
  graph: CommunityGraph,
  previous: PreviousCommunities,
  identify: Identify,
): Promise<Pick<FoundCommunities, 'communities' | 'members'>> {
  const fineIds = previous.communities.filter(({ level }) => level === 0).map(({ id }) => id);
  const numbers = new Map(fineIds.map((id, index) => [id, index]));
  const memberships = new Map(
    previous.members.map((row) => [row.memberId, numbers.get(row.communityId) ?? -1]),
  );
  const fine = extendPartition(
    graph,
    Int32Array.from(graph.ids, (id) => memberships.get(id) ?? -1),
  );
  const parents = new Map(previous.communities.map(({ id, parentId }) => [id, parentId]));
  const fineId = (community: number) => fineIds[community] ?? identify(0, community);
  const parentOf = (id: string) => parents.get(id) ?? null;
  return describe(
    graph,
    Array.from(fine, (community) => fineId(community)),
    (id) => parentOf(id),
  );
}

function anew(
  graph: CommunityGraph,
  { fine, coarse }: Partition,
  previous: PreviousCommunities | undefined,
  identify: Identify,
): Promise<Pick<FoundCommunities, 'communities' | 'members'>> {
  const numbered = renumbered(fine);
  const parentNumber = new Map<number, number>();
  numbered.forEach((community, vertex) => {
    parentNumber.set(community, coarse[vertex]!);
  });
  const groups = (of: ArrayLike<number>) => {
    const sets = new Map<number, Set<string>>();
    graph.ids.forEach((id, vertex) => {
      const known = sets.get(of[vertex]!);
      if (known) known.add(id);
      else sets.set(of[vertex]!, new Set([id]));
    });
    return sets;
  };
  const before = previousSets(previous);
  const named = (level: 0 | 1, sets: ReadonlyMap<number, ReadonlySet<string>>) => {
    const ids = matchCommunities([...sets.values()], before[level]);
    return new Map([...sets.keys()].map((number, index) => [number, ids[index] ?? identify(level, number)]));
  };
  const fineIds = named(0, groups(numbered));
  // A coarse community of one fine one says nothing that this does not say.
  const children = new Map<number, number>();
  for (const parent of parentNumber.values()) children.set(parent, (children.get(parent) ?? 0) + 1);
  const coarseIds = named(1, groups(coarse));
  const parents = new Map(
    [...parentNumber].map(([community, parent]) => [
      fineIds.get(community)!,
      children.get(parent)! > 1 ? coarseIds.get(parent)! : null,
    ]),
  );
  return describe(
    graph,
    Array.from(numbered, (community) => fineIds.get(community)!),
    (id) => parents.get(id) ?? null,
  );
}

function previousSets(
  previous: PreviousCommunities | undefined,
): [{ id: string; members: Set<string> }[], { id: string; members: Set<string> }[]] {
  const sets = new Map<string, Set<string>>();
  const parents = new Map(previous?.communities.map(({ id, parentId }) => [id, parentId]));
  const add = (id: string, member: string) => {
    const known = sets.get(id);
    if (known) known.add(member);
    else sets.set(id, new Set([member]));
  };
  for (const { memberId, communityId } of previous?.members ?? []) {
    add(communityId, memberId);
    const parent = parents.get(communityId);
    if (parent) add(parent, memberId);
  }
  const ofLevel = (level: 0 | 1) =>
    (previous?.communities ?? [])
      .filter((community) => community.level === level)
      .map(({ id }) => ({ id, members: sets.get(id) ?? new Set<string>() }));
  return [ofLevel(0), ofLevel(1)];
}

/** What communities consist of. Those without a passage have nothing to say and are left out. */
async function describe(
  graph: CommunityGraph,
  fineOf: readonly string[],
  parentOf: (fineId: string) => string | null,
): Promise<Pick<FoundCommunities, 'communities' | 'members'>> {
  const { nodeCount, rows, ids, rarity } = graph;
  const strength = new Float64Array(graph.vertexCount);
  const inside = new Map<string, string[]>();
  await inSlices(graph.source, (source, edge) => {
    const target = graph.target[edge]!;
    if (fineOf[source] !== fineOf[target]) return;
    strength[source]! += graph.weight[edge]! * rarity[source]!;
    strength[target]! += graph.weight[edge]! * rarity[target]!;
  });
  const numberOf = new Map(ids.map((id, vertex) => [id, vertex]));
  const shared = await sharedNodes(graph, numberOf);
  await inSlices(rows.edges, ({ id, sourceId, targetId }) => {
    const community = fineOf[numberOf.get(sourceId) ?? -1];
    if (community === undefined || community !== fineOf[numberOf.get(targetId) ?? -1]) return;
    const known = inside.get(community);
    if (known) known.push(id);
    else inside.set(community, [id]);
  });
  const fine = new Map<string, number[]>();
  await inSlices(fineOf, (community, vertex) => {
    const known = fine.get(community);
    if (known) known.push(vertex);
    else fine.set(community, [vertex]);
  });
  const communities: FoundCommunity[] = [];
  const coarse = new Map<string, { vertices: number[]; hashes: string[] }>();
  const add = (
    id: string,
    level: 0 | 1,
    parentId: string | null,
    vertices: readonly number[],
    hash: string,
  ) => {
    const nodes = vertices.filter((vertex) => vertex < nodeCount);
    const chunks = vertices.filter((vertex) => vertex >= nodeCount);
    const names = [...nodes]
      .sort((a, b) => shared[b]! - shared[a]! || strength[b]! - strength[a]! || a - b)
      .slice(0, TITLE_NAMES)
      .map((node) => rows.nodes[node]!.name.slice(0, 80));
    communities.push({
      id,
      level,
      parentId,
      title: names.join(TITLE_SEPARATOR),
      nodeCount: nodes.length,
      chunkCount: chunks.length,
      documentCount: new Set(chunks.map((chunk) => rows.chunks[chunk - nodeCount]!.documentId)).size,
      contentHash: hash,
    });
  };
  const members: CommunityMember[] = [];
  for (const [id, vertices] of fine) {
    await nextTick();
    if (!vertices.some((vertex) => vertex >= nodeCount)) continue;
    const parentId = parentOf(id);
    const hash = digest([...vertices.map((vertex) => ids[vertex]!), ...(inside.get(id) ?? [])]);
    add(id, 0, parentId, vertices, hash);
    for (const vertex of vertices)
      members.push({ memberId: ids[vertex]!, kind: vertex < nodeCount ? 'node' : 'chunk', communityId: id });
    if (parentId === null) continue;
    const parent = coarse.get(parentId) ?? { vertices: [], hashes: [] };
    for (const vertex of vertices) parent.vertices.push(vertex);
    parent.hashes.push(`${id} ${hash}`);
    coarse.set(parentId, parent);
  }
  for (const [id, { vertices, hashes }] of coarse) add(id, 1, null, vertices, digest(hashes));
  return { communities, members };
}

/** 1 for a node that several documents mention: it says more of a community than one document's title does. */
async function sharedNodes(
  { nodeCount, rows }: CommunityGraph,
  numberOf: ReadonlyMap<string, number>,
): Promise<Uint8Array> {
  const shared = new Uint8Array(nodeCount);
  const first = new Map<number, string>();
  await inSlices(rows.mentions, ({ nodeId, chunkId }) => {
    const [node, chunk] = [numberOf.get(nodeId), numberOf.get(chunkId)];
    if (node === undefined || chunk === undefined) return;
    const { documentId } = rows.chunks[chunk - nodeCount]!;
    const known = first.get(node);
    if (known === undefined) first.set(node, documentId);
    else if (known !== documentId) shared[node] = 1;
  });
  return shared;
}

function digest(parts: readonly string[]): string {
  return createHash('sha256')
    .update([...parts].sort().join('\n'))
    .digest('base64url');
}
