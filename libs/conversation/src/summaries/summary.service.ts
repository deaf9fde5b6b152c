import { Inject, Injectable, Optional } from '@nestjs/common';
import {
  Clock,
  channels,
  SystemClock,
  SystemDatabase,
  TenantDatabase,
  type TenantId,
} from '@sparkle/contracts';
import { ChatModel, EmbeddingModel } from '@sparkle/llm';
import { CONVERSATION_OPTIONS, type ConversationOptions } from '../conversation.options.js';
import { ConversationNotFoundError } from '../errors.js';
import { halfWindow, needsSummary } from '../memory/strategy.js';
import type { Conversation, Message } from '../model.js';
import { type Summary, SummaryCache, type SummaryMethod, summaryTtlMs } from '../ports/summary-cache.port.js';
import { ConversationStore } from '../store/conversation-store.js';
import { notesByModel, notesByRules } from './model-notes.js';
import { Summariser } from './summariser.js';

export interface ProcessRequest {
  readonly tenantId: TenantId;
  readonly conversationId: string;
  /** Cancels model calls. What was stored by then stays; the rest is made by the next call. */
  readonly signal?: AbortSignal;
}

export interface ProcessResult {
  /** Summaries stored by this call. */
  readonly made: number;
  /** Messages `1…summarisedTo` are in a summary now, whoever made it. */
  readonly summarisedTo: number;
  /** How the last one stored by this call was made. */
  readonly method?: SummaryMethod;
  /** True when another worker summarised the same messages first. */
  readonly superseded: boolean;
  /** Messages that got their embedding. */
  readonly embedded: number;
}

/** A conversation that is long, and has no summary. */
export interface WarmupCandidate {
  readonly tenantId: TenantId;
  readonly conversationId: string;
  readonly messageCount: number;
}

const EMBEDDING_BATCH = 32;

/**
 * Makes summaries and embeddings of old messages. For the worker: it calls models and may take minutes.
 * Every step is stored before the next begins, so that a crash costs one step; running it again, or twice at
 * once, stores nothing twice.
 */
@Injectable()
export class SummaryService {
  private readonly summariser: Summariser;

  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(ChatModel) private readonly model: ChatModel,
    @Inject(CONVERSATION_OPTIONS) private readonly options: ConversationOptions,
    @Optional() @Inject(Clock) private readonly clock: Clock = new SystemClock(),
    @Optional() @Inject(EmbeddingModel) private readonly embeddings?: EmbeddingModel,
    @Optional() @Inject(SummaryCache) private readonly cache?: SummaryCache,
    @Optional() @Inject(SystemDatabase) private readonly system?: SystemDatabase,
  ) {
    this.summariser = new Summariser(model);
  }

  /** True when {@link process} would make a summary. */
  isDue(state: Pick<Conversation, 'messageCount' | 'summarisedTo'>): boolean {
    return needsSummary(state, this.options.memory, this.options.summaries.backlog);
  }

  /**
   * Summarises what is due and embeds what is not embedded. Does nothing when neither is needed.
   * @throws ConversationNotFoundError
   */
  async process(request: ProcessRequest): Promise<ProcessResult> {
    let made = 0;
    let method: SummaryMethod | undefined;
    let superseded = false;
    let conversation = await this.conversation(request);
    while (this.isDue(conversation)) {
      const startedAt = this.clock.monotonic();
      const step = await this.step(request, conversation);
      if (!step) {
        superseded = true;
        break;
      }
      made += 1;
      method = step.method;
      channels.conversation.publish({
        tenantId: request.tenantId,
        kind: 'summary',
        strategy: method,
        outcome: method === 'heuristic' || method === 'last-messages' ? 'degraded' : 'success',
        durationMs: this.clock.monotonic() - startedAt,
      });
      conversation = await this.conversation(request);
    }
    if (superseded) conversation = await this.conversation(request);
    const embedded = await this.embed(request, conversation);
    return {
      made,
      summarisedTo: conversation.summarisedTo,
      ...(method && { method }),
      superseded,
      embedded,
    };
  }

  /**
   * Conversations of all tenants with more than `warmupAbove` messages and no summary, the latest active ones
   * first. Empty without a `SystemDatabase`.
   */
  async warmupCandidates(limit = 100): Promise<readonly WarmupCandidate[]> {
    const rows = await this.system?.asSystem((sql) =>
      sql.query<{ tenant_id: TenantId; id: string; message_count: number }>(
        `SELECT tenant_id, id, message_count FROM conversations
         WHERE message_count > 30 AND summarised_to = 0 AND message_count > $1
         ORDER BY updated_at DESC LIMIT $2`,
        [this.options.summaries.warmupAbove, limit],
      ),
    );
    return (rows ?? []).map((row) => ({
      tenantId: row.tenant_id,
      conversationId: row.id,
      messageCount: row.message_count,
    }));
  }

  /** Makes and stores one summary; `undefined` when another worker was first. */
  private async step(request: ProcessRequest, conversation: Conversation): Promise<Summary | undefined> {
    const { tenantId, conversationId, signal } = request;
    const { batch, batchesPerStep, maxTokens, maxNotes } = this.options.summaries;
    const end = conversation.messageCount - halfWindow(this.options.memory);
    const { previous, messages } = await this.database.withTenant(tenantId, async (sql) => {
      const store = new ConversationStore(sql, tenantId);
      // A summary that fell back to the last messages is made anew from the last sound one.
      const sound = await store.latestSoundSummary(conversationId);
      const from = (sound?.toSeq ?? 0) + 1;
      const room = Math.max(batch * batchesPerStep, conversation.summarisedTo + batch - from + 1);
      return { previous: sound, messages: await store.range(conversationId, from, end, room) };
    });
    const last = messages.at(-1);
    if (!last) return undefined;
    const batches = Array.from({ length: Math.ceil(messages.length / batch) }, (_, index) =>
      messages.slice(index * batch, (index + 1) * batch),
    );
    const prose = await this.summariser.summarise({
      tenantId,
      ...(previous && { previous: previous.content }),
      batches,
      maxTokens,
      ...(signal && { signal }),
    });
    signal?.throwIfAborted();
    const noted = {
      tenantId,
      previous: previous?.notes ?? [],
      messages,
      max: maxNotes,
      ...(signal && { signal }),
    };
    // A model that composes from passages alone picks no facts; one that just failed is not asked again.
    const asksModel = !this.model.local && (prose.method === 'model' || prose.method === 'model-split');
    const notes = asksModel ? await notesByModel(this.model, noted) : notesByRules(noted);
    const summary: Summary = {
      toSeq: last.seq,
      content: prose.text,
      notes,
      method: prose.method,
      tokens: this.model.countTokens(prose.text),
    };
    const stored = await this.database.withTenant(tenantId, (sql) =>
      new ConversationStore(sql, tenantId).storeSummary(
        conversationId,
        conversation.summarisedTo,
        messages[0]!.seq,
        summary,
      ),
    );
    if (!stored) return undefined;
    await this.cache
      ?.set({ tenantId, conversationId, toSeq: summary.toSeq }, summary, summaryTtlMs(summary.content))
      .catch(() => undefined);
    return summary;
  }

  /** Embeds messages of conversations that recall will search, or soon will. */
  private async embed(request: ProcessRequest, conversation: Conversation): Promise<number> {
    const { tenantId, conversationId, signal } = request;
    if (!this.embeddings) return 0;
    let embedded = 0;
    for (;;) {
      signal?.throwIfAborted();
      const messages: readonly Message[] = await this.database.withTenant(tenantId, (sql) =>
        new ConversationStore(sql, tenantId).unembedded(
          conversationId,
          conversation.summarisedTo,
          EMBEDDING_BATCH,
        ),
      );
      if (messages.length === 0) return embedded;
      const vectors = await this.embeddings.embed({
        tenantId,
        texts: messages.map(({ content }) => content),
        ...(signal && { signal }),
      });
      await this.database.withTenant(tenantId, (sql) =>
        new ConversationStore(sql, tenantId).embed(
          conversationId,
          messages.map(({ seq, content }, index) => ({ seq, content, vector: vectors[index]! })),
        ),
      );
      embedded += messages.length;
    }
  }

  private async conversation({ tenantId, conversationId, signal }: ProcessRequest): Promise<Conversation> {
    signal?.throwIfAborted();
    const conversation = await this.database.withTenant(tenantId, (sql) =>
      new ConversationStore(sql, tenantId).find(conversationId),
    );
    if (!conversation) throw new ConversationNotFoundError();
    return conversation;
  }
}
