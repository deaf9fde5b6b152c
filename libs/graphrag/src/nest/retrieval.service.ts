import { Inject, Injectable } from '@nestjs/common';
import { Clock, channels, TenantDatabase, type TenantId } from '@sparkle/contracts';
import { ChatModel, EmbeddingModel, isLlmError } from '@sparkle/llm';
import { PgVectorIndex } from '../adapters/postgres/pg-vector-index.js';
import { ArgumentInvalidError, QueryInvalidError } from '../errors.js';
import { detectLanguage } from '../extract/entity-name.js';
import { GraphragOptions } from '../graphrag.options.js';
import type { RankedChunk, RetrievalResult } from '../model.js';
import { buildContext, type RetrievalContext } from '../retrieve/build-context.js';
import { retrieveGraph } from '../retrieve/retrieve-graph.js';
import { retrievePlain } from '../retrieve/retrieve-plain.js';
import { nodeNaming } from '../retrieve/verbalise-path.js';
import { SnapshotProvider } from './snapshot-provider.js';

export interface RetrieveRequest {
  readonly tenantId: TenantId;
  readonly question: string;
  /** `graph` (default), or `plain` for the baseline without a graph. */
  readonly strategy?: 'graph' | 'plain' | undefined;
  /** Passages to retrieve, 1–100. Default: the option `k`. */
  readonly k?: number | undefined;
  /** Tokens the context may have, 50–100,000. Default: the option `tokenBudget`. */
  readonly tokenBudget?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Retrieval extends RetrievalResult {
  /** What to answer from, inside the token budget. */
  readonly context: RetrievalContext;
  readonly corpusVersion: number;
  /** True when the embedding model failed and only keywords and the graph were used. */
  readonly degraded: boolean;
  /** Finds any passage of the corpus as it was when retrieved. */
  chunkOf(chunkId: string): Omit<RankedChunk, 'score'> | undefined;
}

/** Finds what a tenant's corpus says about a question. */
@Injectable()
export class RetrievalService {
  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(SnapshotProvider) private readonly snapshots: SnapshotProvider,
    @Inject(EmbeddingModel) private readonly embeddings: EmbeddingModel,
    @Inject(ChatModel) private readonly model: ChatModel,
    @Inject(Clock) private readonly clock: Clock,
    @Inject(GraphragOptions) private readonly options: GraphragOptions,
  ) {}

  /**
   * Retrieves passages and, with the strategy `graph`, the relations that connect the question's entities.
   * `durationMs` covers everything, the embedding of the question included.
   * @throws QueryInvalidError for a blank or over-long question.
   * @throws ArgumentInvalidError when `k` or `tokenBudget` is out of range.
   * @throws TenantUnknownError when the tenant is not registered.
   */
  async retrieve(request: RetrieveRequest): Promise<Retrieval> {
    const startedAt = this.clock.monotonic();
    const { tenantId, signal } = request;
    const question = this.checkedQuestion(request.question);
    const limit = inRange('k', request.k ?? this.options.k, 1, 100);
    const tokenBudget = inRange('tokenBudget', request.tokenBudget ?? this.options.tokenBudget, 50, 100_000);

    const [vector, current] = await Promise.all([
      this.embed(tenantId, question, signal),
      this.snapshots.current(tenantId),
    ]);
    signal?.throwIfAborted();
    const { snapshot, version } = current;
    const retrieve = request.strategy === 'plain' ? retrievePlain : retrieveGraph;
    const result = await retrieve(
      snapshot,
      { question, limit, ...(vector && { vector }) },
      {
        vectors: new PgVectorIndex(this.database, tenantId, this.options.efSearch),
        clock: this.clock,
      },
    );
    const context = buildContext(result, {
      question,
      tokenBudget,
      countTokens: (text) => this.model.countTokens(text),
      naming: nodeNaming(snapshot, detectLanguage(question)),
    });
    const durationMs = this.clock.monotonic() - startedAt;
    channels.retrieval.publish({
      tenantId,
      strategy: result.strategy,
      durationMs,
      chunks: result.chunks.length,
      paths: result.paths.length,
      contextTokens: context.tokens,
    });
    return {
      ...result,
      durationMs,
      context,
      corpusVersion: version,
      degraded: vector === undefined,
      chunkOf: (chunkId) => {
        const chunk = snapshot.chunks[snapshot.chunkIndex.get(chunkId) ?? -1];
        return chunk && { ...chunk, chunkId: chunk.id };
      },
    };
  }

  private checkedQuestion(question: string): string {
    const text = question.trim();
    if (!text || text.length > this.options.maxQuestionLength)
      throw new QueryInvalidError(this.options.maxQuestionLength);
    return text;
  }

  private async embed(
    tenantId: TenantId,
    question: string,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array | undefined> {
    try {
      const [vector] = await this.embeddings.embed({
        tenantId,
        texts: [question],
        ...(signal && { signal }),
      });
      return vector;
    } catch (error) {
      if (signal?.aborted || !isLlmError(error)) throw error;
      return undefined;
    }
  }
}

function inRange(name: string, value: number, least: number, most: number): number {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new ArgumentInvalidError(`"${name}" must be a whole number from ${least} to ${most}.`);
  return value;
}
