import type { TenantId } from '@sparkle/contracts';
import type { ChatMessage, ContextPassage } from '@sparkle/llm';

export interface RetrieveRequest {
  readonly tenantId: TenantId;
  /** The question, completed with what it refers to when it is a follow-up. */
  readonly question: string;
  /** Recent messages, oldest first, without the question. */
  readonly history: readonly ChatMessage[];
  /** Tokens the passages may cost together. */
  readonly tokenBudget: number;
  readonly signal: AbortSignal;
}

/** A source behind an answer, as shown to the user; plain JSON. `id` is the passage's id. */
export interface Citation {
  readonly id: string;
  readonly [property: string]: unknown;
}

/** An entity of the question that the knowledge graph knows. */
export interface LinkedEntity {
  readonly id: string;
  readonly name: string;
}

export interface Retrieved {
  /** Best first; ids unique and none of the forms `S1` and `M1`, which name memory. */
  readonly passages: readonly ContextPassage[];
  /** The sources behind the cited passages; unknown ids are left out. */
  resolveCitations(ids: readonly string[]): readonly Citation[];
  /** Chains of relations found between the question's entities; plain JSON. */
  readonly paths: readonly object[];
  /** How it was found, e.g. `graph` or `plain`. */
  readonly strategy: string;
  readonly durationMs: number;
  readonly linked: readonly LinkedEntity[];
}

/** Finds what the tenant's corpus says about a question. Implemented by the application with its RAG. */
export interface Retriever {
  retrieve(request: RetrieveRequest): Promise<Retrieved>;
}

/** Injection token of the {@link Retriever} port. Without one, answers come from memory alone. */
export const Retriever = Symbol('Retriever');

/** Finds nothing: for an assistant without a corpus. */
export class NoRetriever implements Retriever {
  async retrieve(): Promise<Retrieved> {
    return {
      passages: [],
      resolveCitations: () => [],
      paths: [],
      strategy: 'none',
      durationMs: 0,
      linked: [],
    };
  }
}
