import type { Clock, TenantDatabase, TenantId } from '@sparkle/contracts';
import { SystemClock } from '@sparkle/contracts';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import type { ChatModel, EmbeddingModel } from '@sparkle/llm';
import {
  type Admission,
  ChatOrchestrator,
  type Conversation,
  type ConversationModuleOptions,
  ConversationService,
  MemoryService,
  NoRetriever,
  parseConversationOptions,
  type Retriever,
  type SummaryCache,
  type SummaryRequests,
  SummaryService,
  type Tools,
} from '../src/index.js';
import { ConversationStore } from '../src/store/conversation-store.js';
import { ScriptedChatModel } from '../src/testing/index.js';

export interface Parts {
  /** The process's own way to the database. */
  database?: TenantDatabase;
  model?: ChatModel;
  clock?: Clock;
  options?: ConversationModuleOptions;
  embeddings?: EmbeddingModel;
  retriever?: Retriever;
  admission?: Admission;
  requests?: SummaryRequests;
  cache?: SummaryCache;
  tools?: Tools;
}

/** Something that happens once, and can be waited for. */
export function gate(): { readonly open: () => void; readonly opened: Promise<void> } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** One real database; as many assemblies of the library on it as a test wants processes. */
export class Fixture {
  private constructor(
    readonly db: TestDatabase,
    readonly tenantId: TenantId,
    readonly otherTenantId: TenantId,
  ) {}

  static async open(): Promise<Fixture> {
    const db = await createTestDatabase();
    return new Fixture(db, await db.createTenant('school'), await db.createTenant('college'));
  }

  assemble(parts: Parts = {}) {
    const options = parseConversationOptions(parts.options);
    const clock = parts.clock ?? new SystemClock();
    const model = parts.model ?? new ScriptedChatModel();
    const database = parts.database ?? this.db.database;
    const memory = new MemoryService(database, model, options, clock, parts.embeddings, parts.cache);
    return {
      conversations: new ConversationService(database, model, options, parts.cache),
      memory,
      summaries: new SummaryService(
        database,
        model,
        options,
        clock,
        parts.embeddings,
        parts.cache,
        this.db.database,
      ),
      chat: new ChatOrchestrator(
        database,
        model,
        memory,
        options,
        clock,
        parts.retriever ?? new NoRetriever(),
        parts.admission,
        parts.requests,
        parts.tools,
      ),
    };
  }

  store<T>(work: (store: ConversationStore) => Promise<T>): Promise<T> {
    return this.db.database.withTenant(this.tenantId, (sql) =>
      work(new ConversationStore(sql, this.tenantId)),
    );
  }

  /** A conversation with `count` messages in turns; `say` may replace a message's text. */
  async conversation(
    count = 0,
    say: (seq: number) => string | undefined = () => undefined,
  ): Promise<Conversation> {
    return this.store(async (store) => {
      const conversation = await store.create('ada', null);
      for (let seq = 1; seq <= count; seq += 1) {
        const role = seq % 2 === 1 ? ('user' as const) : ('assistant' as const);
        const content = say(seq) ?? `Message number ${seq} of the talk.`;
        const metadata = role === 'assistant' ? { replyTo: seq - 1 } : {};
        await store.append(conversation, { role, content, idempotencyKey: null, metadata, tokens: 0 });
      }
      return (await store.find(conversation.id))!;
    });
  }

  /** Lets every claim of a conversation run out, as if its time were up. */
  async expireClaims(conversationId: string): Promise<void> {
    await this.db.database.withTenant(this.tenantId, (sql) =>
      sql.query(
        `UPDATE messages SET metadata = jsonb_set(metadata, '{turn,until}', '0')
         WHERE conversation_id = $1 AND metadata #>> '{turn,state}' = 'answering'`,
        [conversationId],
      ),
    );
  }

  async messages(conversationId: string) {
    return this.store((store) => store.range(conversationId, 1, 1_000_000));
  }
}
