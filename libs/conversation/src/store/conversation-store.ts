import type { SqlClient, TenantId } from '@sparkle/contracts';
import type { MeaningMatch, TimeMatch, WordMatch } from '../memory/rank-recall.js';
import { searchWords, wordsLiteral } from '../memory/search-words.js';
import type { NamedTime } from '../memory/time-expressions.js';
import type { Conversation, Message, MessageRole } from '../model.js';
import type { Summary, SummaryMethod } from '../ports/summary-cache.port.js';
import type { Note } from '../summaries/notes.js';
import { clip } from '../text.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** True when PostgreSQL would take `value` as a `uuid`. */
export function isUuid(value: string): boolean {
  return UUID.test(value);
}

interface ConversationRow {
  id: string;
  tenant_id: TenantId;
  user_id: string;
  title: string | null;
  message_count: number;
  summarised_to: number;
  created_at: Date;
  updated_at: Date;
}

interface MessageRow {
  id: string;
  seq: number;
  role: MessageRole;
  content: string;
  idempotency_key: string | null;
  metadata: Record<string, unknown>;
  token_count: number;
  created_at: Date;
}

interface SummaryRow {
  to_seq: number;
  content: string;
  notes: Note[];
  method: SummaryMethod;
  token_count: number;
}

const CONVERSATION = 'id, tenant_id, user_id, title, message_count, summarised_to, created_at, updated_at';
const MESSAGE = 'id, seq, role, content, idempotency_key, metadata, token_count, created_at';
const SUMMARY = 'to_seq, content, notes, method, token_count';
const SERVER_MS = 'floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint';

function toConversation(row: ConversationRow): Conversation {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    userId: row.user_id,
    title: row.title,
    messageCount: row.message_count,
    summarisedTo: row.summarised_to,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

function toMessage(row: MessageRow): Message {
  return {
    id: row.id,
    seq: row.seq,
    role: row.role,
    content: row.content,
    idempotencyKey: row.idempotency_key,
    metadata: row.metadata,
    tokens: row.token_count,
    createdAt: row.created_at,
  };
}

function toSummary(row: SummaryRow): Summary {
  return {
    toSeq: row.to_seq,
    content: row.content,
    notes: row.notes,
    method: row.method,
    tokens: row.token_count,
  };
}

/** Where a conversation stands in the order of a user's conversations. */
export interface ConversationPlace {
  /** ISO 8601 in UTC, with microseconds. */
  readonly updatedAt: string;
  readonly id: string;
}

export interface MessageDraft {
  readonly role: MessageRole;
  readonly content: string;
  readonly idempotencyKey: string | null;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tokens: number;
  /** Default: now. */
  readonly createdAt?: Date;
}

/** What is recorded on a user message about the work on its answer. */
export interface TurnRecord {
  readonly state: 'answering' | 'answered' | 'failed' | 'cancelled';
  readonly [detail: string]: unknown;
}

/** The conversation tables of one tenant, inside one transaction. Every statement names its tenant. */
export class ConversationStore {
  constructor(
    private readonly sql: SqlClient,
    private readonly tenantId: TenantId,
  ) {}

  async create(userId: string, title: string | null): Promise<Conversation> {
    const [row] = await this.sql.query<ConversationRow>(
      `INSERT INTO conversations (tenant_id, id, user_id, title)
       VALUES ($1, gen_random_uuid(), $2, $3) RETURNING ${CONVERSATION}`,
      [this.tenantId, userId, title],
    );
    return toConversation(row!);
  }

  /** @param lock keeps other writers of this conversation waiting until the transaction ends. */
  async find(
    id: string,
    options: { userId?: string; lock?: boolean } = {},
  ): Promise<Conversation | undefined> {
    if (!isUuid(id)) return undefined;
    const [row] = await this.sql.query<ConversationRow>(
      `SELECT ${CONVERSATION} FROM conversations
       WHERE tenant_id = $1 AND id = $2 AND ($3::text IS NULL OR user_id = $3)
       ${options.lock ? 'FOR UPDATE' : ''}`,
      [this.tenantId, id, options.userId ?? null],
    );
    return row && toConversation(row);
  }

  /**
   * A user's conversations, the one spoken in last first, from behind `after` on. Times are given with microseconds,
   * as the next page's `after` needs them.
   */
  async list(
    userId: string,
    limit: number,
    after?: ConversationPlace,
  ): Promise<readonly { readonly conversation: Conversation; readonly place: ConversationPlace }[]> {
    const rows = await this.sql.query<ConversationRow & { exact_time: string }>(
      `SELECT ${CONVERSATION},
         to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS exact_time
       FROM conversations
       WHERE tenant_id = $1 AND user_id = $2 AND (updated_at, id) <
         (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
       ORDER BY updated_at DESC, id DESC LIMIT $5`,
      [this.tenantId, userId, after?.updatedAt ?? null, after?.id ?? null, limit],
    );
    return rows.map((row) => ({
      conversation: toConversation(row),
      place: { updatedAt: row.exact_time, id: row.id },
    }));
  }

  /** Deletes a conversation with all that hangs on it. False when there is none of this user. */
  async delete(id: string, userId: string): Promise<boolean> {
    if (!isUuid(id)) return false;
    const rows = await this.sql.query<{ id: string }>(
      'DELETE FROM conversations WHERE tenant_id = $1 AND id = $2 AND user_id = $3 RETURNING id',
      [this.tenantId, id, userId],
    );
    return rows.length > 0;
  }

  /** Appends to a conversation that the caller has locked. */
  async append(conversation: Conversation, draft: MessageDraft): Promise<Message> {
    const [counted] = await this.sql.query<{ message_count: number }>(
      `UPDATE conversations
       SET message_count = message_count + 1, updated_at = clock_timestamp(), title = coalesce(title, $3)
       WHERE tenant_id = $1 AND id = $2 RETURNING message_count`,
      [
        this.tenantId,
        conversation.id,
        draft.role === 'user' ? clip(draft.content.replace(/\s+/g, ' ').trim(), 80) : null,
      ],
    );
    const [row] = await this.sql.query<MessageRow>(
      `INSERT INTO messages
         (tenant_id, conversation_id, seq, id, role, content, idempotency_key, metadata, token_count, words,
          created_at)
       VALUES ($1, $2, $3, gen_random_uuid(), $4, $5, $6, $7::jsonb, $8, $9::tsvector,
               coalesce($10::timestamptz, clock_timestamp()))
       RETURNING ${MESSAGE}`,
      [
        this.tenantId,
        conversation.id,
        counted!.message_count,
        draft.role,
        draft.content,
        draft.idempotencyKey,
        JSON.stringify(draft.metadata),
        draft.tokens,
        wordsLiteral(searchWords(draft.content)),
        draft.createdAt ?? null,
      ],
    );
    return toMessage(row!);
  }

  /** Replaces text and metadata of a message, keeping its number. */
  async rewrite(conversationId: string, seq: number, draft: MessageDraft): Promise<Message> {
    const [row] = await this.sql.query<MessageRow>(
      `UPDATE messages
       SET content = $4, metadata = $5::jsonb, token_count = $6, words = $7::tsvector, embedding = NULL,
         created_at = clock_timestamp()
       WHERE tenant_id = $1 AND conversation_id = $2 AND seq = $3 RETURNING ${MESSAGE}`,
      [
        this.tenantId,
        conversationId,
        seq,
        draft.content,
        JSON.stringify(draft.metadata),
        draft.tokens,
        wordsLiteral(searchWords(draft.content)),
      ],
    );
    return toMessage(row!);
  }

  async byKey(conversationId: string, key: string): Promise<readonly Message[]> {
    const rows = await this.sql.query<MessageRow>(
      `SELECT ${MESSAGE} FROM messages
       WHERE tenant_id = $1 AND conversation_id = $2 AND idempotency_key = $3 ORDER BY seq`,
      [this.tenantId, conversationId, key],
    );
    return rows.map(toMessage);
  }

  /** Messages `from…to`, both included, oldest first. */
  async range(conversationId: string, from: number, to: number, limit?: number): Promise<readonly Message[]> {
    const rows = await this.sql.query<MessageRow>(
      `SELECT ${MESSAGE} FROM messages
       WHERE tenant_id = $1 AND conversation_id = $2 AND seq BETWEEN $3 AND $4 ORDER BY seq LIMIT $5`,
      [this.tenantId, conversationId, from, to, limit ?? null],
    );
    return rows.map(toMessage);
  }

  /** The given messages, those up to `around` before and after each, and the answers to them, oldest first. */
  async surroundings(
    conversationId: string,
    seqs: readonly number[],
    around: number,
    before: number,
  ): Promise<readonly Message[]> {
    const wanted = new Set(
      seqs.flatMap((seq) => Array.from({ length: 2 * around + 1 }, (_, at) => seq - around + at)),
    );
    const rows = await this.sql.query<MessageRow>(
      `SELECT ${MESSAGE} FROM messages
       WHERE tenant_id = $1 AND conversation_id = $2 AND seq < $4 AND role <> 'tool'
         AND (seq = ANY($3::int[]) OR (role = 'assistant' AND (metadata->>'replyTo')::int = ANY($5::int[])))
       ORDER BY seq`,
      [this.tenantId, conversationId, [...wanted], before, seqs],
    );
    return rows.map(toMessage);
  }

  /**
   * Records the work on a user message's answer. A claim (`leaseMs`) ends by itself on the server's clock.
   */
  async recordTurn(conversationId: string, seq: number, record: TurnRecord, leaseMs?: number): Promise<void> {
    await this.sql.query(
      `UPDATE messages
       SET metadata = metadata || jsonb_build_object('turn', $4::jsonb ||
         CASE WHEN $5::bigint IS NULL THEN '{}'::jsonb
              ELSE jsonb_build_object('until', ${SERVER_MS} + $5::bigint) END)
       WHERE tenant_id = $1 AND conversation_id = $2 AND seq = $3`,
      [this.tenantId, conversationId, seq, JSON.stringify(record), leaseMs ?? null],
    );
  }

  /** Ends a claim with its outcome, unless it is no longer the caller's. */
  async endTurn(conversationId: string, seq: number, claim: string, record: TurnRecord): Promise<void> {
    await this.sql.query(
      `UPDATE messages SET metadata = metadata || jsonb_build_object('turn', $5::jsonb)
       WHERE tenant_id = $1 AND conversation_id = $2 AND seq = $3
         AND metadata #>> '{turn,claim}' = $4 AND metadata #>> '{turn,state}' = 'answering'`,
      [this.tenantId, conversationId, seq, claim, JSON.stringify(record)],
    );
  }

  /** Prolongs a claim. False when it is no longer the caller's. */
  async renewClaim(conversationId: string, seq: number, claim: string, leaseMs: number): Promise<boolean> {
    const rows = await this.sql.query<{ seq: number }>(
      `UPDATE messages
       SET metadata = jsonb_set(metadata, '{turn,until}', to_jsonb(${SERVER_MS} + $5::bigint))
       WHERE tenant_id = $1 AND conversation_id = $2 AND seq = $3
         AND metadata #>> '{turn,claim}' = $4 AND metadata #>> '{turn,state}' = 'answering'
       RETURNING seq`,
      [this.tenantId, conversationId, seq, claim, leaseMs],
    );
    return rows.length > 0;
  }

  /** The server's wall clock, milliseconds since the Unix epoch. */
  async serverNow(): Promise<number> {
    const [row] = await this.sql.query<{ now: string }>(`SELECT ${SERVER_MS}::text AS now`);
    return Number(row!.now);
  }

  /** The newest summary that covers only messages before `before`. */
  async latestSummary(conversationId: string, before: number): Promise<Summary | undefined> {
    const [row] = await this.sql.query<SummaryRow>(
      `SELECT ${SUMMARY} FROM conversation_summaries
       WHERE tenant_id = $1 AND conversation_id = $2 AND to_seq < $3 ORDER BY to_seq DESC LIMIT 1`,
      [this.tenantId, conversationId, before],
    );
    return row && toSummary(row);
  }

  /** The newest summary that did not fall back to the last messages. */
  async latestSoundSummary(conversationId: string): Promise<Summary | undefined> {
    const [row] = await this.sql.query<SummaryRow>(
      `SELECT ${SUMMARY} FROM conversation_summaries
       WHERE tenant_id = $1 AND conversation_id = $2 AND method <> 'last-messages'
       ORDER BY to_seq DESC LIMIT 1`,
      [this.tenantId, conversationId],
    );
    return row && toSummary(row);
  }

  /**
   * Stores a summary if the conversation is still summarised to `expected`, together with its new mark.
   * False when another worker was first.
   */
  async storeSummary(
    conversationId: string,
    expected: number,
    fromSeq: number,
    summary: Summary,
  ): Promise<boolean> {
    const moved = await this.sql.query<{ id: string }>(
      `UPDATE conversations SET summarised_to = $4
       WHERE tenant_id = $1 AND id = $2 AND summarised_to = $3 RETURNING id`,
      [this.tenantId, conversationId, expected, summary.toSeq],
    );
    if (moved.length === 0) return false;
    await this.sql.query(
      `INSERT INTO conversation_summaries
         (tenant_id, conversation_id, from_seq, to_seq, content, notes, method, token_count)
       VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8)`,
      [
        this.tenantId,
        conversationId,
        fromSeq,
        summary.toSeq,
        summary.content,
        JSON.stringify(summary.notes),
        summary.method,
        summary.tokens,
      ],
    );
    return true;
  }

  /** Messages that have no embedding yet, or whose words are not known, oldest first. */
  async unembedded(conversationId: string, to: number, limit: number): Promise<readonly Message[]> {
    const rows = await this.sql.query<MessageRow>(
      `SELECT ${MESSAGE} FROM messages
       WHERE tenant_id = $1 AND conversation_id = $2 AND seq <= $3 AND (embedding IS NULL OR words IS NULL)
         AND role <> 'tool'
       ORDER BY seq LIMIT $4`,
      [this.tenantId, conversationId, to, limit],
    );
    return rows.map(toMessage);
  }

  /** Stores embeddings and words of messages whose text is still the one that was embedded. */
  async embed(
    conversationId: string,
    embedded: readonly { readonly seq: number; readonly content: string; readonly vector: Float32Array }[],
  ): Promise<void> {
    await this.sql.query(
      `UPDATE messages SET embedding = given.embedding::vector, words = given.words::tsvector
       FROM unnest($3::int[], $4::text[], $5::text[], $6::text[]) AS given (seq, content, embedding, words)
       WHERE tenant_id = $1 AND conversation_id = $2
         AND messages.seq = given.seq AND messages.content = given.content`,
      [
        this.tenantId,
        conversationId,
        embedded.map(({ seq }) => seq),
        embedded.map(({ content }) => content),
        embedded.map(({ vector }) => vectorLiteral(vector)),
        embedded.map(({ content }) => wordsLiteral(searchWords(content))),
      ],
    );
  }

  /**
   * Old messages nearest to `vector`. Exact, ordered by an expression that no index has: an approximate index over
   * all conversations would leave too few of this one after filtering.
   */
  async nearest(
    conversationId: string,
    before: number,
    vector: Float32Array,
    limit: number,
  ): Promise<readonly MeaningMatch[]> {
    const rows = await this.sql.query<{ seq: number; created_at: Date; similarity: number }>(
      `SELECT seq, created_at, 1 - (embedding <=> $4::vector) AS similarity FROM messages
       WHERE tenant_id = $1 AND conversation_id = $2 AND seq < $3 AND embedding IS NOT NULL
       ORDER BY similarity DESC, seq DESC LIMIT $5`,
      [this.tenantId, conversationId, before, vectorLiteral(vector), limit],
    );
    return rows.map(({ seq, created_at, similarity }) => ({ seq, createdAt: created_at, similarity }));
  }

  /** Old messages that hold any of the words of `searchWords`, those with most of them first. */
  async withWords(
    conversationId: string,
    before: number,
    words: readonly string[],
    limit: number,
  ): Promise<readonly WordMatch[]> {
    const rows = await this.sql.query<{ seq: number; created_at: Date; length: number; hits: number[] }>(
      `WITH found AS MATERIALIZED (
         SELECT seq, created_at, length(words) AS length, ARRAY(
             SELECT place::int - 1 FROM unnest($5::text[]) WITH ORDINALITY AS asked (word, place)
             WHERE words @@ asked.word::tsquery
           ) AS hits
         FROM messages
         WHERE tenant_id = $1 AND conversation_id = $2 AND seq < $3 AND role <> 'tool' AND words @@ $4::tsquery
       )
       SELECT seq, created_at, length, hits FROM found
       ORDER BY cardinality(hits) DESC, seq DESC LIMIT $6`,
      [
        this.tenantId,
        conversationId,
        before,
        wordsLiteral(words, ' | '),
        words.map((word) => wordsLiteral([word])),
        limit,
      ],
    );
    return rows.map(({ seq, created_at, length, hits }) => ({ seq, createdAt: created_at, length, hits }));
  }

  /** Old messages of any of the given times, those of a given day first, then the newest. */
  async ofTimes(
    conversationId: string,
    before: number,
    times: readonly NamedTime[],
    limit: number,
  ): Promise<readonly TimeMatch[]> {
    const ranges = times.filter((time) => time.kind === 'range');
    const dates = times.filter((time) => time.kind === 'calendar');
    const rows = await this.sql.query<{ seq: number; created_at: Date; of_day: boolean }>(
      `SELECT seq, created_at, bool_or(named.of_day) AS of_day
       FROM messages JOIN (
         SELECT since, until, NULL::int AS month, NULL::int AS day, until - since <= interval '1 day' AS of_day
         FROM unnest($4::timestamptz[], $5::timestamptz[]) AS range (since, until)
         UNION ALL
         SELECT NULL, NULL, month, day, day > 0 FROM unnest($6::int[], $7::int[]) AS date (month, day)
       ) AS named
         ON (created_at >= named.since AND created_at < named.until)
         OR (extract(month FROM created_at AT TIME ZONE 'UTC') = named.month
             AND (named.day = 0 OR extract(day FROM created_at AT TIME ZONE 'UTC') = named.day))
       WHERE tenant_id = $1 AND conversation_id = $2 AND seq < $3 AND role <> 'tool'
       GROUP BY seq, created_at ORDER BY of_day DESC, seq DESC LIMIT $8`,
      [
        this.tenantId,
        conversationId,
        before,
        ranges.map(({ from }) => from),
        ranges.map(({ to }) => to),
        dates.map(({ month }) => month),
        dates.map(({ day }) => day ?? 0),
        limit,
      ],
    );
    return rows.map(({ seq, created_at, of_day }) => ({ seq, createdAt: created_at, day: of_day }));
  }
}

function vectorLiteral(vector: Float32Array): string {
  return `[${vector.join(',')}]`;
}
