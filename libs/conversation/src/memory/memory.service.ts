import { Inject, Injectable, Optional } from '@nestjs/common';
import { Clock, SystemClock, TenantDatabase, type TenantId } from '@sparkle/contracts';
import { ChatModel, type ContextPassage, EmbeddingModel } from '@sparkle/llm';
import { CONVERSATION_OPTIONS, type ConversationOptions } from '../conversation.options.js';
import { ConversationNotFoundError } from '../errors.js';
import type { Conversation, MemoryMetadata, Message } from '../model.js';
import { type Summary, SummaryCache, summaryTtlMs } from '../ports/summary-cache.port.js';
import { ConversationStore } from '../store/conversation-store.js';
import { currentNotes, renderSummary } from '../summaries/notes.js';
import { clip, isQuestion, sentences, spoken } from '../text.js';
import { fitBudget, type Sized, type SummaryText } from './budget.js';
import { rankRecall } from './rank-recall.js';
import { searchWords } from './search-words.js';
import { type MemoryPlan, type MemoryStrategy, needsSummary, planMemory } from './strategy.js';
import { namedTimes } from './time-expressions.js';

export interface AssembleRequest {
  readonly tenantId: TenantId;
  readonly conversationId: string;
  /** What is being asked; old messages are recalled by it. */
  readonly question: string;
  /** Tokens that messages, summary and recalled messages may cost together. */
  readonly tokenBudget: number;
  /** Only messages before this number are remembered. Default: all. */
  readonly beforeSeq?: number;
  readonly signal?: AbortSignal;
}

export interface SearchRequest {
  readonly tenantId: TenantId;
  readonly conversationId: string;
  readonly question: string;
  /** Only messages before this number are searched. */
  readonly beforeSeq: number;
  /** Default `memory.recallLimit`. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

/** A message as shown to the model; a newest message too long for the budget is cut. */
export interface RememberedMessage extends Sized {
  readonly seq: number;
  readonly role: Message['role'];
  readonly metadata: Message['metadata'];
}

export interface RecalledMessage extends RememberedMessage {
  /** On an answer: the question it answered. */
  readonly question?: string;
}

export interface RememberedSummary extends Sized {
  /** Messages `1…toSeq` are covered. */
  readonly toSeq: number;
  readonly method: Summary['method'];
}

export interface MemoryContext {
  readonly strategy: MemoryStrategy;
  /** Messages before the question. */
  readonly length: number;
  /** Recent messages, each answer behind its question. */
  readonly messages: readonly RememberedMessage[];
  readonly summary?: RememberedSummary;
  /** Old messages about the question, best first. */
  readonly recalled: readonly RecalledMessage[];
  /** Never above the budget. */
  readonly tokens: number;
  readonly bridged: number;
  /** Messages covered by {@link summary}; 0 without one. */
  readonly summarisedTo: number;
  /** Messages that are in a summary, shown here or not. */
  readonly knownSummarisedTo: number;
  /** True when a summary is due. */
  readonly pendingSummary: boolean;
  /** True when the budget cut something off. */
  readonly truncated: boolean;
  /** True when its length calls for more: no summary from `summaryFrom` on, or no recall by meaning. */
  readonly degraded: boolean;
}

/** Messages read of each kind, so that a question of common words costs no more in a talk of any length. */
const MAX_WORDED = 2_000;
const MAX_NEAR = 64;
const MAX_TIMED = 500;
const MAX_QUESTION_WORDS = 32;
/** Messages on either side of a recalled one that come along where there is room. */
const SURROUNDING = 1;

/** Decides what of a conversation the model gets to see. */
@Injectable()
export class MemoryService {
  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(ChatModel) private readonly model: Pick<ChatModel, 'countTokens'>,
    @Inject(CONVERSATION_OPTIONS) private readonly options: ConversationOptions,
    @Optional() @Inject(Clock) private readonly clock: Clock = new SystemClock(),
    @Optional() @Inject(EmbeddingModel) private readonly embeddings?: EmbeddingModel,
    @Optional() @Inject(SummaryCache) private readonly cache?: SummaryCache,
  ) {}

  /**
   * The memory for one question, within its budget. Reads only; summaries are made by the worker.
   * @throws ConversationNotFoundError
   */
  async assemble(request: AssembleRequest): Promise<MemoryContext> {
    const { signal } = request;
    const { memory, summaries } = this.options;
    signal?.throwIfAborted();
    const read = await this.read(request);
    const { conversation, length, plan, summary } = read;
    const { recalled, degraded } = plan.recalls
      ? await this.recall(request, plan.from)
      : { recalled: [], degraded: false };
    signal?.throwIfAborted();
    const countTokens = (text: string) => this.model.countTokens(text);
    const fitted = fitBudget({
      recent: read.recent.map((message) => this.remember(message)),
      ...(summary && { summary: summaryText(summary, summaries.maxNotes, countTokens) }),
      recalled,
      budget: request.tokenBudget,
      summaryShare: memory.summaryShare,
      countTokens,
    });
    const shown = fitted.summary && summary;
    return {
      strategy: plan.strategy,
      length,
      messages: inTurnOrder(fitted.recent),
      ...(shown &&
        fitted.summary && { summary: { ...fitted.summary, toSeq: shown.toSeq, method: shown.method } }),
      recalled: fitted.recalled,
      tokens: fitted.tokens,
      bridged: Math.max(0, fitted.recent.length - (read.recent.length - plan.bridged)),
      summarisedTo: shown?.toSeq ?? 0,
      knownSummarisedTo: conversation.summarisedTo,
      pendingSummary: needsSummary(conversation, memory, summaries.backlog),
      truncated: fitted.truncated,
      degraded: degraded || (length >= memory.summaryFrom && !shown),
    };
  }

  private async read({ tenantId, conversationId, beforeSeq }: AssembleRequest): Promise<{
    conversation: Conversation;
    length: number;
    plan: MemoryPlan;
    summary: Summary | undefined;
    recent: readonly Message[];
  }> {
    const { memory, summaries } = this.options;
    return this.database.withTenant(tenantId, async (sql) => {
      const store = new ConversationStore(sql, tenantId);
      const conversation = await store.find(conversationId);
      if (!conversation) throw new ConversationNotFoundError();
      const length = Math.min(conversation.messageCount, (beforeSeq ?? Number.POSITIVE_INFINITY) - 1);
      const latest =
        length < memory.fullBelow ? undefined : await this.summaryBefore(store, conversation, length + 1);
      const plan = planMemory(length, latest?.toSeq ?? 0, memory, summaries.backlog);
      return {
        conversation,
        length,
        plan,
        summary: plan.usesSummary ? latest : undefined,
        recent: (await store.range(conversationId, plan.from, length)).filter(({ role }) => role !== 'tool'),
      };
    });
  }

  private async summaryBefore(
    store: ConversationStore,
    conversation: Conversation,
    before: number,
  ): Promise<Summary | undefined> {
    const { tenantId, id: conversationId, summarisedTo } = conversation;
    if (summarisedTo === 0) return undefined;
    if (!this.cache || summarisedTo >= before) return store.latestSummary(conversationId, before);
    const key = { tenantId, conversationId, toSeq: summarisedTo };
    const cached = await this.cache.get(key).catch(() => undefined);
    if (cached) return cached;
    const stored = await store.latestSummary(conversationId, before);
    if (stored?.toSeq === summarisedTo)
      void this.cache.set(key, stored, summaryTtlMs(stored.content)).catch(() => undefined);
    return stored;
  }

  /**
   * Old messages about a question, best first, by words, by meaning, and by the times it names: what
   * {@link assemble} recalls, without what it brings along and without a budget.
   */
  async search({
    tenantId,
    conversationId,
    question,
    beforeSeq,
    limit = this.options.memory.recallLimit,
    signal,
  }: SearchRequest): Promise<{
    readonly found: readonly number[];
    /** True when words alone served: there was no embedding of the question. */
    readonly degraded: boolean;
  }> {
    const { recallMinSimilarity } = this.options.memory;
    const vector = await this.embedQuestion(tenantId, question, signal);
    const words = searchWords(question, MAX_QUESTION_WORDS);
    const times = namedTimes(question, this.clock.now());
    const found = await this.database.withTenant(tenantId, async (sql) => {
      const store = new ConversationStore(sql, tenantId);
      const before = beforeSeq;
      const near = vector ? await store.nearest(conversationId, before, vector, MAX_NEAR) : [];
      return rankRecall(
        {
          total: before - 1,
          near: near.filter(({ similarity }) => similarity >= recallMinSimilarity),
          worded: words.length > 0 ? await store.withWords(conversationId, before, words, MAX_WORDED) : [],
          timed: times.length > 0 ? await store.ofTimes(conversationId, before, times, MAX_TIMED) : [],
        },
        limit,
      );
    });
    return { found, degraded: vector === undefined };
  }

  private async recall(
    request: AssembleRequest,
    before: number,
  ): Promise<{ recalled: readonly RecalledMessage[]; degraded: boolean }> {
    const { tenantId, conversationId } = request;
    const { found, degraded } = await this.search({ ...request, beforeSeq: before });
    if (found.length === 0) return { recalled: [], degraded };
    const messages = await this.database.withTenant(tenantId, (sql) =>
      new ConversationStore(sql, tenantId).surroundings(conversationId, found, SURROUNDING, before),
    );
    return { recalled: this.byRank(messages, found), degraded };
  }

  /** Each found message with its question or answer, then what stands around them. */
  private byRank(messages: readonly Message[], found: readonly number[]): readonly RecalledMessage[] {
    const bySeq = new Map(messages.map((message) => [message.seq, message]));
    const recalled = new Map<number, RecalledMessage>();
    const add = (message: Message | undefined) => {
      if (!message || recalled.has(message.seq)) return;
      const asked = bySeq.get(Number(message.metadata.replyTo));
      const remembered = this.remember(message);
      if (!asked) return void recalled.set(message.seq, remembered);
      const question = clip(asked.content, 200);
      const tokens = remembered.tokens + this.model.countTokens(question);
      recalled.set(message.seq, { ...remembered, tokens, question });
    };
    for (const seq of found) {
      add(bySeq.get(seq));
      for (const answer of messages) if (answer.metadata.replyTo === seq) add(answer);
    }
    for (const seq of found)
      for (let away = 1; away <= SURROUNDING; away += 1) {
        add(bySeq.get(seq + away));
        add(bySeq.get(seq - away));
      }
    return [...recalled.values()];
  }

  private async embedQuestion(
    tenantId: TenantId,
    question: string,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array | undefined> {
    if (!this.embeddings) return undefined;
    const controller = new AbortController();
    const give = () => controller.abort(signal?.reason);
    const timer = this.clock.schedule(this.options.memory.recallEmbedMs, give);
    signal?.addEventListener('abort', give, { once: true });
    try {
      const embedding = this.embeddings.embed({ tenantId, texts: [question], signal: controller.signal });
      const [vector] = await new Promise<readonly Float32Array[]>((resolve, reject) => {
        controller.signal.addEventListener('abort', () => reject(controller.signal.reason), { once: true });
        embedding.then(resolve, reject);
      });
      return vector;
    } catch (error) {
      if (signal?.aborted) throw error;
      return undefined;
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', give);
    }
  }

  private remember({ seq, role, content, metadata, tokens }: Message): RememberedMessage {
    return {
      seq,
      role,
      metadata,
      text: content,
      tokens: tokens > 0 ? tokens : this.model.countTokens(content),
    };
  }
}

function summaryText(
  { content, notes: kept }: Summary,
  maxNotes: number,
  countTokens: (text: string) => number,
): SummaryText {
  const shown = new Set(currentNotes(kept, maxNotes));
  const notes = kept.filter((note) => shown.has(note) || note.supersededBy !== undefined);
  const text = renderSummary(content, notes);
  return {
    text,
    tokens: countTokens(text),
    shorten: (maxTokens) => renderSummary(content, notes, maxTokens, countTokens),
  };
}

/** Concurrent turns interleave; the model reads each answer right behind its question. */
function inTurnOrder<Item extends Pick<Message, 'seq' | 'role' | 'metadata'>>(
  messages: readonly Item[],
): readonly Item[] {
  const place = ({ seq, role, metadata }: Item) =>
    role === 'assistant' && typeof metadata.replyTo === 'number' ? metadata.replyTo + 0.5 : seq;
  return [...messages].sort((left, right) => place(left) - place(right) || left.seq - right.seq);
}

/** True when a message holds nothing but questions. */
function onlyAsks(text: string): boolean {
  return sentences(text).every(isQuestion);
}

/**
 * Memory as passages: the summary `S1`, and messages `M<number>`. `shown` are those that are also in the chat
 * history: only statements of the user among them, since an earlier question states nothing and an earlier
 * answer is worth no more than its sources.
 */
export function memoryPassages(memory: MemoryContext): {
  readonly cited: readonly ContextPassage[];
  readonly shown: readonly ContextPassage[];
} {
  const passage = ({ seq, role, text, question }: RecalledMessage): ContextPassage => ({
    id: `M${seq}`,
    kind: 'message',
    text: spoken(role, text),
    ...(question && { title: question }),
  });
  return {
    cited: [
      ...(memory.summary ? [{ id: 'S1', kind: 'summary' as const, text: memory.summary.text }] : []),
      ...memory.recalled.filter(({ role, text }) => role === 'assistant' || !onlyAsks(text)).map(passage),
    ],
    shown: memory.messages.filter(({ role, text }) => role === 'user' && !onlyAsks(text)).map(passage),
  };
}

/** What of a memory is kept in an answer's metadata. */
export function memoryMetadata(memory: MemoryContext): MemoryMetadata {
  return {
    strategy: memory.strategy,
    length: memory.length,
    shown: memory.messages.length,
    bridged: memory.bridged,
    recalled: memory.recalled.map(({ seq }) => seq),
    summarisedTo: memory.summarisedTo,
    tokens: memory.tokens,
    pendingSummary: memory.pendingSummary,
    degraded: memory.degraded,
  };
}
