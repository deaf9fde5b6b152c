import { Inject, Injectable, Optional } from '@nestjs/common';
import { Clock, channels, type TenantId } from '@sparkle/contracts';
import { ChatModel, EmbeddingModel } from '@sparkle/llm';
import { type CommunitySearch, CommunityService } from '../communities/community.service.js';
import { ArgumentInvalidError, QueryInvalidError } from '../errors.js';
import { detectLanguage } from '../extract/entity-name.js';
import { GraphragOptions } from '../graphrag.options.js';
import type { GraphReader, ReaderKind } from '../index/graph-reader.port.js';
import type { RankedChunk, RetrievalResult, SnapshotChunk } from '../model.js';
import { buildContext, type RetrievalContext } from '../retrieve/build-context.js';
import { embedQuestion } from '../retrieve/embed-question.js';
import { denseShare } from '../retrieve/embedding-strength.js';
import { COMMUNITY_SHARE, joinContexts } from '../retrieve/join-contexts.js';
import { type RerankOutcome, rerankChunks } from '../retrieve/rerank-chunks.js';
import { Reranker } from '../retrieve/reranker.port.js';
import type { RankingPart } from '../retrieve/retrieval-query.js';
import { retrieveGraph } from '../retrieve/retrieve-graph.js';
import { retrievePlain } from '../retrieve/retrieve-plain.js';
import { pathNaming } from '../retrieve/verbalise-path.js';
import { EmbeddingStrengthService } from './embedding-strength.service.js';
import { SnapshotProvider } from './snapshot-provider.js';

export interface RetrieveRequest {
  readonly tenantId: TenantId;
  readonly question: string;
  /** `graph` (default), or `plain` for the baseline without a graph. */
  readonly strategy?: 'graph' | 'plain' | undefined;
  /** Parts of the graph's ranking to leave out, for ablation studies. Default none. */
  readonly without?: readonly RankingPart[] | undefined;
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
  /** The reranker that ordered the passages, if there is one and it did in time. */
  readonly reranker?: string;
  /** True when the embedding model failed and only keywords and the graph were used. */
  readonly degraded: boolean;
  /** Where the graph was read: in this process, or over SQL when it is larger than its bound. */
  readonly reader: ReaderKind;
  /** The passages of the result and those that its paths rest on, as they were when retrieved. */
  chunkOf(chunkId: string): Omit<RankedChunk, 'score'> | undefined;
}

/** Fewest tokens a context may be given. */
const LEAST_TOKENS = 50;

/** Finds what a tenant's corpus says about a question. */
@Injectable()
export class RetrievalService {
  constructor(
    @Inject(SnapshotProvider) private readonly snapshots: SnapshotProvider,
    @Inject(EmbeddingModel) private readonly embeddings: EmbeddingModel,
    @Inject(ChatModel) private readonly model: ChatModel,
    @Inject(Clock) private readonly clock: Clock,
    @Inject(GraphragOptions) private readonly options: GraphragOptions,
    @Inject(EmbeddingStrengthService) private readonly strengths: EmbeddingStrengthService,
    @Inject(CommunityService) private readonly communities: CommunityService,
    @Optional() @Inject(Reranker) private readonly reranker?: Reranker,
  ) {}

  /**
   * Retrieves passages and, with the strategy `graph`, the relations that connect the question's entities. A
   * question about the whole corpus gets summaries of its communities first, once there are any.
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
    const tokenBudget = inRange(
      'tokenBudget',
      request.tokenBudget ?? this.options.tokenBudget,
      LEAST_TOKENS,
      100_000,
    );

    const vector = await embedQuestion(this.embeddings, tenantId, question, signal);
    signal?.throwIfAborted();
    const retrieve = request.strategy === 'plain' ? retrievePlain : retrieveGraph;
    const found = await this.snapshots.read(tenantId, async (reader, vectors) => {
      const query = {
        question,
        limit,
        without: request.without ?? [],
        ...(vector && {
          vector,
          denseShare: denseShare(await this.strengths.of(tenantId, reader.version)),
        }),
      };
      const result = await retrieve(reader, query, { vectors, clock: this.clock });
      return {
        result,
        naming: await pathNaming(reader, result.paths, detectLanguage(question)),
        cited: await citedChunks(reader, result),
        corpusVersion: reader.version,
        reader: reader.kind,
      };
    });
    const { naming, cited, corpusVersion, reader } = found;
    // After the graph is read: a transaction must not wait for a model.
    const reranked = await this.rerank(request, question, found.result.chunks);
    const corpus =
      found.result.route === 'corpus' && request.strategy !== 'plain'
        ? await this.searchCommunities(request, question, tokenBudget)
        : undefined;
    const strategy = corpus ? ('communities' as const) : found.result.strategy;
    const result = { ...found.result, ...reranked, strategy };
    const passages = buildContext(result, {
      question,
      tokenBudget: tokenBudget - (corpus?.context.tokens ?? 0),
      countTokens: (text) => this.model.countTokens(text),
      naming,
    });
    const context = corpus ? joinContexts(corpus, passages) : passages;
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
      corpusVersion,
      reader,
      degraded: vector === undefined,
      chunkOf: (chunkId) => cited.get(chunkId) ?? corpus?.chunks.get(chunkId),
    };
  }

  /** What communities say, if there are any yet. */
  private async searchCommunities(
    { tenantId, signal }: RetrieveRequest,
    question: string,
    tokenBudget: number,
  ): Promise<CommunitySearch | undefined> {
    const found = await this.communities.search({
      tenantId,
      question,
      tokenBudget: Math.max(LEAST_TOKENS, Math.floor(tokenBudget * COMMUNITY_SHARE)),
      ...(signal && { signal }),
    });
    return found.context.passages.length > 0 ? found : undefined;
  }

  private async rerank(
    { tenantId, signal }: RetrieveRequest,
    question: string,
    chunks: readonly RankedChunk[],
  ): Promise<RerankOutcome> {
    if (!this.reranker) return { chunks };
    const request = { tenantId, question, chunks, ...(signal && { signal }) };
    return rerankChunks(this.reranker, request, this.options.rerankBudgetMs);
  }

  private checkedQuestion(question: string): string {
    const text = question.trim();
    if (!text || text.length > this.options.maxQuestionLength)
      throw new QueryInvalidError(this.options.maxQuestionLength);
    return text;
  }
}

/** The result's passages and those that state its paths. */
async function citedChunks(
  reader: GraphReader,
  result: RetrievalResult,
): Promise<Map<string, Omit<RankedChunk, 'score'>>> {
  const cited = new Map<string, Omit<RankedChunk, 'score'>>();
  for (const { score: _, ...chunk } of result.chunks) cited.set(chunk.chunkId, chunk);
  const ids = result.paths.flatMap(({ steps }) => steps.flatMap(({ chunkId }) => chunkId ?? []));
  const missing = [...new Set(ids)].filter((id) => !cited.has(id));
  const chunks = (await reader.chunksOf(missing)).filter((chunk) => chunk !== undefined);
  await reader.loadChunks(chunks);
  for (const chunk of chunks) cited.set(reader.chunkId(chunk), toCited(reader.chunk(chunk)));
  return cited;
}

function toCited({ id, documentId, documentTitle, headings, text, tokens }: SnapshotChunk) {
  return { chunkId: id, documentId, documentTitle, headings, text, tokens };
}

function inRange(name: string, value: number, least: number, most: number): number {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new ArgumentInvalidError(`"${name}" must be a whole number from ${least} to ${most}.`);
  return value;
}
