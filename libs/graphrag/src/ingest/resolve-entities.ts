import type { TenantId } from '@sparkle/contracts';
import { isAcronymOf, normaliseEntityName } from '../extract/entity-name.js';
import type { EntityType, ExtractedEntity, ExtractedRelation } from '../model.js';
import { deterministicId } from './deterministic-id.js';

/** An entity as ingestion keeps it. Course concepts carry their data and claim the node they resolve to. */
export interface ResolvableEntity extends ExtractedEntity {
  readonly description?: string | undefined;
  readonly attributes?:
    | Readonly<{ courseId: string; conceptId: string } & Record<string, unknown>>
    | undefined;
}

export interface ResolvableRelation extends ExtractedRelation {
  readonly attributes?: Readonly<Record<string, unknown>> | undefined;
}

/** What was extracted from one stored passage. */
export interface ChunkExtraction {
  readonly chunkId: string;
  readonly entities: readonly ResolvableEntity[];
  readonly relations: readonly ResolvableRelation[];
}

export interface DocumentExtraction {
  readonly documentId: string;
  readonly chunks: readonly ChunkExtraction[];
}

/** A node the tenant has already. */
export interface ExistingNode {
  readonly id: string;
  readonly key: string;
  readonly name: string;
  readonly type: EntityType;
  /** The course concept whose node it is, as `course/concept`: its name and data are the course's. */
  readonly claimedBy: string | null;
}

/** Nodes whose key or one of whose aliases is among the {@link namesToLookUp}. */
export interface ExistingNames {
  readonly nodes: readonly ExistingNode[];
  readonly aliases: readonly { readonly aliasKey: string; readonly nodeId: string }[];
}

export interface NodeRow {
  readonly id: string;
  readonly key: string;
  readonly name: string;
  readonly type: EntityType;
  readonly description: string | null;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** Rows to write, without duplicates, each list in order of its ids. */
export interface ResolvedGraph {
  readonly newNodes: readonly NodeRow[];
  readonly changedNodes: readonly NodeRow[];
  readonly aliases: readonly { nodeId: string; aliasKey: string; alias: string; documentId: string }[];
  readonly edges: readonly {
    id: string;
    sourceId: string;
    targetId: string;
    type: string;
    attributes: Readonly<Record<string, unknown>>;
  }[];
  readonly mentions: readonly { nodeId: string; chunkId: string; documentId: string; count: number }[];
  readonly evidence: readonly {
    edgeId: string;
    chunkId: string;
    documentId: string;
    statement: string;
    confidence: number;
  }[];
}

/** Normal forms of every name and alias of the documents. */
export function namesToLookUp(documents: readonly DocumentExtraction[]): string[] {
  const keys = new Set<string>();
  for (const document of documents)
    for (const chunk of document.chunks)
      for (const entity of chunk.entities)
        for (const name of [entity.name, ...entity.aliases]) keys.add(normaliseEntityName(name));
  keys.delete('');
  return [...keys];
}

/**
 * Decides which node each extracted entity is, in this order: the node with the entity's normal form; the one
 * node that has it as an alias; the one entity of the same document that gives it as an alias; the node named
 * by the entity's own acronym; a new node. An alias of several nodes decides nothing, and two entities that
 * merely share an alias stay two.
 *
 * Pure and deterministic: documents in order, then passages, then entities.
 */
export function resolveEntities(
  tenantId: TenantId,
  documents: readonly DocumentExtraction[],
  existing: ExistingNames,
): ResolvedGraph {
  const resolver = new Resolver(tenantId, existing);
  for (const document of documents) resolver.add(document);
  return resolver.result();
}

interface NodeDraft {
  id: string;
  key: string;
  name: string;
  type: EntityType;
  description: string | null;
  attributes: Readonly<Record<string, unknown>>;
  claimedBy: string | null;
  isNew: boolean;
  changed: boolean;
}

class Resolver {
  private readonly byKey = new Map<string, NodeDraft>();
  private readonly byId = new Map<string, NodeDraft>();
  private readonly aliasOwners = new Map<string, Set<string>>();
  private readonly aliases = new Map<string, ResolvedGraph['aliases'][number]>();
  private readonly edges = new Map<string, ResolvedGraph['edges'][number]>();
  private readonly mentions = new Map<string, ResolvedGraph['mentions'][number]>();
  private readonly evidence = new Map<string, ResolvedGraph['evidence'][number]>();

  constructor(
    private readonly tenantId: TenantId,
    existing: ExistingNames,
  ) {
    for (const node of existing.nodes)
      this.keep({ ...node, description: null, attributes: {}, isNew: false, changed: false });
    for (const alias of existing.aliases) this.own(alias.aliasKey, alias.nodeId);
  }

  add(document: DocumentExtraction): void {
    const local = localAliases(document);
    for (const chunk of document.chunks) {
      const nodes = new Map<string, NodeDraft>();
      for (const entity of chunk.entities) {
        const key = normaliseEntityName(entity.name);
        if (key === '') continue;
        const node = this.nodeOf(entity, key, local);
        nodes.set(key, node);
        this.merge(node, entity, key, document.documentId);
        this.mention(node, chunk.chunkId, document.documentId, entity.mentions ?? 1);
      }
      for (const relation of chunk.relations) {
        const source = nodes.get(normaliseEntityName(relation.source));
        const target = nodes.get(normaliseEntityName(relation.target));
        if (source && target && source !== target)
          this.state(source, target, relation, chunk.chunkId, document.documentId);
      }
    }
  }

  result(): ResolvedGraph {
    const drafts = [...this.byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    const toRow = ({ id, key, name, type, description, attributes }: NodeDraft): NodeRow => ({
      id,
      key,
      name,
      type,
      description,
      attributes,
    });
    return {
      newNodes: drafts.filter((node) => node.isNew).map(toRow),
      changedNodes: drafts.filter((node) => !node.isNew && node.changed).map(toRow),
      aliases: sortedValues(this.aliases),
      edges: sortedValues(this.edges),
      mentions: sortedValues(this.mentions),
      evidence: sortedValues(this.evidence),
    };
  }

  private nodeOf(entity: ResolvableEntity, key: string, local: ReadonlyMap<string, string>): NodeDraft {
    const claim = claimOf(entity);
    const usable = (node: NodeDraft | undefined) =>
      // A course never has two concepts in one node.
      node && !(claim && node.claimedBy && node.claimedBy !== claim && node.key !== key) ? node : undefined;
    const byName = (name: string) => this.byKey.get(name) ?? this.onlyOwner(name);
    const longer = local.get(key);
    return (
      usable(byName(key)) ??
      usable(longer === undefined ? undefined : byName(longer)) ??
      usable(this.byAcronym(entity)) ??
      this.create(longer !== undefined && !claim ? longer : key, entity)
    );
  }

  private byAcronym(entity: ResolvableEntity): NodeDraft | undefined {
    for (const alias of entity.aliases) {
      if (!isAcronymOf(alias, entity.name)) continue;
      const node = this.byKey.get(normaliseEntityName(alias));
      if (node) return node;
    }
    return undefined;
  }

  private onlyOwner(aliasKey: string): NodeDraft | undefined {
    const owners = this.aliasOwners.get(aliasKey);
    if (owners?.size !== 1) return undefined;
    const [owner] = owners;
    return this.byId.get(owner!);
  }

  private create(key: string, entity: ResolvableEntity): NodeDraft {
    return this.keep({
      id: deterministicId(this.tenantId, 'node', key),
      key,
      name: entity.name,
      type: entity.type,
      description: null,
      attributes: {},
      claimedBy: null,
      isNew: true,
      changed: false,
    });
  }

  private keep(node: NodeDraft): NodeDraft {
    this.byKey.set(node.key, node);
    this.byId.set(node.id, node);
    return node;
  }

  private own(aliasKey: string, nodeId: string): void {
    const owners = this.aliasOwners.get(aliasKey);
    if (owners) owners.add(nodeId);
    else this.aliasOwners.set(aliasKey, new Set([nodeId]));
  }

  /** Name and type depend on what was merged, not on the order: concurrent documents give the same node. */
  private merge(node: NodeDraft, entity: ResolvableEntity, key: string, documentId: string): void {
    const claim = claimOf(entity);
    if (claim) {
      node.name = entity.name;
      node.type = entity.type;
      node.description = entity.description ?? null;
      node.attributes = { ...entity.attributes, documentId };
      node.claimedBy = claim;
      node.changed = true;
    } else if (!node.claimedBy) {
      const name =
        key === node.key && (entity.name < node.name || normaliseEntityName(node.name) !== key)
          ? entity.name
          : node.name;
      const type = strongerType(node.type, entity.type);
      if (name !== node.name || type !== node.type) {
        node.name = name;
        node.type = type;
        node.changed = true;
      }
    }
    const names = key === node.key ? entity.aliases : [entity.name, ...entity.aliases];
    for (const alias of names) {
      const aliasKey = normaliseEntityName(alias);
      if (aliasKey === '' || aliasKey === node.key) continue;
      this.own(aliasKey, node.id);
      const id = `${aliasKey}\n${node.id}\n${documentId}`;
      const known = this.aliases.get(id);
      if (!known || alias < known.alias)
        this.aliases.set(id, { nodeId: node.id, aliasKey, alias, documentId });
    }
  }

  private mention(node: NodeDraft, chunkId: string, documentId: string, count: number): void {
    const id = `${node.id}\n${chunkId}`;
    const before = this.mentions.get(id)?.count ?? 0;
    this.mentions.set(id, {
      nodeId: node.id,
      chunkId,
      documentId,
      count: before + Math.max(1, Math.round(count)),
    });
  }

  private state(
    source: NodeDraft,
    target: NodeDraft,
    relation: ResolvableRelation,
    chunkId: string,
    documentId: string,
  ): void {
    const id = deterministicId(this.tenantId, 'edge', source.id, target.id, relation.type);
    const attributes = relation.attributes ? { ...relation.attributes, documentId } : undefined;
    const known = this.edges.get(id);
    if (!known || attributes)
      this.edges.set(id, {
        id,
        sourceId: source.id,
        targetId: target.id,
        type: relation.type,
        attributes: attributes ?? {},
      });
    const row = `${id}\n${chunkId}`;
    const before = this.evidence.get(row);
    if (!before || relation.confidence > before.confidence)
      this.evidence.set(row, {
        edgeId: id,
        chunkId,
        documentId,
        statement: relation.statement,
        confidence: relation.confidence,
      });
  }
}

function claimOf(entity: ResolvableEntity): string | null {
  return entity.attributes ? `${entity.attributes.courseId}/${entity.attributes.conceptId}` : null;
}

/** Aliases that exactly one entity of the document gives, to that entity's normal form. */
function localAliases(document: DocumentExtraction): Map<string, string> {
  const owners = new Map<string, string | null>();
  for (const chunk of document.chunks)
    for (const entity of chunk.entities) {
      const key = normaliseEntityName(entity.name);
      for (const alias of entity.aliases) {
        const aliasKey = normaliseEntityName(alias);
        if (aliasKey === '' || aliasKey === key) continue;
        const owner = owners.get(aliasKey);
        owners.set(aliasKey, owner === undefined || owner === key ? key : null);
      }
    }
  return new Map([...owners].filter((entry): entry is [string, string] => entry[1] !== null));
}

const TYPE_RANK: Record<EntityType, number> = {
  term: 0,
  concept: 1,
  date: 2,
  number: 2,
  organisation: 2,
  person: 2,
  place: 2,
  work: 2,
};

/** The more telling of two types; between equals the alphabetically first, so that the order does not matter. */
function strongerType(a: EntityType, b: EntityType): EntityType {
  const rank = TYPE_RANK[b] - TYPE_RANK[a];
  return rank > 0 || (rank === 0 && b < a) ? b : a;
}

function sortedValues<Value>(map: ReadonlyMap<string, Value>): Value[] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
}
