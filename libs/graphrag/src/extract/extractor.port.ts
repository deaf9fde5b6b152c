import type { TenantId } from '@sparkle/contracts';
import type { Extraction } from '../model.js';
import type { NameDictionary } from './name-dictionary.js';

/** One passage to extract from, with what is known about where it stands. */
export interface ExtractionRequest {
  readonly tenantId: TenantId;
  readonly documentTitle: string;
  /** Headings above the passage, outermost first. */
  readonly headings: readonly string[];
  readonly text: string;
  /** Names and aliases of nodes the tenant already has; their lower-case mentions are recognised too. */
  readonly known?: NameDictionary;
  readonly signal?: AbortSignal;
}

/** What calls of a chat model took. */
export interface ExtractionUsage {
  readonly modelCalls: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly costUsd: number;
}

/** Passages of one document. */
export interface PassagesRequest
  extends Pick<ExtractionRequest, 'tenantId' | 'documentTitle' | 'known' | 'signal'> {
  readonly passages: readonly { readonly headings: readonly string[]; readonly text: string }[];
  /** What earlier attempts on the document took: it counts against the document's budget. */
  readonly spent: ExtractionUsage;
}

/** Some of a request's passages, done, and what that took. */
export interface ExtractedPassages {
  readonly passages: readonly {
    /** Position in the request. */
    readonly index: number;
    readonly extraction: Extraction;
    /** Id of the extractor whose work it is: another one where the asked one could not do it. */
    readonly by: string;
  }[];
  readonly usage: ExtractionUsage;
}

/**
 * Finds entities and relations in a passage. Both ends of every relation name an entity of the same result;
 * two entities of one result never share a normal form.
 */
export interface Extractor {
  /** Stable name, part of the ingestion's idempotency key, e.g. `rules-2`. */
  readonly id: string;
  extract(request: ExtractionRequest): Promise<Extraction>;
  /**
   * For an extractor whose work is dear: takes the passages of a document together and yields them part by part,
   * each once. The caller stores every part before it asks for the next.
   */
  extractMany?(request: PassagesRequest): AsyncIterable<ExtractedPassages>;
}

/** Injection token of the {@link Extractor} port. */
export const Extractor = Symbol('Extractor');
