import { Inject, Injectable } from '@nestjs/common';
import { TenantDatabase, type TenantId } from '@sparkle/contracts';
import {
  type EntityHit,
  findNodes,
  nearestNames,
  searchNodes,
} from '../adapters/postgres/node-search.store.js';
import { ArgumentInvalidError, NodeNotFoundError, QueryInvalidError } from '../errors.js';
import type { GraphReader, ReaderEdge } from '../index/graph-reader.port.js';
import type { EntityType, GraphPath, SnapshotEdge } from '../model.js';
import { describePaths, shortestPaths } from '../retrieve/find-paths.js';
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
    return this.located(tenantId, [node], async (reader, [centre]) => ({
      ...(await surroundings(reader, centre!, depth, limit)),
      corpusVersion: reader.version,
    }));
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
    return this.located(tenantId, [from, to], async (reader, [source, target]) =>
      describePaths(reader, await shortestPaths(reader, source!, target!, { count: k, maxHops })),
    );
  }

  /** Runs `work` with the nodes that the references mean. */
  private async located<T>(
    tenantId: TenantId,
    references: readonly string[],
    work: (reader: GraphReader, nodes: readonly number[]) => Promise<T>,
  ): Promise<T> {
    const ids = await this.database.withTenant(tenantId, async (sql) => {
      const usable = references.map((reference) => reference.replaceAll('\u0000', ''));
      const found = await findNodes(sql, tenantId, usable);
      const missing = usable.find((reference) => !found.has(reference));
      if (missing !== undefined)
        throw new NodeNotFoundError(missing, await nearestNames(sql, tenantId, missing));
      return usable.map((reference) => found.get(reference)!.id);
    });
    // A node may have been published after the graph at hand was read, or deleted since it was looked up.
    for (const freshness of ['affordable', 'latest'] as const) {
      const outcome = await this.snapshots.read(
        tenantId,
        async (reader): Promise<{ result: T } | undefined> => {
          const nodes = (await reader.nodesOf(ids)).filter((node) => node !== undefined);
          return nodes.length === ids.length ? { result: await work(reader, nodes) } : undefined;
        },
        freshness,
      );
      if (outcome) return outcome.result;
    }
    throw new NodeNotFoundError(references[0]!);
  }
}

/** Breadth first; of one node's edges the surest come first, then those stated most often. */
async function surroundings(
  reader: GraphReader,
  centre: number,
  depth: number,
  limit: number,
): Promise<Omit<Neighbourhood, 'corpusVersion'>> {
  const depths = new Map([[centre, 0]]);
  let level = [centre];
  let truncated = false;
  for (let next = 1; next <= depth && level.length > 0; next += 1) {
    await reader.loadEdges(level);
    const reached: number[] = [];
    for (const node of level) {
      for (const edge of surestFirst(reader, reader.edgesAt(node)!)) {
        const other = edge.source === node ? edge.target : edge.source;
        if (depths.has(other)) continue;
        if (depths.size >= limit) {
          truncated = true;
          break;
        }
        depths.set(other, next);
        reached.push(other);
      }
    }
    level = reached;
  }
  const nodes = [...depths.keys()];
  await reader.loadNodes(nodes);
  const among = await reader.edgesAmong(new Set(nodes));
  const inside = [...new Set(nodes.flatMap((node) => Array.from(among(node))))];
  inside.sort((left, right) => byId(reader, left, right));
  return {
    nodes: nodes.map((node) => {
      const { id, name, type, aliases } = reader.node(node);
      return { id, name, type, aliases, depth: depths.get(node)! };
    }),
    edges: inside.map((edge) => {
      const { source, target, type, weight, confidence } = reader.edge(edge);
      const [sourceId, targetId] = [reader.nodeId(source), reader.nodeId(target)];
      return { id: reader.edgeId(edge), sourceId, targetId, type, weight, confidence };
    }),
    truncated,
  };
}

function surestFirst(reader: GraphReader, edges: ArrayLike<number>): ReaderEdge[] {
  return Array.from(edges, (edge) => ({ edge, ...reader.edge(edge) })).sort(
    (left, right) =>
      right.confidence - left.confidence || right.weight - left.weight || byId(reader, left.edge, right.edge),
  );
}

function byId(reader: GraphReader, left: number, right: number): number {
  if (left === right) return 0;
  return reader.edgeId(left) < reader.edgeId(right) ? -1 : 1;
}

function checkRange(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new ArgumentInvalidError(`"${name}" must be a whole number from ${least} to ${most}.`);
}
