import { Inject, Injectable } from '@nestjs/common';
import { TenantDatabase, type TenantId } from '@sparkle/contracts';
import {
  type EntityHit,
  findNodes,
  nearestNames,
  searchNodes,
} from '../adapters/postgres/node-search.store.js';
import { ArgumentInvalidError, NodeNotFoundError, QueryInvalidError } from '../errors.js';
import type { GraphSnapshot } from '../index/graph-snapshot.js';
import type { EntityType, GraphPath, SnapshotEdge } from '../model.js';
import { findPaths } from '../retrieve/find-paths.js';
import { SnapshotProvider } from './snapshot-provider.js';

export interface NeighbourNode {
  readonly id: string;
  readonly name: string;
  readonly type: EntityType;
  readonly aliases: readonly string[];
  /** Edges between it and the centre; 0 for the centre. */
  readonly depth: number;
}

export interface Neighbourhood {
  /** The centre first, then by depth, the surest and best stated neighbours first. */
  readonly nodes: readonly NeighbourNode[];
  /** All edges between these nodes. */
  readonly edges: readonly SnapshotEdge[];
  /** True when `limit` left neighbours out. */
  readonly truncated: boolean;
  readonly corpusVersion: number;
}

const MAX_QUERY_LENGTH = 200;
const MAX_DEPTH = 3;

/** Looks into a tenant's published knowledge graph. */
@Injectable()
export class GraphService {
  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(SnapshotProvider) private readonly snapshots: SnapshotProvider,
  ) {}

  /**
   * Entities called like `query`: by name, by alias, or similar to either. `limit` 1–100, default 20.
   * @throws QueryInvalidError for a blank query or one over 200 characters.
   * @throws ArgumentInvalidError when `limit` is out of range.
   */
  async searchEntities(tenantId: TenantId, query: string, limit = 20): Promise<EntityHit[]> {
    const text = query.normalize('NFKC').trim();
    if (!text || text.length > MAX_QUERY_LENGTH || text.includes('\u0000'))
      throw new QueryInvalidError(MAX_QUERY_LENGTH);
    checkRange('limit', limit, 1, 100);
    return this.database.withTenant(tenantId, (sql) => searchNodes(sql, tenantId, text, limit));
  }

  /**
   * What surrounds a node, up to `depth` (1–3, default 1) edges away in either direction and at most `limit`
   * (1–500, default 50) nodes, the centre included.
   * @param node an id, a name or an alias.
   * @throws NodeNotFoundError with the nearest names.
   * @throws ArgumentInvalidError when `depth` or `limit` is out of range.
   */
  async neighbourhood(
    tenantId: TenantId,
    node: string,
    options: { depth?: number; limit?: number } = {},
  ): Promise<Neighbourhood> {
    const depth = options.depth ?? 1;
    const limit = options.limit ?? 50;
    checkRange('depth', depth, 1, MAX_DEPTH);
    checkRange('limit', limit, 1, 500);
    const [[centre], { version, snapshot }] = await this.locate(tenantId, [node]);
    return { ...surroundings(snapshot, centre!, depth, limit), corpusVersion: version };
  }

  /**
   * The `k` (1–20, default 3) best chains of relations between two nodes, up to `maxHops` (1–8, default 5)
   * edges long. Empty when nothing connects them.
   * @param from an id, a name or an alias; so is `to`.
   * @throws NodeNotFoundError with the nearest names.
   * @throws ArgumentInvalidError when `k` or `maxHops` is out of range.
   */
  async paths(
    tenantId: TenantId,
    from: string,
    to: string,
    options: { k?: number; maxHops?: number } = {},
  ): Promise<GraphPath[]> {
    const k = options.k ?? 3;
    const maxHops = options.maxHops ?? 5;
    checkRange('k', k, 1, 20);
    checkRange('maxHops', maxHops, 1, 8);
    const [[source, target], { snapshot }] = await this.locate(tenantId, [from, to]);
    return findPaths(snapshot, source!, target!, { count: k, maxHops });
  }

  private async locate(
    tenantId: TenantId,
    references: readonly string[],
  ): Promise<[string[], { version: number; snapshot: GraphSnapshot }]> {
    const ids = await this.database.withTenant(tenantId, async (sql) => {
      const usable = references.map((reference) => reference.replaceAll('\u0000', ''));
      const found = await findNodes(sql, tenantId, usable);
      const missing = usable.find((reference) => !found.has(reference));
      if (missing !== undefined)
        throw new NodeNotFoundError(missing, await nearestNames(sql, tenantId, missing));
      return usable.map((reference) => found.get(reference)!.id);
    });
    let current = await this.snapshots.current(tenantId);
    if (ids.some((id) => !current.snapshot.nodeIndex.has(id)))
      current = await this.snapshots.current(tenantId, 'latest');
    ids.forEach((id, index) => {
      // Deleted between the two looks.
      if (!current.snapshot.nodeIndex.has(id)) throw new NodeNotFoundError(references[index]!);
    });
    return [ids, current];
  }
}

/** Breadth first; of one node's edges the surest come first, then those stated most often. */
function surroundings(
  snapshot: GraphSnapshot,
  centreId: string,
  depth: number,
  limit: number,
): Omit<Neighbourhood, 'corpusVersion'> {
  const { edges, nodeEdges } = snapshot;
  const centre = snapshot.nodeIndex.get(centreId)!;
  const depths = new Map([[centre, 0]]);
  const queue = [centre];
  let truncated = false;
  for (const node of queue) {
    const next = depths.get(node)! + 1;
    if (next > depth) break;
    const around = [
      ...nodeEdges.columns.subarray(nodeEdges.offsets[node]!, nodeEdges.offsets[node + 1]!),
    ].sort(
      (a, b) => edges.confidence[b]! - edges.confidence[a]! || edges.weight[b]! - edges.weight[a]! || a - b,
    );
    for (const edge of around) {
      const other = edges.source[edge] === node ? edges.target[edge]! : edges.source[edge]!;
      if (depths.has(other)) continue;
      if (depths.size >= limit) {
        truncated = true;
        break;
      }
      depths.set(other, next);
      queue.push(other);
    }
  }
  const inside = new Set<number>();
  for (const node of queue)
    for (let at = nodeEdges.offsets[node]!; at < nodeEdges.offsets[node + 1]!; at += 1) {
      const edge = nodeEdges.columns[at]!;
      if (depths.has(edges.source[edge]!) && depths.has(edges.target[edge]!)) inside.add(edge);
    }
  return {
    nodes: queue.map((index) => {
      const { id, name, type, aliases } = snapshot.nodes[index]!;
      return { id, name, type, aliases, depth: depths.get(index)! };
    }),
    edges: [...inside]
      .sort((a, b) => a - b)
      .map((edge) => ({
        id: edges.ids[edge]!,
        sourceId: snapshot.nodes[edges.source[edge]!]!.id,
        targetId: snapshot.nodes[edges.target[edge]!]!.id,
        type: edges.typeNames[edges.type[edge]!]!,
        weight: edges.weight[edge]!,
        confidence: edges.confidence[edge]!,
      })),
    truncated,
  };
}

function checkRange(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new ArgumentInvalidError(`"${name}" must be a whole number from ${least} to ${most}.`);
}
