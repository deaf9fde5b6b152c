import type { TenantId } from '@sparkle/contracts';
import type { Decisions } from './decisions.js';
import { edgeId, type ResolvedGraph } from './resolve-entities.js';

export interface OriginMention {
  readonly nodeId: string;
  readonly chunkId: string;
  readonly documentId: string;
  readonly count: number;
}

export interface OriginAlias {
  readonly nodeId: string;
  readonly aliasKey: string;
  readonly alias: string;
  readonly documentId: string;
}

export interface OriginEvidence {
  readonly sourceId: string;
  readonly targetId: string;
  readonly type: string;
  readonly chunkId: string;
  readonly documentId: string;
  readonly statement: string;
  readonly confidence: number;
  /** Those of the edge, where the document gave them. */
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** What documents state of some nodes, without anybody's decisions. */
export interface OriginRows {
  readonly mentions: readonly OriginMention[];
  readonly aliases: readonly OriginAlias[];
  readonly evidence: readonly OriginEvidence[];
}

/** The rows that decisions make of what documents state. */
export type ProjectedRows = Pick<ResolvedGraph, 'mentions' | 'aliases' | 'edges' | 'evidence'>;

/**
 * The graph's rows under decisions: every mention stays one of its passage, statements move with their ends, what
 * becomes a statement of a node about itself is left out, and a node is also called what was decided to be it.
 * Counts of one passage add up; of two statements of one passage the surer is kept.
 *
 * @param nodes normal form and name of every node the rows speak of, and of their targets.
 */
export function projectOrigins(
  tenantId: TenantId,
  rows: OriginRows,
  decisions: Decisions,
  nodes: ReadonlyMap<string, { readonly key: string; readonly name: string }>,
): ProjectedRows {
  const mentions = new Map<string, ProjectedRows['mentions'][number]>();
  const aliases = new Map<string, ProjectedRows['aliases'][number]>();
  const call = (nodeId: string, documentId: string, aliasKey: string, alias: string) => {
    if (aliasKey === nodes.get(nodeId)?.key) return;
    const id = `${aliasKey}\n${nodeId}\n${documentId}`;
    const known = aliases.get(id);
    if (!known || alias < known.alias) aliases.set(id, { nodeId, aliasKey, alias, documentId });
  };
  for (const { nodeId: origin, chunkId, documentId, count } of rows.mentions) {
    const nodeId = decisions.nodeOf(origin, documentId);
    const id = `${nodeId}\n${chunkId}`;
    const before = mentions.get(id)?.count ?? 0;
    mentions.set(id, { nodeId, chunkId, documentId, count: before + count });
    const own = nodes.get(origin);
    if (nodeId !== origin && own) call(nodeId, documentId, own.key, own.name);
  }
  for (const { nodeId, aliasKey, alias, documentId } of rows.aliases)
    call(decisions.nodeOf(nodeId, documentId), documentId, aliasKey, alias);

  const edges = new Map<string, ProjectedRows['edges'][number]>();
  const evidence = new Map<string, ProjectedRows['evidence'][number]>();
  for (const row of rows.evidence) {
    const sourceId = decisions.nodeOf(row.sourceId, row.documentId);
    const targetId = decisions.nodeOf(row.targetId, row.documentId);
    if (sourceId === targetId) continue;
    const id = edgeId(tenantId, sourceId, targetId, row.type);
    const edge = edges.get(id);
    if (!edge || originOf(row.attributes) > originOf(edge.attributes))
      edges.set(id, { id, sourceId, targetId, type: row.type, attributes: row.attributes });
    const place = `${id}\n${row.chunkId}`;
    const known = evidence.get(place);
    const surer =
      !known ||
      row.confidence > known.confidence ||
      (row.confidence === known.confidence && row.statement < known.statement);
    if (surer) {
      const { chunkId, documentId, statement, confidence } = row;
      evidence.set(place, { edgeId: id, chunkId, documentId, statement, confidence });
    }
  }
  return {
    mentions: [...mentions.values()],
    aliases: [...aliases.values()],
    edges: [...edges.values()],
    evidence: [...evidence.values()],
  };
}

function originOf(attributes: Readonly<Record<string, unknown>>): string {
  return typeof attributes.documentId === 'string' ? attributes.documentId : '';
}
