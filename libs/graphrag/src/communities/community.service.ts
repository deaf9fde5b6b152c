import { setImmediate as nextTick } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { Clock, isSparkleError, SystemDatabase, TenantDatabase, type TenantId } from '@sparkle/contracts';
import { ChatModel, EmbeddingModel, truncateToTokens } from '@sparkle/llm';
import {
  type DueCommunities,
  findDue,
  nextPending,
  readChildPoints,
  readCitedChunks,
  readCommunities,
  readCommunityRows,
  readCommunityState,
  readPointDocuments,
  readServable,
  readSources,
  replaceCommunities,
  type SummarySource,
  writeSummary,
} from '../adapters/postgres/community.store.js';
import { readCorpusVersion } from '../adapters/postgres/corpus-version.js';
import { ArgumentInvalidError, QueryInvalidError } from '../errors.js';
import { GraphragOptions } from '../graphrag.options.js';
import type { RankedChunk } from '../model.js';
import { embedQuestion } from '../retrieve/embed-question.js';
import { buildCommunityContext, type CommunityContext } from './community-context.js';
import { buildCommunityGraph } from './community-graph.js';
import { findCommunities } from './find-communities.js';
import { runPartition } from './partition-runner.js';
import { summariseCommunityPrompt } from './prompts/summarise-community.v1.js';
import { summaryPoints } from './summary-points.js';

export interface CommunitySearchRequest {
  readonly tenantId: TenantId;
  readonly question: string;
  /** Communities at most, 1–200. Default 40. */
  readonly k?: number | undefined;
  /** Tokens the context may have, 50–100,000. Default: the option `tokenBudget`. */
  readonly tokenBudget?: number | undefined;
  /** Whether the asker may read a passage: what rests on others is left out. Default: all of the tenant's. */
  readonly mayRead?: ((chunkId: string) => boolean) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface CommunitySearch {
  readonly context: CommunityContext;
  /** The documents' passages that the context's points rest on, by id. */
  readonly chunks: ReadonlyMap<string, Omit<RankedChunk, 'score'>>;
  readonly corpusVersion: number;
  /** The corpus version at which the communities were found; `undefined` before the first time. */
  readonly communitiesVersion: number | undefined;
  /** True when the embedding model failed and only words were compared. */
  readonly degraded: boolean;
  readonly durationMs: number;
}

export interface CommunityRefresh {
  /** True when communities were found anew or extended; false when they showed the corpus already. */
  readonly found: boolean;
  /** Summaries made. */
  readonly summarised: number;
  /** Communities the model could not summarise; they stay without until they change. */
  readonly failed: number;
  /** True when summaries are left to make: the bound of one refresh or the tenant's budget was reached. */
  readonly unfinished: boolean;
}

/** Quiet time after a change, and the longest wait for it, before communities are found. */
const QUIET_MS = 30_000;
const PATIENCE_MS = 600_000;
const DEFAULT_COMMUNITIES = 40;
const SOURCES_READ = 60;
const PASSAGE_TOKENS = 200;
/** Statements may take this share of what a model reads. */
const STATEMENT_SHARE = 0.5;
/** A model that answers so will answer so again. */
const HOPELESS = new Set([
  'LLM_CONTEXT_TOO_LONG',
  'LLM_REQUEST_REJECTED',
  'LLM_BAD_RESPONSE',
  'LLM_INPUT_INVALID',
]);
/** The tenant has used up what it may take for now. */
const EXHAUSTED = new Set([
  'LLM_BUDGET_EXCEEDED',
  'LLM_RATE_LIMITED',
  'RATE_LIMITED',
  'TOKEN_BUDGET_EXCEEDED',
]);

/** Finds what a tenant's documents are about as a whole, and summarises it. */
@Injectable()
export class CommunityService {
  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(SystemDatabase) private readonly system: SystemDatabase,
    @Inject(ChatModel) private readonly model: ChatModel,
    @Inject(EmbeddingModel) private readonly embeddings: EmbeddingModel,
    @Inject(Clock) private readonly clock: Clock,
    @Inject(GraphragOptions) private readonly options: GraphragOptions,
  ) {}

  /**
   * Tenants (at most `limit`, default 100) whose communities are behind: their documents changed and have been
   * quiet for half a minute, or have waited for ten minutes. Those with summaries left to make come again.
   */
  due(
    limit = 100,
    wait: { quietMs: number; patienceMs: number } = { quietMs: QUIET_MS, patienceMs: PATIENCE_MS },
  ): Promise<DueCommunities[]> {
    return findDue(this.system, wait, limit);
  }

  /**
   * Brings a tenant's communities up to date and summarises those that have changed. For the worker: it calls
   * models and may take minutes. Every step is stored before the next begins: a crash costs one summary, running
   * it again goes on, running it twice at once stores nothing twice.
   * @throws TenantUnknownError when the tenant is not registered.
   */
  async refresh({
    tenantId,
    signal,
  }: {
    tenantId: TenantId;
    signal?: AbortSignal;
  }): Promise<CommunityRefresh> {
    const found = await this.find(tenantId, signal);
    let summarised = 0;
    let failed = 0;
    while (summarised + failed < this.options.communitySummariesPerRefresh) {
      signal?.throwIfAborted();
      try {
        const outcome = await this.summariseNext(tenantId, signal);
        if (outcome === 'none') return { found, summarised, failed, unfinished: false };
        if (outcome === 'failed') failed += 1;
        else summarised += 1;
      } catch (error) {
        if (signal?.aborted || !isSparkleError(error) || !EXHAUSTED.has(error.code)) throw error;
        return { found, summarised, failed, unfinished: true };
      }
      await nextTick();
    }
    const left = await this.database.withTenant(tenantId, (sql) => nextPending(sql, tenantId));
    return { found, summarised, failed, unfinished: left !== undefined };
  }

  /**
   * What a tenant's documents say about a question as a whole. Only summaries whose passages are all still there
   * are used, so nothing deleted is shown; the context is empty when there is none yet.
   * @throws QueryInvalidError for a blank or over-long question.
   * @throws ArgumentInvalidError when `k` or `tokenBudget` is out of range.
   * @throws TenantUnknownError when the tenant is not registered.
   */
  async search(request: CommunitySearchRequest): Promise<CommunitySearch> {
    const startedAt = this.clock.monotonic();
    const { tenantId, signal, mayRead } = request;
    const question = request.question.trim();
    if (!question || question.length > this.options.maxQuestionLength)
      throw new QueryInvalidError(this.options.maxQuestionLength);
    const k = inRange('k', request.k ?? DEFAULT_COMMUNITIES, 1, 200);
    const tokenBudget = inRange('tokenBudget', request.tokenBudget ?? this.options.tokenBudget, 50, 100_000);
    const vector = await embedQuestion(this.embeddings, tenantId, question, signal);
    const { communities, documents, corpusVersion, communitiesVersion } = await this.database.withTenant(
      tenantId,
      async (sql) => ({
        corpusVersion: await readCorpusVersion(sql, tenantId),
        communitiesVersion: (await readCommunityState(sql, tenantId))?.version,
        communities: await readServable(sql, tenantId),
        documents: await readPointDocuments(sql, tenantId),
      }),
    );
    signal?.throwIfAborted();
    const context = buildCommunityContext(communities, {
      question,
      vector,
      k,
      tokenBudget,
      countTokens: (text) => this.model.countTokens(text),
      documentOf: (chunkId) => documents.get(chunkId),
      mayRead,
    });
    const rows = await this.database.withTenant(tenantId, (sql) =>
      readCitedChunks(sql, tenantId, context.chunkIds),
    );
    // Deleted between the two looks.
    const gone = context.chunkIds.length > rows.length;
    return {
      context: gone ? { passages: [], points: new Map(), chunkIds: [], tokens: 0 } : context,
      chunks: new Map(rows.map(({ id, ...chunk }) => [id, { chunkId: id, ...chunk }])),
      corpusVersion,
      communitiesVersion,
      degraded: vector === undefined,
      durationMs: this.clock.monotonic() - startedAt,
    };
  }

  /** @returns false when the communities show the present corpus. */
  private async find(tenantId: TenantId, signal: AbortSignal | undefined): Promise<boolean> {
    const read = await this.database.withTenant(tenantId, async (sql) => {
      // Read first: rows that come in between belong to a later version, which the next refresh shows in full.
      const version = await readCorpusVersion(sql, tenantId);
      const state = await readCommunityState(sql, tenantId);
      if (state && state.version >= version) return undefined;
      return {
        version,
        previous: state && { state, ...(await readCommunities(sql, tenantId)) },
        rows: await readCommunityRows(sql, tenantId),
      };
    });
    if (!read) return false;
    const graph = await buildCommunityGraph(read.rows);
    const found = await findCommunities(tenantId, graph, read.previous, (each) =>
      runPartition(each, { signal }),
    );
    signal?.throwIfAborted();
    return this.database.withTenant(tenantId, (sql) =>
      replaceCommunities(sql, tenantId, { ...found, version: read.version }),
    );
  }

  private async summariseNext(
    tenantId: TenantId,
    signal: AbortSignal | undefined,
  ): Promise<'none' | 'made' | 'failed'> {
    const read = await this.database.withTenant(tenantId, async (sql) => {
      const community = await nextPending(sql, tenantId);
      if (!community) return undefined;
      const sources =
        community.level === 0
          ? this.fineSources(await readSources(sql, tenantId, community.id, SOURCES_READ))
          : this.coarseSources(await readChildPoints(sql, tenantId, community.id));
      return { community, sources };
    });
    if (!read) return 'none';
    const { community } = read;
    const sources = new Map(read.sources.map((source, index) => [`S${index + 1}`, source]));
    const sourceIds = read.sources.flatMap(({ chunkIds, basis }) => basis ?? chunkIds);
    const cost = { inputTokens: 0, outputTokens: 0, costUsd: 0 };
    let model = this.model.id;
    let points: ReturnType<typeof summaryPoints> = [];
    let failed = false;
    if (sources.size > 0) {
      try {
        const result = await this.model.generate({
          tenantId,
          messages: summariseCommunityPrompt.render({
            title: community.title,
            sources: [...sources].map(([id, { text, title }]) => ({ id, text, ...(title && { title }) })),
            maxPoints: this.options.communityPoints,
            maxTokens: this.options.communitySummaryTokens,
          }),
          context: [...sources].map(([id, { text }]) => ({ id, kind: 'chunk' as const, text })),
          task: 'summarise',
          maxOutputTokens: this.options.communitySummaryTokens,
          ...(signal && { signal }),
        });
        Object.assign(cost, result.usage);
        model = result.model;
        points = summaryPoints(result.text, sources, this.options.communityPoints);
      } catch (error) {
        if (signal?.aborted || !isSparkleError(error) || !HOPELESS.has(error.code)) throw error;
        failed = true;
      }
    }
    const vector =
      points.length > 0 ? await this.embedSummary(tenantId, community.title, points, signal) : undefined;
    await this.database.withTenant(tenantId, (sql) =>
      writeSummary(sql, tenantId, { ...community, points, sourceIds, model, cost, vector }),
    );
    return failed ? 'failed' : 'made';
  }

  /** Statements first, for they connect the community's nodes; then passages, each cut, while the budget lasts. */
  private fineSources(read: { statements: SummarySource[]; passages: SummarySource[] }): SummarySource[] {
    const budget = this.options.communityInputTokens;
    const chosen: SummarySource[] = [];
    let tokens = 0;
    const take = (source: SummarySource, limit: number) => {
      const cost = this.model.countTokens(source.text);
      if (tokens + cost > limit) return;
      tokens += cost;
      chosen.push(source);
    };
    for (const statement of read.statements) take(statement, budget * STATEMENT_SHARE);
    for (const passage of read.passages)
      take({ ...passage, text: truncateToTokens(passage.text, PASSAGE_TOKENS) }, budget);
    return chosen;
  }

  /** The children's points, one of each in turn. */
  private coarseSources(children: Awaited<ReturnType<typeof readChildPoints>>): SummarySource[] {
    const chosen: SummarySource[] = [];
    let tokens = 0;
    const most = Math.max(0, ...children.map(({ points }) => points.length));
    for (let turn = 0; turn < most; turn += 1)
      for (const { title, points, sourceIds } of children) {
        const point = points[turn];
        if (!point) continue;
        const cost = this.model.countTokens(point.text);
        if (tokens + cost > this.options.communityInputTokens) continue;
        tokens += cost;
        const { text, chunkIds, verbatim } = point;
        chosen.push({ text, title, chunkIds, ...(!verbatim && { basis: sourceIds }) });
      }
    return chosen;
  }

  private async embedSummary(
    tenantId: TenantId,
    title: string,
    points: readonly { text: string }[],
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    const [vector] = await this.embeddings.embed({
      tenantId,
      texts: [[title, ...points.map(({ text }) => text)].join('\n')],
      ...(signal && { signal }),
    });
    return vector!;
  }
}

function inRange(name: string, value: number, least: number, most: number): number {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new ArgumentInvalidError(`"${name}" must be a whole number from ${least} to ${most}.`);
  return value;
}
