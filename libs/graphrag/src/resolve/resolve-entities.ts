import type { TenantId } from '@sparkle/contracts';
import { isAcronymOf, normaliseEntityName } from '../extract/entity-name.js';
import { deterministicId } from '../ingest/deterministic-id.js';
import type { EntityType, ExtractedEntity, ExtractedRelation } from '../model.js';
import { chooseSense, RELATED } from './choose-sense.js';
import {
  hypernymsOf,
  type NameContext,
  NO_CONTEXT,
  neighboursOf,
  relatedness,
  sharedNeighbours,
  typesConflict,
  withoutParentheses,
} from './name-context.js';

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

/** What a node is called that a decision makes. */
export interface NodeSpec {
  readonly id: string;
  readonly key: string;
  readonly name: string;
  readonly type: EntityType;
}

/** Nodes whose key or one of whose aliases is among the {@link namesToLookUp}, as ingestion made them. */
export interface ExistingNames {
  readonly nodes: readonly ExistingNode[];
  readonly aliases: readonly { readonly aliasKey: string; readonly nodeId: string }[];
  /** Splits in force of these nodes: what some documents mean by the name is `target`. */
  readonly splits?: readonly {
    readonly resolutionId: string;
    readonly nodeId: string;
    readonly target: NodeSpec;
  }[];
  /** Rules' decisions that were undone, as `node target`: they are not taken again. */
  readonly refused?: ReadonlySet<string>;
}

/** What surrounds contested names; names without evidence are decided by their form alone. */
export interface SenseEvidence {
  /** By `document\nkey`. */
  readonly mentions: ReadonlyMap<string, readonly NameContext['vectors'][number][]>;
  /** By id of the node, as decisions have made it. */
  readonly nodes: ReadonlyMap<string, NameContext>;
}

export const NO_EVIDENCE: SenseEvidence = { mentions: new Map(), nodes: new Map() };

/** What a document gave reason to decide about nodes that other documents state. */
export interface RuleDecision {
  readonly kind: 'merge' | 'split';
  readonly nodeId: string;
  readonly target: NodeSpec;
  readonly documentId: string;
  readonly reason: string;
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
  /** Decisions to take on top of these rows, which are as the documents state them. */
  readonly decisions: readonly RuleDecision[];
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

/** The id of the node that a name's normal form makes. */
export function nodeId(tenantId: TenantId, key: string): string {
  return deterministicId(tenantId, 'node', key);
}

export function edgeId(tenantId: TenantId, sourceId: string, targetId: string, type: string): string {
  return deterministicId(tenantId, 'edge', sourceId, targetId, type);
}

/** The key of {@link SenseEvidence.mentions}. */
export function mentionKey(documentId: string, key: string): string {
  return `${documentId}\n${key}`;
}

/**
 * Decides which node each extracted entity is, in this order: the one entity of the same document that gives its
 * normal form as an alias; the node with the normal form; the one node that has it as an alias; the node named
 * by the entity's own acronym; a new node. Two entities that merely share an alias stay two. A name of several
 * nodes, or one that this document says to be something else than its node is, goes by the evidence of what
 * surrounds it ({@link chooseSense}).
 *
 * Pure and deterministic: documents in order, then passages, then entities. Without contested names the order
 * does not matter.
 */
export function resolveEntities(
  tenantId: TenantId,
  documents: readonly DocumentExtraction[],
  existing: ExistingNames,
  evidence: SenseEvidence = NO_EVIDENCE,
): ResolvedGraph {
  const resolver = new Resolver(tenantId, existing, evidence);
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

  private readonly splits = new Map<string, NodeSpec[]>();
  private readonly contexts = new Map<string, NameContext>();
  private readonly decisions = new Map<string, RuleDecision>();

  constructor(
    private readonly tenantId: TenantId,
    private readonly existing: ExistingNames,
    private readonly surroundings: SenseEvidence,
  ) {
    for (const node of existing.nodes)
      this.keep({ ...node, description: null, attributes: {}, isNew: false, changed: false });
    for (const alias of existing.aliases) this.own(alias.aliasKey, alias.nodeId);
    for (const { nodeId, target } of existing.splits ?? []) this.splitOff(nodeId, target);
    for (const [id, context] of surroundings.nodes) this.contexts.set(id, context);
  }

  add(document: DocumentExtraction): void {
    const local = localAliases(document);
    const chosen = new Map<string, NodeDraft | undefined>();
    for (const chunk of document.chunks) {
      const nodes = new Map<string, NodeDraft>();
      for (const entity of chunk.entities) {
        const key = normaliseEntityName(entity.name);
        if (key === '') continue;
        const node = this.nodeOf(entity, key, local, (candidates) => {
          if (!chosen.has(key)) chosen.set(key, this.choose(document, entity, key, candidates));
          return chosen.get(key);
        });
        nodes.set(key, node);
        this.merge(node, entity, key, document.documentId);
        this.mention(node, chunk.chunkId, document.documentId, entity.mentions ?? 1);
        this.joinAcronyms(document, entity, key, node);
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
      decisions: sortedValues(this.decisions),
    };
  }

  private nodeOf(
    entity: ResolvableEntity,
    key: string,
    local: ReadonlyMap<string, string>,
    choose: (candidates: readonly NodeDraft[]) => NodeDraft | undefined,
  ): NodeDraft {
    const claim = claimOf(entity);
    const usable = (node: NodeDraft | undefined) =>
      // A course never has two concepts in one node.
      node && !(claim && node.claimedBy && node.claimedBy !== claim && node.key !== key) ? node : undefined;
    const longer = local.get(key);
    const explained = longer === undefined ? undefined : this.byName(longer);
    const own = this.byKey.get(key);
    const candidates = claim || longer !== undefined ? [] : this.candidates(key);
    if (candidates.length > 0) return choose(candidates) ?? own ?? this.create(key, entity);
    return (
      usable(explained) ??
      usable(this.byName(key)) ??
      usable(this.byAcronym(entity)) ??
      this.create(longer !== undefined && !claim ? longer : key, entity)
    );
  }

  private byName(key: string): NodeDraft | undefined {
    return this.byKey.get(key) ?? this.onlyOwner(key);
  }

  /** The nodes a name may mean; none when there is at most one and nothing speaks against it. */
  private candidates(key: string): NodeDraft[] {
    const plain = this.byKey.get(key);
    const owners = [...(this.aliasOwners.get(key) ?? [])]
      .filter((id) => id !== plain?.id)
      .sort()
      .map((id) => this.byId.get(id)!);
    return plain ? [plain, ...owners] : owners;
  }

  /**
   * The node of a name in this document, as the documents state it; undefined for one of its own. When the
   * document means something else by the name than the node of that name, this is decided as a split of it.
   */
  private choose(
    document: DocumentExtraction,
    entity: ResolvableEntity,
    key: string,
    nodes: readonly NodeDraft[],
  ): NodeDraft | undefined {
    const { documentId } = document;
    const plain = nodes.find((node) => node.key === key);
    const vectors = this.surroundings.mentions.get(mentionKey(documentId, key));
    // Nobody found the name contested when there was time to look.
    if (!vectors) return nodes.length === 1 ? nodes[0] : plain;
    const said = hypernymsOf(document, key);
    const context: NameContext = {
      hypernyms: new Set(said.keys()),
      neighbours: neighboursOf(document, key),
      vectors,
    };
    const senses = [
      ...nodes.map((node) => ({ node, spec: node as NodeSpec, split: false })),
      ...(plain ? (this.splits.get(plain.id) ?? []) : []).map((spec) => ({
        node: plain!,
        spec,
        split: true,
      })),
    ];
    const choice = chooseSense(
      { type: entity.type, context },
      senses.map(({ spec }) => ({
        type: spec.type,
        plain: spec.key === key,
        qualified: normaliseEntityName(withoutParentheses(spec.name) ?? '') === key && spec.key !== key,
        context: this.contexts.get(spec.id) ?? NO_CONTEXT,
      })),
    );
    let sense = choice === undefined ? undefined : senses[choice];
    if (!sense && plain) {
      const label = [...said.values()][0] ?? entity.type;
      const spec = this.qualify(entity, label);
      if (spec.id === plain.id || this.existing.refused?.has(`${plain.id} ${spec.id}`))
        sense = { node: plain, spec: plain, split: false };
      else {
        this.splitOff(plain.id, spec);
        sense = { node: plain, spec, split: true };
      }
    }
    const id = sense?.spec.id ?? nodeId(this.tenantId, key);
    this.contexts.set(id, unite(this.contexts.get(id) ?? NO_CONTEXT, context));
    if (!sense) return undefined;
    if (sense.split)
      this.decide({
        kind: 'split',
        nodeId: sense.node.id,
        target: sense.spec,
        documentId,
        reason: `the document means another "${entity.name.slice(0, 80)}"`,
      });
    return sense.node;
  }

  /** A node named by an acronym is the one named by its long form when the contexts agree. */
  private joinAcronyms(
    document: DocumentExtraction,
    entity: ResolvableEntity,
    key: string,
    node: NodeDraft,
  ): void {
    if (node.key !== key || !this.surroundings.mentions.has(mentionKey(document.documentId, key))) return;
    for (const alias of entity.aliases) {
      const short = this.byKey.get(normaliseEntityName(alias));
      if (!short || short === node || short.isNew || short.claimedBy || !isAcronymOf(alias, entity.name))
        continue;
      if (typesConflict(short.type, node.type) || this.splits.has(short.id)) continue;
      if (this.existing.refused?.has(`${short.id} ${node.id}`)) continue;
      const long = unite(this.contexts.get(node.id) ?? NO_CONTEXT, {
        ...NO_CONTEXT,
        neighbours: neighboursOf(document, key),
        vectors: this.surroundings.mentions.get(mentionKey(document.documentId, key))!,
      });
      const context = this.contexts.get(short.id) ?? NO_CONTEXT;
      if (sharedNeighbours(long, context) === 0 && (relatedness(long, context) ?? 0) < RELATED) continue;
      this.decide({
        kind: 'merge',
        nodeId: short.id,
        target: node,
        documentId: document.documentId,
        reason: 'a document explains the acronym, and the contexts agree',
      });
    }
  }

  private qualify(entity: ResolvableEntity, label: string): NodeSpec {
    const name = `${entity.name.trim()} (${label.trim().slice(0, 40)})`;
    const key = normaliseEntityName(name);
    return { id: nodeId(this.tenantId, key), key, name, type: entity.type };
  }

  private splitOff(from: string, target: NodeSpec): void {
    const known = this.splits.get(from) ?? [];
    if (!known.some(({ id }) => id === target.id)) this.splits.set(from, [...known, target]);
  }

  private decide(decision: RuleDecision): void {
    const { kind, nodeId: from, target, documentId } = decision;
    const { id, key, name, type } = target;
    this.decisions.set([kind, from, id, documentId].join('\n'), {
      ...decision,
      target: { id, key, name, type },
    });
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
      id: nodeId(this.tenantId, key),
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
    const id = edgeId(this.tenantId, source.id, target.id, relation.type);
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

function unite(left: NameContext, right: NameContext): NameContext {
  return {
    hypernyms: new Set([...left.hypernyms, ...right.hypernyms]),
    neighbours: new Set([...left.neighbours, ...right.neighbours]),
    vectors: [...left.vectors, ...right.vectors],
  };
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
