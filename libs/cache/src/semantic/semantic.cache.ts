import { createHash } from 'node:crypto';
import { type Clock, parseTenantId, SystemClock, type TenantId } from '@sparkle/contracts';
import { parseOptions } from '../cache.options.js';
import type { CacheNamespace, CacheService } from '../core/cache.service.js';
import type { LoaderContext } from '../core/cache-call.js';
import { publishEvent } from '../core/cache-parts.js';
import { jsonCodec, type ValueCodec } from '../core/value-codec.js';
import {
  CacheStoreError,
  CacheStoreTimeoutError,
  LoadAbandonedError,
  SemanticEntryNotFoundError,
  SemanticInputInvalidError,
} from '../errors.js';
import type { QuestionEmbedder } from '../ports/question-embedder.port.js';
import type {
  PurgeMark,
  SemanticEntry,
  SemanticPartition,
  SemanticStore,
} from '../ports/semantic-store.port.js';
import { Interest } from './interest.js';
import { type QuestionForm, questionForm } from './question-form.js';
import { compareQuestions, type GateVerdict } from './question-gates.js';
import {
  type SemanticCacheOptions,
  type SemanticCacheOptionsInput,
  semanticCacheOptionsSchema,
} from './semantic-cache.options.js';

/** Everything that makes an answer what it is besides the question. Two that differ anywhere share nothing. */
export interface SemanticScope {
  readonly tenantId: TenantId;
  /** Set when answers depend on who asks. */
  readonly userScope?: string;
  readonly model: string;
  readonly systemPromptHash: string;
  readonly toolsHash: string;
  readonly parametersHash: string;
  readonly corpusVersion: string | number;
}

export interface SemanticHit<Answer> {
  readonly answer: Answer;
  /** `exact`: the same question but for case, spacing and punctuation. `semantic`: the same put differently. */
  readonly tier: 'exact' | 'semantic';
  /** For {@link SemanticCache.reportBadHit}. */
  readonly entryId: string;
  /** The question it was the answer to. */
  readonly question: string;
  /** 1 in the exact tier. */
  readonly similarity: number;
}

/** What a loader of {@link SemanticCache.getOrAnswer} returns. */
export interface FreshAnswer<Answer> {
  readonly answer: Answer;
  /** Documents the answer was made from; purging one removes it. */
  readonly documentIds?: readonly string[];
  /** `false` for an answer not worth keeping, such as a degraded one. Default `true`. */
  readonly cacheable?: boolean;
}

export interface AnswerResult<Answer> {
  readonly answer: Answer;
  readonly cache: 'exact' | 'semantic' | 'miss';
  /** For {@link SemanticCache.reportBadHit}; absent while the answer is fresh and still being stored. */
  readonly entryId?: string;
  /** The question it was first the answer to, when it came from the cache. */
  readonly question?: string;
  readonly similarity?: number;
}

export interface SemanticCacheDependencies {
  /** Holds the exact tier and single flight. */
  readonly cache: CacheService;
  readonly store: SemanticStore;
  readonly embedder: QuestionEmbedder;
  readonly clock?: Clock;
  readonly codec?: ValueCodec;
}

/** What the exact tier keeps under a canonical question. */
interface ExactValue {
  /** `alias`: a paraphrase that was found by similarity once. */
  readonly kind: 'answer' | 'alias';
  readonly answer: unknown;
  readonly question: string;
  readonly documentIds: readonly string[];
  readonly entryId: string;
  readonly similarity: number;
  /** What was left of the entry's life when it was put here. Zero: not kept here. */
  readonly ttlMs: number;
}

interface Inquiry {
  readonly question: string;
  readonly form: QuestionForm;
  readonly partition: SemanticPartition & { readonly id: string };
  readonly canonicalHash: string;
  /** Key in the exact tier. */
  readonly key: string;
}

interface RunningQuestion {
  readonly tenantId: TenantId;
  readonly form: QuestionForm;
  /** Known a moment after the start. */
  embedding?: Float32Array;
  readonly answer: Promise<AnswerResult<unknown>>;
  /** Who waits for it. */
  readonly interest: Interest;
}

type Load<Answer> = (context: LoaderContext) => Promise<FreshAnswer<Answer>>;

/** Namespace of the exact tier in the {@link CacheService}. */
const NAMESPACE = 'semantic-exact';
const DEFAULT_HARD_TIMEOUT_MS = 120_000;

/**
 * Gives a paraphrase of an answered question the answer without a model call. The exact tier knows questions by
 * their canonical form; behind it a vector search inside the scope's partition proposes candidates. A candidate
 * is served when it is similar enough *and* passes the gates: similarity alone confuses opposites, numbers and
 * names. An outage of embedder or store is a miss, never an error.
 */
export class SemanticCache {
  private readonly options: SemanticCacheOptions;
  private readonly clock: Clock;
  private readonly codec: ValueCodec;
  /** Questions being answered in this process, by partition, then by key. */
  private readonly running = new Map<string, Map<string, RunningQuestion>>();
  private readonly background = new Set<Promise<unknown>>();

  /** @throws CacheOptionsInvalidError */
  constructor(
    private readonly dependencies: SemanticCacheDependencies,
    options: SemanticCacheOptionsInput = {},
  ) {
    this.options = parseOptions(semanticCacheOptionsSchema, options);
    this.clock = dependencies.clock ?? new SystemClock();
    this.codec = dependencies.codec ?? jsonCodec;
  }

  /**
   * The stored answer to this question or a paraphrase of it.
   * @throws SemanticInputInvalidError, TenantIdInvalidError
   */
  async lookup<Answer>(request: {
    readonly scope: SemanticScope;
    readonly question: string;
    readonly embedding?: Float32Array;
  }): Promise<SemanticHit<Answer> | undefined> {
    const inquiry = this.inquire(request.scope, request.question);
    if (this.isTooLong(inquiry)) return undefined;
    const exact = await this.exactTier(inquiry.partition.tenantId).get<ExactValue>(inquiry.key);
    const found =
      exact ??
      (await this.orNothing(
        inquiry,
        this.options.searchBudgetMs,
        this.embed(inquiry, request.embedding).then((embedding) => this.search(inquiry, embedding)),
      ));
    return found && (this.serve(inquiry, found) as SemanticHit<Answer>);
  }

  /**
   * Stores an answer for its lifetime, whatever was purged before.
   * @returns the entry's id
   * @throws SemanticInputInvalidError, ValueNotSerializableError, and what the store or embedder throws
   */
  async store<Answer>(request: {
    readonly scope: SemanticScope;
    readonly question: string;
    readonly answer: Answer;
    readonly embedding?: Float32Array;
    readonly documentIds?: readonly string[];
  }): Promise<string> {
    const inquiry = this.inquire(request.scope, request.question);
    if (this.isTooLong(inquiry))
      throw new SemanticInputInvalidError(
        `A question to be stored has at most ${this.options.maxQuestionLength} characters.`,
      );
    const embedding = await this.embed(inquiry, request.embedding);
    const value = await this.persist(inquiry, embedding, request);
    if (!value) throw new CacheStoreError('The semantic store did not keep an answer that nothing outdates.');
    await this.exactTier(inquiry.partition.tenantId).set(inquiry.key, value, {
      ttlMs: value.ttlMs,
      tags: tagsOf(value),
      jitter: 0,
    });
    return value.entryId;
  }

  /**
   * The cached answer, or what `loader` returns. Concurrent paraphrases in this process, and the same question in
   * any process, cause one load. Storing goes on in the background and never delays the answer.
   *
   * A caller whose `signal` aborts gets its reason at once. The others are answered; when nobody in this process is
   * left, the loader's signal aborts and nothing is stored.
   * @throws what the loader throws (nothing is stored then), SemanticInputInvalidError, TenantIdInvalidError
   */
  async getOrAnswer<Answer>(
    question: string,
    scope: SemanticScope,
    loader: Load<Answer>,
    options: { readonly hardTimeoutMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<AnswerResult<Answer>> {
    const { hardTimeoutMs = DEFAULT_HARD_TIMEOUT_MS, signal } = options;
    const inquiry = this.inquire(scope, question);
    signal?.throwIfAborted();
    if (this.isTooLong(inquiry)) {
      const context = { key: inquiry.key, signal: signal ?? new AbortController().signal };
      return { cache: 'miss', answer: (await loader(context)).answer };
    }
    const same = this.running.get(inquiry.partition.id)?.get(inquiry.key);
    if (same) {
      const shared = await same.interest.share(same.answer, signal);
      return asJoined(shared, tierOf(inquiry.form, same.form)) as AnswerResult<Answer>;
    }
    const { answer, interest } = this.answer(inquiry, loader, hardTimeoutMs);
    return interest.share(answer, signal);
  }

  /**
   * Says that an entry was served for a question it does not answer. The entry is no longer served. An answer
   * stored for its question later has a threshold higher by `tightenBy` with every report, and above the
   * similarity that went wrong; from 1 on, it is served to its own wording only.
   * @throws SemanticEntryNotFoundError, TenantIdInvalidError
   */
  async reportBadHit(report: {
    readonly tenantId: TenantId;
    readonly entryId: string;
    /** At which it was served. */
    readonly similarity?: number;
  }): Promise<void> {
    const tenantId = parseTenantId(report.tenantId);
    const { tightenBy, ttlMs } = this.options;
    const tightening = { by: tightenBy, above: report.similarity ?? 0 };
    const found = await this.dependencies.store.evictAndTighten(tenantId, report.entryId, tightening, ttlMs);
    await this.exactTier(tenantId).deleteByTag(entryTag(report.entryId));
    if (!found) throw new SemanticEntryNotFoundError();
    publishEvent({ tenantId, namespace: NAMESPACE }, 'semantic', 'evicted');
  }

  /**
   * Removes every answer made from a document, and keeps answers still being made from it, in any process, from
   * being stored.
   * @returns how many entries were removed
   */
  async purgeByDocument(tenantId: TenantId, documentId: string): Promise<number> {
    const checked = parseTenantId(tenantId);
    this.overtakeRunning(checked);
    const removed = await this.dependencies.store.purgeByDocument(checked, documentId);
    await this.exactTier(checked).deleteByTag(documentTag(documentId));
    publishEvent({ tenantId: checked, namespace: NAMESPACE }, 'semantic', 'invalidated');
    return removed;
  }

  /**
   * Deletes a tenant's expired answers, which are served no longer in any case. For a maintenance job.
   * @returns how many were deleted
   */
  removeExpired(tenantId: TenantId): Promise<number> {
    return this.dependencies.store.removeExpired(parseTenantId(tenantId));
  }

  /** Resolves when answers being stored in the background are stored. For shutdown. */
  async drain(): Promise<void> {
    while (this.background.size > 0) await Promise.allSettled(this.background);
  }

  private get threshold(): number {
    return this.dependencies.embedder.semanticThreshold ?? this.options.threshold;
  }

  private inquire(scope: SemanticScope, question: string): Inquiry {
    if (typeof question !== 'string' || question.trim() === '')
      throw new SemanticInputInvalidError('A question has at least one character that is not a space.');
    const tenantId = parseTenantId(scope.tenantId);
    const digest = this.digest(scope);
    const form = questionForm(question);
    const canonicalHash = hash(form.canonical);
    return {
      question,
      form,
      canonicalHash,
      partition: { tenantId, digest, id: `${tenantId}:${digest}` },
      key: `${digest}.${canonicalHash}`,
    };
  }

  /** Hashes the scope field by field, so that no two scopes can be written alike. */
  private digest(scope: SemanticScope): string {
    const names = ['model', 'systemPromptHash', 'toolsHash', 'parametersHash', 'corpusVersion'] as const;
    const missing = names.filter(
      (name) => typeof scope[name] !== 'string' && typeof scope[name] !== 'number',
    );
    if (missing.length > 0)
      throw new SemanticInputInvalidError(`The scope of a question lacks: ${missing.join(', ')}.`);
    const parts = [scope.userScope ?? null, ...names.map((name) => String(scope[name]))];
    return hash(JSON.stringify([...parts, this.dependencies.embedder.id]));
  }

  private isTooLong({ question }: Inquiry): boolean {
    return question.length > this.options.maxQuestionLength;
  }

  private exactTier(tenantId: TenantId): CacheNamespace {
    return this.dependencies.cache.namespace({ tenantId, namespace: NAMESPACE });
  }

  private serve({ partition, form }: Inquiry, value: ExactValue): SemanticHit<unknown> {
    const tier = tierOf(form, questionForm(value.question));
    publishEvent({ tenantId: partition.tenantId, namespace: NAMESPACE }, tier, 'hit');
    const { answer, entryId, question, similarity } = value;
    return { answer, tier, entryId, question, similarity };
  }

  private answer<Answer>(
    inquiry: Inquiry,
    loader: Load<Answer>,
    hardTimeoutMs: number,
  ): { readonly answer: Promise<AnswerResult<Answer>>; readonly interest: Interest } {
    let settled = false;
    let answered: (result: AnswerResult<Answer>) => void = () => undefined;
    let failed: (error: unknown) => void = () => undefined;
    const answer = new Promise<AnswerResult<Answer>>((resolve, reject) => {
      answered = (result) => {
        settled = true;
        resolve(result);
      };
      failed = reject;
    });
    const { tenantId } = inquiry.partition;
    // Nobody joins what is being stopped.
    const interest = new Interest(() => leave());
    const running: RunningQuestion = { tenantId, form: inquiry.form, answer, interest };
    const leave = this.enter(inquiry, running);
    const flight = this.untilLoaded(interest, () =>
      this.exactTier(tenantId).getOrSet<ExactValue>(
        inquiry.key,
        (context) => this.find(inquiry, running, loader, context, answered),
        {
          hardTimeoutMs,
          ttlMs: (value) => value.ttlMs,
          tags: tagsOf,
          jitter: 0,
          earlyRefreshBeta: 0,
          graceMs: 0,
        },
      ),
    )
      .then((value) => {
        if (settled) return;
        const { tier: cache, ...hit } = this.serve(inquiry, value) as SemanticHit<Answer>;
        answered({ cache, ...hit });
      }, failed)
      .finally(leave);
    this.background.add(flight);
    void flight.finally(() => this.background.delete(flight));
    return { answer, interest };
  }

  /** Joins no flight that others gave up: as long as somebody waits here, it is begun anew. */
  private async untilLoaded(interest: Interest, fly: () => Promise<ExactValue>): Promise<ExactValue> {
    for (;;) {
      try {
        return await fly();
      } catch (error) {
        if (!(error instanceof LoadAbandonedError) || interest.signal.aborted) throw error;
      }
    }
  }

  /** What the exact tier does not have: a twin in progress, a paraphrase in the store, or a fresh answer. */
  private async find<Answer>(
    inquiry: Inquiry,
    running: RunningQuestion,
    loader: Load<Answer>,
    context: LoaderContext,
    answered: (result: AnswerResult<Answer>) => void,
  ): Promise<ExactValue> {
    const { searchBudgetMs, storeBudgetMs } = this.options;
    const deadline = this.clock.monotonic() + searchBudgetMs;
    const abandoned = running.interest.signal;
    abandoned.throwIfAborted();
    // Read before the answer is begun: whatever is purged from here on may be in it.
    const [embedding, asOf] = await Promise.all([
      this.orNothing(inquiry, searchBudgetMs, this.embed(inquiry)),
      this.orNothing(inquiry, searchBudgetMs, this.dependencies.store.purgeMark(inquiry.partition.tenantId)),
    ]);
    if (embedding) {
      const twin = this.twinOf(inquiry, running, embedding);
      if (twin) {
        const shared = await twin.interest.share(twin.answer, abandoned);
        const joined = asJoined(shared, 'semantic') as AnswerResult<Answer>;
        answered(joined);
        return unkept(inquiry, joined.answer);
      }
      running.embedding = embedding;
      const budgetMs = deadline - this.clock.monotonic();
      const found =
        budgetMs > 0 ? await this.orNothing(inquiry, budgetMs, this.search(inquiry, embedding)) : undefined;
      if (found) {
        const { tier: cache, ...hit } = this.serve(inquiry, found) as SemanticHit<Answer>;
        answered({ cache, ...hit });
        return found;
      }
    }
    const fresh = await this.load(loader, context, abandoned);
    answered({ cache: 'miss', answer: fresh.answer });
    if (!embedding || asOf === undefined || fresh.cacheable === false) return unkept(inquiry, fresh.answer);
    const kept = await this.orNothing(inquiry, storeBudgetMs, this.persist(inquiry, embedding, fresh, asOf));
    return kept ?? unkept(inquiry, fresh.answer);
  }

  /** Ends as soon as nobody waits any more, whatever the loader does about it. */
  private async load<Answer>(
    loader: Load<Answer>,
    context: LoaderContext,
    abandoned: AbortSignal,
  ): Promise<FreshAnswer<Answer>> {
    abandoned.throwIfAborted();
    return new Promise((resolve, reject) => {
      abandoned.addEventListener('abort', () => reject(abandoned.reason), { once: true });
      const signal = AbortSignal.any([context.signal, abandoned]);
      Promise.resolve(loader({ ...context, signal })).then(resolve, reject);
    });
  }

  /** Makes a question visible to those asked at the same time, until the function returned is called. */
  private enter(inquiry: Inquiry, running: RunningQuestion): () => void {
    const { id } = inquiry.partition;
    const group = this.running.get(id) ?? new Map<string, RunningQuestion>();
    if (group.size >= this.options.maxConcurrentQuestions) return () => undefined;
    group.set(inquiry.key, running);
    this.running.set(id, group);
    return () => {
      if (group.get(inquiry.key) === running) group.delete(inquiry.key);
      if (group.size === 0 && this.running.get(id) === group) this.running.delete(id);
    };
  }

  private twinOf(
    inquiry: Inquiry,
    self: RunningQuestion,
    embedding: Float32Array,
  ): RunningQuestion | undefined {
    for (const other of this.running.get(inquiry.partition.id)?.values() ?? []) {
      if (other === self || !other.embedding) continue;
      const verdict = compareQuestions(inquiry.form, other.form);
      if (isSame(verdict, dot(embedding, other.embedding), this.threshold)) return other;
    }
    return undefined;
  }

  /** Who asks from here on does not join what was begun before. */
  private overtakeRunning(tenantId: TenantId): void {
    for (const group of this.running.values())
      for (const [key, running] of group) if (running.tenantId === tenantId) group.delete(key);
  }

  private async embed({ partition, question }: Inquiry, given?: Float32Array): Promise<Float32Array> {
    const { embedder } = this.dependencies;
    const embedding = given ?? (await embedder.embed(partition.tenantId, question));
    if (embedding.length !== embedder.dimensions)
      throw new SemanticInputInvalidError(
        `An embedding of ${embedder.id} has ${embedder.dimensions} dimensions, not ${embedding.length}.`,
      );
    if (!(Math.abs(dot(embedding, embedding) - 1) < 0.01))
      throw new SemanticInputInvalidError('A question embedding is a vector of norm 1.');
    return embedding;
  }

  /** What fails or takes longer than its budget is left out. */
  private async orNothing<T>(
    { partition }: Inquiry,
    budgetMs: number,
    work: Promise<T>,
  ): Promise<T | undefined> {
    let timer: { cancel(): void } | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = this.clock.schedule(budgetMs, () => reject(new CacheStoreTimeoutError(budgetMs)));
    });
    try {
      return await Promise.race([work, late]);
    } catch (error) {
      if (error instanceof SemanticInputInvalidError) throw error;
      publishEvent({ tenantId: partition.tenantId, namespace: NAMESPACE }, 'semantic', 'error');
      return undefined;
    } finally {
      timer?.cancel();
    }
  }

  private async search(inquiry: Inquiry, embedding: Float32Array): Promise<ExactValue | undefined> {
    const { store } = this.dependencies;
    const same = await store.findExact(inquiry.partition, inquiry.canonicalHash);
    if (same && (!isStrict(same) || questionForm(same.question).normalised === inquiry.form.normalised))
      return this.fromStore('answer', same, 1);
    let rejected = false;
    for (const candidate of await store.search(inquiry.partition, embedding, this.options.candidates)) {
      if (candidate.similarity < candidate.threshold) continue;
      const verdict = compareQuestions(inquiry.form, questionForm(candidate.question));
      if (!isStrict(candidate) && isSame(verdict, candidate.similarity, candidate.threshold))
        return this.fromStore('alias', candidate, candidate.similarity);
      rejected = true;
    }
    const scope = { tenantId: inquiry.partition.tenantId, namespace: NAMESPACE };
    publishEvent(scope, 'semantic', rejected ? 'rejected' : 'miss');
    return undefined;
  }

  private fromStore(kind: ExactValue['kind'], entry: SemanticEntry, similarity: number): ExactValue {
    return {
      kind,
      similarity,
      answer: this.codec.decode(entry.answer),
      question: entry.question,
      documentIds: entry.documentIds,
      entryId: entry.id,
      // A hit prolongs nothing. The exact tier gives what it has to all wordings.
      ttlMs: isStrict(entry) ? 0 : Math.max(0, entry.remainingMs),
    };
  }

  private async persist(
    { question, partition, canonicalHash }: Inquiry,
    embedding: Float32Array,
    { answer, documentIds = [] }: Pick<FreshAnswer<unknown>, 'answer' | 'documentIds'>,
    asOf?: PurgeMark,
  ): Promise<ExactValue | undefined> {
    const { ttlMs } = this.options;
    const stored = await this.dependencies.store.store(partition, {
      question,
      canonicalHash,
      embedding,
      documentIds,
      ttlMs,
      answer: this.codec.encode(answer),
      threshold: this.threshold,
      ...(asOf !== undefined && { asOf }),
    });
    if (!stored) return undefined;
    publishEvent({ tenantId: partition.tenantId, namespace: NAMESPACE }, 'semantic', 'set', { ttlMs });
    return {
      kind: 'answer',
      answer,
      question,
      documentIds,
      entryId: stored.id,
      similarity: 1,
      ttlMs: isStrict(stored) ? 0 : ttlMs,
    };
  }
}

function isSame(verdict: GateVerdict, similarity: number, threshold: number): boolean {
  if (verdict.kind === 'different') return false;
  return verdict.kind === 'equivalent' || similarity >= Math.max(threshold, verdict.atLeast);
}

/** Reported so often, or at such a similarity, that no other wording is trusted. */
function isStrict({ threshold }: { readonly threshold: number }): boolean {
  return threshold >= 1;
}

/** Wordings with one canonical form share an entry; only the wording itself is an exact hit. */
function tierOf(asked: QuestionForm, answered: QuestionForm): 'exact' | 'semantic' {
  return asked.normalised === answered.normalised ? 'exact' : 'semantic';
}

function asJoined(result: AnswerResult<unknown>, tier: 'exact' | 'semantic'): AnswerResult<unknown> {
  return result.cache === 'miss' ? { ...result, cache: tier } : result;
}

function unkept({ question }: Inquiry, answer: unknown): ExactValue {
  return { kind: 'answer', answer, question, documentIds: [], entryId: '', similarity: 1, ttlMs: 0 };
}

function tagsOf({ entryId, documentIds }: ExactValue): string[] {
  return entryId === '' ? [] : [entryTag(entryId), ...documentIds.map(documentTag)];
}

function entryTag(entryId: string): string {
  return `entry:${entryId}`;
}

function documentTag(documentId: string): string {
  return `document:${documentId}`;
}

function hash(text: string): string {
  return createHash('sha256').update(text, 'utf16le').digest('base64url');
}

function dot(left: Float32Array, right: Float32Array): number {
  let sum = 0;
  for (let index = 0; index < left.length; index++) sum += (left[index] ?? 0) * (right[index] ?? 0);
  return sum;
}
