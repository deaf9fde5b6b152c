import type { Citation, Retrieved, RetrieveRequest, Retriever } from '@sparkle/conversation';
import { citationsFor, type RetrievalService } from '@sparkle/graphrag';

/** The knowledge graph as the conversation's orchestrator sees it. */
export class GraphRetriever implements Retriever {
  constructor(private readonly retrieval: RetrievalService) {}

  async retrieve({ tenantId, question, tokenBudget, signal }: RetrieveRequest): Promise<Retrieved> {
    const retrieved = await this.retrieval.retrieve({ tenantId, question, tokenBudget, signal });
    const { context, chunkOf, paths, strategy, durationMs, linked } = retrieved;
    return {
      passages: context.passages,
      resolveCitations: (ids) =>
        citationsFor(ids, { question, context, chunkOf }).map(
          (citation): Citation => ({
            id: citation.marker,
            ...citation,
          }),
        ),
      paths,
      strategy,
      durationMs,
      linked,
    };
  }
}
