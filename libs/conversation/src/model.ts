import type { TenantId } from '@sparkle/contracts';
import type { TokenUsage } from '@sparkle/llm';
import type { TurnTransition } from './chat/state-machine.js';
import type { MemoryStrategy } from './memory/strategy.js';
import type { Citation, LinkedEntity } from './ports/retriever.port.js';

/** One user's talk with the assistant. */
export interface Conversation {
  readonly id: string;
  readonly tenantId: TenantId;
  readonly userId: string;
  /** Set by its creator, or taken from the first user message. */
  readonly title: string | null;
  readonly messageCount: number;
  /** Messages `1…summarisedTo` are covered by the latest summary; 0 without one. */
  readonly summarisedTo: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export type MessageRole = 'user' | 'assistant' | 'tool';

/** A stored message. `seq` counts from 1 without gaps within its conversation. */
export interface Message {
  readonly id: string;
  readonly seq: number;
  readonly role: MessageRole;
  readonly content: string;
  readonly idempotencyKey: string | null;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tokens: number;
  readonly createdAt: Date;
}

/** What memory did for one answer. */
export interface MemoryMetadata {
  readonly strategy: MemoryStrategy;
  /** Messages before the question. */
  readonly length: number;
  /** Recent messages shown. */
  readonly shown: number;
  /** Those of `shown` that are there only because no summary covers them yet. */
  readonly bridged: number;
  /** Numbers of the old messages that were recalled. */
  readonly recalled: readonly number[];
  /** Messages covered by the summary that was shown; 0 without one. */
  readonly summarisedTo: number;
  readonly tokens: number;
  /** True when a summary is due and not made yet. */
  readonly pendingSummary: boolean;
  /** True when its length calls for more: no summary was there, or words alone served for recall. */
  readonly degraded: boolean;
}

/** How passages were found for one answer. */
export interface RetrievalMetadata {
  readonly strategy: string;
  readonly durationMs: number;
  readonly passages: number;
  /** What was searched for: the question, completed when it was a follow-up. */
  readonly query: string;
  /** Words added to the question because it referred to an earlier turn. */
  readonly appended: readonly string[];
  readonly linked: readonly LinkedEntity[];
}

/** Stored beside an answer. */
export interface AnswerMetadata {
  /** Number of the user message this answers. */
  readonly replyTo: number;
  readonly memory: MemoryMetadata;
  readonly retrieval: RetrievalMetadata;
  readonly citations: readonly Citation[];
  /** False when the answer cites nothing, or says that it does not know. */
  readonly supported: boolean;
  readonly paths: readonly object[];
  readonly usage: TokenUsage;
  /** The model that answered, after fallbacks. */
  readonly model: string;
  readonly finishReason: string;
  /** Transitions up to `answered`. */
  readonly trace: readonly TurnTransition[];
}

/** One question with its answer. */
export interface Turn extends AnswerMetadata {
  readonly conversationId: string;
  readonly question: Message;
  readonly reply: Message;
  /** The answer's text. */
  readonly answer: string;
  /** True when a retry got the turn that was stored before. */
  readonly replayed: boolean;
}
