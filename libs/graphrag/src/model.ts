/** What an extractor may call an entity. `concept` is also the type of course concepts. */
export type EntityType =
  | 'concept'
  | 'person'
  | 'place'
  | 'organisation'
  | 'work'
  | 'date'
  | 'number'
  | 'term';

/** A passage cut from a document, before it is stored. Offsets are UTF-16 positions in the document's text. */
export interface ChunkDraft {
  readonly ordinal: number;
  /** Headings above the passage, outermost first. */
  readonly headings: readonly string[];
  readonly text: string;
  readonly start: number;
  readonly end: number;
  readonly tokens: number;
}

export interface ExtractedEntity {
  readonly name: string;
  readonly type: EntityType;
  readonly aliases: readonly string[];
  /** In `[0, 1]`. */
  readonly confidence: number;
  /** How strongly the passage is about the entity, at least 1; stored as the mention's `count`. Default 1. */
  readonly mentions?: number;
}

/** A statement `source —type→ target`; both ends name entities of the same {@link Extraction}. */
export interface ExtractedRelation {
  readonly source: string;
  readonly target: string;
  /** Lower-case verb phrase with underscores, e.g. `is_a`, `part_of`, `prerequisite_of`, `born_in`. */
  readonly type: string;
  /** The sentence that says so. */
  readonly statement: string;
  /** In `[0, 1]`. */
  readonly confidence: number;
}

export interface Extraction {
  readonly entities: readonly ExtractedEntity[];
  readonly relations: readonly ExtractedRelation[];
}

/** A node of a tenant's knowledge graph as the snapshot holds it. */
export interface SnapshotNode {
  readonly id: string;
  /** Normal form of the name, see `normaliseEntityName`. Unique with `type` within a tenant. */
  readonly key: string;
  readonly name: string;
  readonly type: EntityType;
  /** Normal forms of other names, Chinese titles and acronyms among them. */
  readonly aliasKeys: readonly string[];
  /** The other names as written. */
  readonly aliases: readonly string[];
}

export interface SnapshotEdge {
  readonly id: string;
  readonly sourceId: string;
  readonly targetId: string;
  readonly type: string;
  readonly weight: number;
  readonly confidence: number;
}

export interface SnapshotChunk {
  readonly id: string;
  readonly documentId: string;
  readonly documentTitle: string;
  readonly ordinal: number;
  readonly headings: readonly string[];
  readonly text: string;
  readonly tokens: number;
}

/** A chunk mentions a node. */
export interface SnapshotMention {
  readonly nodeId: string;
  readonly chunkId: string;
  readonly count: number;
}

/** A chunk states an edge. */
export interface SnapshotEvidence {
  readonly edgeId: string;
  readonly chunkId: string;
  readonly statement: string;
}

/** Everything retrieval needs of one tenant's graph at one version. */
export interface SnapshotRows {
  readonly nodes: readonly SnapshotNode[];
  readonly edges: readonly SnapshotEdge[];
  readonly chunks: readonly SnapshotChunk[];
  readonly mentions: readonly SnapshotMention[];
  readonly evidence: readonly SnapshotEvidence[];
}

/** One edge walked by a {@link GraphPath}, in walking order. */
export interface PathStep {
  readonly edgeId: string;
  readonly fromId: string;
  readonly from: string;
  readonly toId: string;
  readonly to: string;
  readonly type: string;
  /** True when the edge was walked against its direction. */
  readonly reversed: boolean;
  readonly confidence: number;
  /** A chunk that states the edge, if one does. */
  readonly chunkId?: string;
  readonly statement?: string;
}

/** A chain of relations between two entities of a question. */
export interface GraphPath {
  readonly nodes: readonly { readonly id: string; readonly name: string }[];
  readonly steps: readonly PathStep[];
  /** In `[0, 1]`: product of the steps' confidences. */
  readonly score: number;
}

/** A passage in retrieval's ranking. */
export interface RankedChunk {
  readonly chunkId: string;
  readonly documentId: string;
  readonly documentTitle: string;
  readonly headings: readonly string[];
  readonly text: string;
  readonly tokens: number;
  /** In `[0, 1]` relative to the best passage. */
  readonly score: number;
}

/** What kind of question it is, see `routeQuestion`. */
export type QuestionRoute = 'fact' | 'bridge' | 'comparison' | 'corpus';

/** Where the passages come from; `communities` adds summaries of the whole corpus to what the graph gave. */
export type RetrievalStrategy = 'plain' | 'graph' | 'communities';

export interface RetrievalResult {
  readonly strategy: RetrievalStrategy;
  readonly route: QuestionRoute;
  readonly chunks: readonly RankedChunk[];
  readonly paths: readonly GraphPath[];
  /** Entities of the question found in the graph. */
  readonly linked: readonly { readonly id: string; readonly name: string; readonly weight: number }[];
  readonly durationMs: number;
}
