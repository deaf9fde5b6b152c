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

/**
 * Finds entities and relations in a passage. Both ends of every relation name an entity of the same result;
 * two entities of one result never share a normal form.
 */
export interface Extractor {
  /** Stable name, part of the ingestion's idempotency key, e.g. `rules-1`. */
  readonly id: string;
  extract(request: ExtractionRequest): Promise<Extraction>;
}

/** Injection token of the {@link Extractor} port. */
export const Extractor = Symbol('Extractor');
