import { Inject, Injectable } from '@nestjs/common';
import { type SqlClient, TenantDatabase, type TenantId } from '@sparkle/contracts';
import { readCorpusVersion } from '../adapters/postgres/corpus-version.js';
import { lockGraph } from '../adapters/postgres/graph-lock.js';
import {
  type EntityResolution,
  findResolution,
  insertAssignments,
  insertResolution,
  listResolutions,
  type ResolvableNode,
  readKeysInUse,
  readResolvable,
  readStatedDocuments,
  reprojectNodes,
  trackNodes,
} from '../adapters/postgres/resolution.store.js';
import {
  ArgumentInvalidError,
  NodeNotFoundError,
  ResolutionNotFoundError,
  ResolutionRefusedError,
} from '../errors.js';
import { normaliseEntityName } from '../extract/entity-name.js';
import { isUuid } from '../ingest/document.service.js';
import { type NodeSpec, nodeId } from './resolve-entities.js';

/** Who decides, and why; both stand in the log. */
export interface ResolutionReason {
  readonly actor: string;
  /** 1–500 characters. */
  readonly reason: string;
}

export interface MergeRequest extends ResolutionReason {
  /** The node that stays. */
  readonly keepId: string;
  /** 1–50 nodes that are the same thing. */
  readonly mergeIds: readonly string[];
}

export interface SplitRequest extends ResolutionReason {
  readonly nodeId: string;
  /** 1–1,000 of the documents that mention the node, not all of them: what they mean is something else. */
  readonly documentIds: readonly string[];
  /** What to call it, e.g. `Mercury (element)`, 1–160 characters. Default: the node's name and a number. */
  readonly name?: string | undefined;
}

const MOST_MERGED = 50;
const MOST_DOCUMENTS = 1000;
const MOST_LISTED = 200;
const MAX_REASON = 500;
const MAX_NAME = 160;

/**
 * Says which names are one entity and which are not, against what the rules made of them.
 *
 * A decision is kept beside what the documents state and never changes it: it holds for documents to come, for
 * documents that are uploaded again, and until it is undone; then the graph is as if it had never been taken.
 * Each is logged, moves the corpus version, and shows in snapshots from its commit on.
 */
@Injectable()
export class EntityResolutionService {
  constructor(@Inject(TenantDatabase) private readonly database: TenantDatabase) {}

  /**
   * Makes nodes one: mentions, statements and names of `mergeIds` become those of `keepId`.
   * @throws NodeNotFoundError when a node is not in the graph.
   * @throws ResolutionRefusedError when a concept of a course would go: its data have no other place.
   * @throws ArgumentInvalidError for too many or doubled ids, or a bad reason.
   */
  async merge(tenantId: TenantId, request: MergeRequest): Promise<EntityResolution> {
    const { keepId, mergeIds } = request;
    checkReason(request);
    checkIds('mergeIds', mergeIds, MOST_MERGED);
    if (mergeIds.includes(keepId))
      throw new ArgumentInvalidError('"mergeIds" must not contain the node that stays.');
    return this.decide(tenantId, async (sql) => {
      const [keep, ...merged] = await this.nodes(sql, tenantId, [keepId, ...mergeIds]);
      if (merged.some((node) => node.claimed))
        throw new ResolutionRefusedError(
          'A concept of a course can take in others and cannot be merged away.',
        );
      await trackNodes(sql, tenantId, [keepId, ...mergeIds]);
      const resolutionId = await insertResolution(sql, tenantId, {
        kind: 'merge',
        actor: request.actor,
        reason: request.reason.trim(),
        sourceIds: mergeIds,
        target: specOf(keep!),
        moved: {
          documents: sum(merged, 'documents'),
          mentions: sum(merged, 'mentions'),
          statements: sum(merged, 'statements'),
        },
      });
      await insertAssignments(
        sql,
        tenantId,
        resolutionId,
        mergeIds.map((id) => ({ nodeId: id, documentId: null, targetId: keepId, becauseOf: null })),
      );
      await reprojectNodes(sql, tenantId, [keepId, ...mergeIds]);
      return resolutionId;
    });
  }

  /**
   * Makes what some documents mean by a node a node of its own, or part of the node that has the name already.
   * @throws NodeNotFoundError when the node is not in the graph.
   * @throws ResolutionRefusedError when a document does not mention the node, when all of them would move, when
   * the name is the node's own, or when the course that describes the node would move.
   * @throws ArgumentInvalidError for too many or doubled documents, a bad name or a bad reason.
   */
  async split(tenantId: TenantId, request: SplitRequest): Promise<EntityResolution> {
    checkReason(request);
    checkIds('documentIds', request.documentIds, MOST_DOCUMENTS);
    const wanted = request.name?.trim();
    if (wanted !== undefined && (wanted.length > MAX_NAME || normaliseEntityName(wanted) === ''))
      throw new ArgumentInvalidError(`"name" must have 1 to ${MAX_NAME} characters, not all of them blank.`);
    return this.decide(tenantId, async (sql) => {
      const [node] = await this.nodes(sql, tenantId, [request.nodeId]);
      const stated = await readStatedDocuments(sql, tenantId, request.nodeId);
      const mentions = new Map(stated.map(({ documentId, mentions }) => [documentId, mentions]));
      if (request.documentIds.some((id) => !mentions.has(id)))
        throw new ResolutionRefusedError('Only documents that mention the entity can be split off.');
      if (request.documentIds.length === stated.length)
        throw new ResolutionRefusedError('A split must leave the entity at least one document.');
      if (node!.claimed && request.documentIds.includes(node!.claimedByDocument ?? ''))
        throw new ResolutionRefusedError('The course that describes the concept cannot be split off.');
      const target = wanted ? this.named(tenantId, wanted, node!) : await this.numbered(sql, tenantId, node!);
      if (target.id === node!.id)
        throw new ResolutionRefusedError('The new entity needs another name than the one it is split from.');
      await trackNodes(sql, tenantId, [node!.id, target.id]);
      const resolutionId = await insertResolution(sql, tenantId, {
        kind: 'split',
        actor: request.actor,
        reason: request.reason.trim(),
        sourceIds: [node!.id],
        target,
        moved: {
          documents: request.documentIds.length,
          mentions: request.documentIds.reduce((total, id) => total + mentions.get(id)!, 0),
          statements: 0,
        },
      });
      await insertAssignments(
        sql,
        tenantId,
        resolutionId,
        request.documentIds.map((documentId) => ({
          nodeId: node!.id,
          documentId,
          targetId: target.id,
          becauseOf: null,
        })),
      );
      await reprojectNodes(sql, tenantId, [node!.id, target.id]);
      return resolutionId;
    });
  }

  /**
   * Takes a decision back, a user's or a rule's, whatever was decided since; those later ones keep their meaning.
   * A rule does not decide the same again.
   * @throws ResolutionNotFoundError when there is no such decision.
   * @throws ResolutionRefusedError when it is undone already, or is an undo itself.
   */
  async undo(
    tenantId: TenantId,
    request: ResolutionReason & { readonly resolutionId: string },
  ): Promise<EntityResolution> {
    checkReason(request);
    return this.decide(tenantId, async (sql) => {
      const undone = isUuid(request.resolutionId)
        ? await findResolution(sql, tenantId, request.resolutionId)
        : undefined;
      if (!undone) throw new ResolutionNotFoundError();
      if (undone.kind === 'undo')
        throw new ResolutionRefusedError('An undo cannot be undone; decide anew instead.');
      if (undone.undoneBy !== null) throw new ResolutionRefusedError('The decision is undone already.');
      const nodes = [...undone.sourceIds, undone.target.id];
      const id = await insertResolution(sql, tenantId, {
        kind: 'undo',
        actor: request.actor,
        reason: request.reason.trim(),
        sourceIds: undone.sourceIds,
        target: undone.target,
        moved: undone.moved,
        undoes: undone.id,
      });
      await reprojectNodes(sql, tenantId, nodes);
      return id;
    });
  }

  /**
   * Decisions, newest first, `limit` (1–200, default 50) at a time; `before` is the number of the last one of the
   * page before. Those about one node when `nodeId` is given.
   * @throws ArgumentInvalidError when `limit` is out of range.
   */
  async list(
    tenantId: TenantId,
    page: { limit?: number | undefined; before?: number | undefined; nodeId?: string | undefined } = {},
  ): Promise<EntityResolution[]> {
    const limit = page.limit ?? 50;
    if (!Number.isInteger(limit) || limit < 1 || limit > MOST_LISTED)
      throw new ArgumentInvalidError(`A page has 1 to ${MOST_LISTED} decisions.`);
    if (page.nodeId !== undefined && !isUuid(page.nodeId)) return [];
    return this.database.withTenant(tenantId, (sql) => listResolutions(sql, tenantId, { ...page, limit }));
  }

  private decide(tenantId: TenantId, work: (sql: SqlClient) => Promise<string>): Promise<EntityResolution> {
    return this.database.withTenant(tenantId, async (sql) => {
      await lockGraph(sql, tenantId);
      await readCorpusVersion(sql, tenantId);
      const id = await work(sql);
      return (await findResolution(sql, tenantId, id))!;
    });
  }

  /** Nodes in the order of `ids`. */
  private async nodes(sql: SqlClient, tenantId: TenantId, ids: readonly string[]): Promise<ResolvableNode[]> {
    const found = new Map(
      (await readResolvable(sql, tenantId, ids.filter(isUuid))).map((node) => [node.id, node]),
    );
    return ids.map((id) => {
      const node = found.get(id.toLowerCase());
      if (!node) throw new NodeNotFoundError(id);
      return node;
    });
  }

  private named(tenantId: TenantId, name: string, like: NodeSpec): NodeSpec {
    const key = normaliseEntityName(name);
    return { id: nodeId(tenantId, key), key, name, type: like.type };
  }

  private async numbered(sql: SqlClient, tenantId: TenantId, like: NodeSpec): Promise<NodeSpec> {
    for (let number = 2; ; number += 1) {
      const spec = this.named(tenantId, `${like.name} (${number})`, like);
      if (!(await readKeysInUse(sql, tenantId, spec.key))) return spec;
    }
  }
}

function specOf({ id, key, name, type }: NodeSpec): NodeSpec {
  return { id, key, name, type };
}

function sum(nodes: readonly ResolvableNode[], count: 'documents' | 'mentions' | 'statements'): number {
  return nodes.reduce((total, node) => total + node[count], 0);
}

function checkReason({ reason }: ResolutionReason): void {
  const length = reason.trim().length;
  if (length < 1 || length > MAX_REASON || reason.includes('\u0000'))
    throw new ArgumentInvalidError(
      `"reason" must have 1 to ${MAX_REASON} characters, not all of them blank.`,
    );
}

function checkIds(name: string, ids: readonly string[], most: number): void {
  if (ids.length < 1 || ids.length > most || new Set(ids).size !== ids.length)
    throw new ArgumentInvalidError(`"${name}" must have 1 to ${most} different ids.`);
}
