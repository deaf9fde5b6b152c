import type { TenantId } from '@sparkle/contracts';

/** The only entries a search may see. `digest` covers everything that makes an answer what it is. */
export interface SemanticPartition {
  readonly tenantId: TenantId;
  readonly digest: string;
}

export interface SemanticEntry {
  readonly id: string;
  readonly question: string;
  /** The encoded answer. */
  readonly answer: string;
  /** Similarity from which this entry may be served. */
  readonly threshold: number;
  readonly documentIds: readonly string[];
  /** Milliseconds it has left. A hit does not change them. */
  readonly remainingMs: number;
}

export interface SemanticCandidate extends SemanticEntry {
  /** Cosine similarity. */
  readonly similarity: number;
}

export interface SemanticEntryToStore {
  readonly question: string;
  /** Hash of the canonical form; a partition has one entry for each. */
  readonly canonicalHash: string;
  readonly embedding: Float32Array;
  readonly answer: string;
  readonly threshold: number;
  readonly documentIds: readonly string[];
  readonly ttlMs: number;
  /**
   * The tenant's {@link SemanticStore.purgeMark} from before the answer was begun. An entry made from a document
   * that was purged since is not stored. Without it nothing is checked.
   */
  readonly asOf?: PurgeMark;
}

export interface StoredSemanticEntry {
  readonly id: string;
  /** The one asked for, or the tightened one. */
  readonly threshold: number;
}

/** The threshold becomes the larger of itself and `above`, plus `by`, and at most 1. */
export interface Tightening {
  readonly by: number;
  readonly above: number;
}

/** A point in the order of one tenant's purges. Only the store that gave it can read it. */
export type PurgeMark = string;

/** Answers by question, searchable by similarity. */
export interface SemanticStore {
  findExact(partition: SemanticPartition, canonicalHash: string): Promise<SemanticEntry | undefined>;
  /** The most similar entries, best first. */
  search(partition: SemanticPartition, embedding: Float32Array, limit: number): Promise<SemanticCandidate[]>;
  /** Where the tenant's purges stand now. */
  purgeMark(tenantId: TenantId): Promise<PurgeMark>;
  /**
   * Stores an answer, replacing the one for the same canonical question. A threshold that was tightened stays.
   * @returns `undefined` when one of its documents was purged since `asOf`, by any process
   */
  store(partition: SemanticPartition, entry: SemanticEntryToStore): Promise<StoredSemanticEntry | undefined>;
  /**
   * Takes an entry's answer away and raises its threshold, for `keepMs`.
   * @returns whether there was such an entry of this tenant
   */
  evictAndTighten(tenantId: TenantId, id: string, tightening: Tightening, keepMs: number): Promise<boolean>;
  /**
   * Removes every answer made from a document, and keeps those out that are stored later with an older mark.
   * @returns how many were removed
   */
  purgeByDocument(tenantId: TenantId, documentId: string): Promise<number>;
  /** Deletes what has expired. @returns how many */
  removeExpired(tenantId: TenantId): Promise<number>;
}

/** Injection token of the {@link SemanticStore} port. */
export const SemanticStore = Symbol('SemanticStore');
