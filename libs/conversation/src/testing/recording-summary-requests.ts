import type { SummaryRequest, SummaryRequests } from '../ports/summary-requests.port.js';

/** Keeps what was asked for, each conversation and number once, as a queue's adapter must. */
export class RecordingSummaryRequests implements SummaryRequests {
  private readonly byKey = new Map<string, SummaryRequest>();

  get requests(): readonly SummaryRequest[] {
    return [...this.byKey.values()];
  }

  async request(request: SummaryRequest): Promise<void> {
    this.byKey.set(`${request.tenantId} ${request.conversationId} ${request.upToSeq}`, request);
  }
}
