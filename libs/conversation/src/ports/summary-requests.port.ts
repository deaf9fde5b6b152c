import type { TenantId } from '@sparkle/contracts';

export interface SummaryRequest {
  readonly tenantId: TenantId;
  readonly conversationId: string;
  /** Messages there were when the summary became due. */
  readonly upToSeq: number;
}

/**
 * Asks the worker to bring a conversation's summary up to date. Implementations drop a request that is
 * waiting already for the same conversation and `upToSeq`, so that concurrent turns cause one summary.
 */
export interface SummaryRequests {
  request(request: SummaryRequest): Promise<void>;
}

/** Injection token of the {@link SummaryRequests} port. Optional: without one, no summary is asked for. */
export const SummaryRequests = Symbol('SummaryRequests');
