import { Inject, Injectable, Optional } from '@nestjs/common';
import { TenantDatabase, type TenantId } from '@sparkle/contracts';
import { ChatModel } from '@sparkle/llm';
import { CONVERSATION_OPTIONS, type ConversationOptions } from './conversation.options.js';
import {
  ConversationNotFoundError,
  ConversationTitleInvalidError,
  CursorInvalidError,
  IdempotencyKeyInvalidError,
  IdempotencyKeyReusedError,
  MessageEmptyError,
  MessageInvalidError,
  MessageTooLongError,
  PageInvalidError,
} from './errors.js';
import type { Conversation, Message, MessageRole } from './model.js';
import { SummaryCache } from './ports/summary-cache.port.js';
import { type ConversationPlace, ConversationStore, isUuid } from './store/conversation-store.js';
import { wellFormed } from './text.js';

export interface CreateConversation {
  readonly tenantId: TenantId;
  readonly userId: string;
  /** 1 to 200 characters. Default: the beginning of the first user message. */
  readonly title?: string;
}

/** Names a conversation; it must belong to both the tenant and the user. */
export interface ConversationRef {
  readonly tenantId: TenantId;
  readonly userId: string;
  readonly conversationId: string;
}

export interface ConversationsPage {
  readonly tenantId: TenantId;
  readonly userId: string;
  /** `nextCursor` of the page before. */
  readonly cursor?: string;
  /** Default 50, at most `maxPage`. */
  readonly limit?: number;
}

export interface MessagesPage extends ConversationRef {
  /** Number of the last message seen; default 0. */
  readonly cursor?: number;
  /** Default 50, at most `maxPage`. */
  readonly limit?: number;
}

export interface AppendMessage extends ConversationRef {
  readonly role: MessageRole;
  readonly content: string;
  /** A second append with the same key and role stores nothing. */
  readonly idempotencyKey?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** When it was said, of a talk that is brought along from elsewhere. Default: now. */
  readonly createdAt?: Date;
}

const MAX_TITLE_CHARS = 200;
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,200}$/;

/**
 * Checks what a caller wants stored and returns it as PostgreSQL will return it.
 * @throws MessageEmptyError, MessageTooLongError, MessageInvalidError
 */
export function checkContent(content: string, maxChars: number): string {
  if (content.length > maxChars) throw new MessageTooLongError(content.length, maxChars);
  if (content.includes('\0')) throw new MessageInvalidError('A message must not hold the character NUL.');
  if (!/[^\s\p{C}]/u.test(content)) throw new MessageEmptyError();
  return wellFormed(content);
}

/** @throws IdempotencyKeyInvalidError */
export function checkIdempotencyKey(key: string): string {
  if (!IDEMPOTENCY_KEY.test(key)) throw new IdempotencyKeyInvalidError();
  return key;
}

/** Conversations and their messages. Numbers (`seq`) have no gaps, whatever is written at once. */
@Injectable()
export class ConversationService {
  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(ChatModel) private readonly model: Pick<ChatModel, 'countTokens'>,
    @Inject(CONVERSATION_OPTIONS) private readonly options: ConversationOptions,
    @Optional() @Inject(SummaryCache) private readonly summaries?: SummaryCache,
  ) {}

  /** @throws ConversationTitleInvalidError */
  async create({ tenantId, userId, title }: CreateConversation): Promise<Conversation> {
    if (
      title !== undefined &&
      (title.trim() === '' || title.length > MAX_TITLE_CHARS || title.includes('\0'))
    )
      throw new ConversationTitleInvalidError(MAX_TITLE_CHARS);
    return this.store(tenantId, (store) =>
      store.create(userId, title === undefined ? null : wellFormed(title.trim())),
    );
  }

  /** @throws ConversationNotFoundError */
  async get({ tenantId, userId, conversationId }: ConversationRef): Promise<Conversation> {
    return this.store(tenantId, (store) => owned(store, conversationId, userId));
  }

  /**
   * A user's own conversations, the one spoken in last first. A conversation that is spoken in between two pages moves
   * to the front and is then on neither. `nextCursor` is `null` at the end.
   * @throws PageInvalidError, CursorInvalidError
   */
  async list({
    tenantId,
    userId,
    cursor,
    limit = Math.min(50, this.options.maxPage),
  }: ConversationsPage): Promise<{
    readonly items: readonly Conversation[];
    readonly nextCursor: string | null;
  }> {
    const { maxPage } = this.options;
    if (!Number.isInteger(limit) || limit < 1 || limit > maxPage) throw new PageInvalidError(maxPage);
    const after = cursor === undefined ? undefined : placeOf(cursor);
    // One more than asked for tells whether there is another page.
    const found = await this.store(tenantId, (store) => store.list(userId, limit + 1, after));
    const last = found.length > limit ? found[limit - 1] : undefined;
    return {
      items: found.slice(0, limit).map(({ conversation }) => conversation),
      nextCursor: last ? cursorOf(last.place) : null,
    };
  }

  /**
   * Deletes a conversation with its messages, their embeddings, its summaries and notes. A turn under way writes
   * nothing any more, and its model call ends when it next renews its claim.
   * @throws ConversationNotFoundError
   */
  async delete({ tenantId, userId, conversationId }: ConversationRef): Promise<void> {
    if (!(await this.store(tenantId, (store) => store.delete(conversationId, userId))))
      throw new ConversationNotFoundError();
    // What stays in a cache that is out of reach is found by nobody, and expires.
    await this.summaries?.forget({ tenantId, conversationId }).catch(() => undefined);
  }

  /**
   * One page of messages, oldest first. `nextCursor` is `null` at the end.
   * @throws ConversationNotFoundError, PageInvalidError
   */
  async messages({
    tenantId,
    userId,
    conversationId,
    cursor = 0,
    limit = Math.min(50, this.options.maxPage),
  }: MessagesPage): Promise<{ readonly items: readonly Message[]; readonly nextCursor: number | null }> {
    const { maxPage } = this.options;
    if (!Number.isSafeInteger(cursor) || cursor < 0 || cursor > 0x7fffffff)
      throw new PageInvalidError(maxPage);
    if (!Number.isInteger(limit) || limit < 1 || limit > maxPage) throw new PageInvalidError(maxPage);
    return this.store(tenantId, async (store) => {
      const conversation = await owned(store, conversationId, userId);
      const items = await store.range(conversationId, cursor + 1, conversation.messageCount, limit);
      const last = items.at(-1)?.seq ?? cursor;
      return {
        items: items.map(withoutClaim),
        nextCursor: last < conversation.messageCount && items.length > 0 ? last : null,
      };
    });
  }

  /**
   * Stores a message without having it answered. `duplicate` is true when the key had stored it before.
   * @throws ConversationNotFoundError, MessageEmptyError, MessageTooLongError, MessageInvalidError,
   *   IdempotencyKeyInvalidError, IdempotencyKeyReusedError
   */
  async append(message: AppendMessage): Promise<{ readonly message: Message; readonly duplicate: boolean }> {
    const { tenantId, userId, conversationId, role, metadata = {} } = message;
    const content = checkContent(message.content, this.options.maxMessageChars);
    const key = message.idempotencyKey === undefined ? null : checkIdempotencyKey(message.idempotencyKey);
    if (/(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/i.test(JSON.stringify(metadata)))
      throw new MessageInvalidError('Metadata must not hold the character NUL or half of a surrogate pair.');
    const tokens = this.model.countTokens(content);
    return this.store(tenantId, async (store) => {
      const conversation = await owned(store, conversationId, userId, true);
      if (key !== null) {
        const stored = (await store.byKey(conversationId, key)).find((candidate) => candidate.role === role);
        if (stored && stored.content !== content) throw new IdempotencyKeyReusedError();
        if (stored) return { message: withoutClaim(stored), duplicate: true };
      }
      const { createdAt } = message;
      const draft = { role, content, idempotencyKey: key, metadata, tokens, ...(createdAt && { createdAt }) };
      return { message: await store.append(conversation, draft), duplicate: false };
    });
  }

  private store<T>(tenantId: TenantId, work: (store: ConversationStore) => Promise<T>): Promise<T> {
    return this.database.withTenant(tenantId, (sql) => work(new ConversationStore(sql, tenantId)));
  }
}

const PLACE = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z) (\S+)$/;

function cursorOf({ updatedAt, id }: ConversationPlace): string {
  return Buffer.from(`${updatedAt} ${id}`).toString('base64url');
}

/** @throws CursorInvalidError */
function placeOf(cursor: string): ConversationPlace {
  const [, updatedAt, id] = PLACE.exec(Buffer.from(cursor.slice(0, 200), 'base64url').toString()) ?? [];
  if (updatedAt === undefined || id === undefined || !isUuid(id) || Number.isNaN(Date.parse(updatedAt)))
    throw new CursorInvalidError();
  return { updatedAt, id };
}

/** @throws ConversationNotFoundError */
export async function owned(
  store: ConversationStore,
  conversationId: string,
  userId: string,
  lock = false,
): Promise<Conversation> {
  const conversation = await store.find(conversationId, { userId, lock });
  if (!conversation) throw new ConversationNotFoundError();
  return conversation;
}

/** A message as its owner sees it: how its turn went, without the claim that guards it. */
export function withoutClaim(message: Message): Message {
  const turn = message.metadata.turn;
  if (typeof turn !== 'object' || turn === null || !('claim' in turn)) return message;
  const { claim: _claim, until: _until, ...visible } = turn as Record<string, unknown>;
  return { ...message, metadata: { ...message.metadata, turn: visible } };
}
