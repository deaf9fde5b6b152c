import { randomUUID } from 'node:crypto';
import type { TenantDatabase, TenantId } from '@sparkle/contracts';
import { owned } from '../conversation.service.js';
import { IdempotencyKeyReusedError, MessageInProgressError, TurnLostError } from '../errors.js';
import type { Message } from '../model.js';
import { ConversationStore, type TurnRecord } from '../store/conversation-store.js';

export interface TurnKey {
  readonly tenantId: TenantId;
  readonly userId: string;
  readonly conversationId: string;
  /** Links a user message to its answer, and a retry to both. */
  readonly key: string;
  readonly content: string;
}

/** The right to answer one message; lost when its lease runs out and a retry takes over. */
export interface Claim {
  readonly id: string;
  readonly question: Message;
}

export interface AnsweredTurn {
  readonly question: Message;
  readonly reply: Message;
}

interface TurnState {
  readonly question?: Message;
  readonly reply?: Message;
}

/** Longest advice to wait; a turn is mostly over sooner than its lease. */
const MAX_RETRY_AFTER_MS = 2_000;

/**
 * What is on record about turns: the user message (stored first, claimed by whoever answers it) and the
 * answer, both under the turn's key. The row lock of the conversation makes every step atomic.
 */
export class TurnLog {
  constructor(
    private readonly database: TenantDatabase,
    private readonly leaseMs: number,
  ) {}

  /**
   * The stored turn when it has its answer, else `undefined`.
   * @throws ConversationNotFoundError, IdempotencyKeyReusedError, MessageInProgressError
   */
  find(turn: TurnKey): Promise<AnsweredTurn | undefined> {
    return this.store(turn, async (store) => {
      await owned(store, turn.conversationId, turn.userId);
      return this.answered(store, turn, await this.state(store, turn));
    });
  }

  /**
   * Stores the user message if it is new, and claims it; or gives the stored turn when it has its answer.
   * Throws what {@link find} throws.
   */
  open(turn: TurnKey, tokens: number): Promise<Claim | AnsweredTurn> {
    const claim = randomUUID();
    return this.store(turn, async (store) => {
      const conversation = await owned(store, turn.conversationId, turn.userId, true);
      const state = await this.state(store, turn);
      const answered = await this.answered(store, turn, state);
      if (answered) return answered;
      const question =
        state.question ??
        (await store.append(conversation, {
          role: 'user',
          content: turn.content,
          idempotencyKey: turn.key,
          metadata: {},
          tokens,
        }));
      await store.recordTurn(turn.conversationId, question.seq, { state: 'answering', claim }, this.leaseMs);
      return { id: claim, question };
    });
  }

  /** Prolongs a claim by a whole lease. False when it is lost. */
  renew(turn: TurnKey, claim: Claim): Promise<boolean> {
    return this.store(turn, (store) =>
      store.renewClaim(turn.conversationId, claim.question.seq, claim.id, this.leaseMs),
    );
  }

  /**
   * Stores the answer, whole or cut short, and ends the claim. A text that was cut short before is replaced.
   * @throws TurnLostError when the claim is no longer the caller's; nothing is stored.
   */
  answer(
    turn: TurnKey,
    claim: Claim,
    reply: {
      readonly content: string;
      readonly metadata: Readonly<Record<string, unknown>>;
      readonly tokens: number;
      readonly record: TurnRecord;
    },
  ): Promise<Message> {
    return this.store(turn, async (store) => {
      const conversation = await owned(store, turn.conversationId, turn.userId, true);
      const { question, reply: earlier } = await this.state(store, turn);
      const held = question?.metadata.turn as { claim?: unknown; state?: unknown } | undefined;
      if (!question || held?.claim !== claim.id || held.state !== 'answering') throw new TurnLostError();
      const draft = {
        role: 'assistant' as const,
        content: reply.content,
        idempotencyKey: turn.key,
        metadata: reply.metadata,
        tokens: reply.tokens,
      };
      const message = earlier
        ? await store.rewrite(turn.conversationId, earlier.seq, draft)
        : await store.append(conversation, draft);
      await store.endTurn(turn.conversationId, question.seq, claim.id, reply.record);
      return message;
    });
  }

  /** Ends a claim without an answer, so that a retry may begin at once. */
  end(turn: TurnKey, claim: Claim, record: TurnRecord): Promise<void> {
    return this.store(turn, (store) =>
      store.endTurn(turn.conversationId, claim.question.seq, claim.id, record),
    );
  }

  private async state(store: ConversationStore, { conversationId, key }: TurnKey): Promise<TurnState> {
    const messages = await store.byKey(conversationId, key);
    const question = messages.find(({ role }) => role === 'user');
    const reply = messages.find(({ role }) => role === 'assistant');
    return { ...(question && { question }), ...(reply && { reply }) };
  }

  private async answered(
    store: ConversationStore,
    { content }: TurnKey,
    { question, reply }: TurnState,
  ): Promise<AnsweredTurn | undefined> {
    if (!question) return undefined;
    if (question.content !== content) throw new IdempotencyKeyReusedError();
    if (reply && reply.metadata.cancelled !== true) return { question, reply };
    const held = question.metadata.turn as { state?: unknown; until?: unknown } | undefined;
    if (held?.state === 'answering' && typeof held.until === 'number') {
      const left = held.until - (await store.serverNow());
      if (left > 0) throw new MessageInProgressError(Math.min(left, MAX_RETRY_AFTER_MS));
    }
    return undefined;
  }

  private store<T>({ tenantId }: TurnKey, work: (store: ConversationStore) => Promise<T>): Promise<T> {
    return this.database.withTenant(tenantId, (sql) => work(new ConversationStore(sql, tenantId)));
  }
}
