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

/**
 * What became of a tool call: `refused` ones were one too many in a round, or came when the tokens for results were
 * used up. But for `success` and `empty`, the model was told what was wrong.
 */
export type ToolOutcome =
  | 'success'
  | 'empty'
  | 'unknown_tool'
  | 'arguments_invalid'
  | 'timeout'
  | 'failed'
  | 'refused';

/** One tool call of a turn. */
export interface ToolCallRecord {
  /** Within the turn: `call_1`, `call_2`, … */
  readonly id: string;
  /** As the model wrote it; 64 characters at most. */
  readonly name: string;
  /** Round of tools it belongs to, from 1. */
  readonly round: number;
  /** Who called: the model, or a rule on behalf of a model that cannot. */
  readonly by: 'model' | 'rule';
  /** As JSON; what is longer than 300 characters is given as `sha256:` and its digest. */
  readonly arguments: string;
  readonly outcome: ToolOutcome;
  readonly ms: number;
  /** Tokens of what the model was told. */
  readonly tokens: number;
}

/** One model call of a turn that came to its end. */
export interface ModelCallRecord {
  readonly model: string;
  readonly ms: number;
  readonly finishReason: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly costUsd: number;
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
  /** Tool calls in the order they were made. */
  readonly tools: readonly ToolCallRecord[];
  /** Sum over all model calls of the turn. */
  readonly usage: TokenUsage;
  /** Model calls in order; none when a rule's tool answered by itself. */
  readonly modelCalls: readonly ModelCallRecord[];
  /** The model that answered, after fallbacks; `tool:<name>` when a rule's tool answered by itself. */
  readonly model: string;
  readonly finishReason: string;
  /** True when the model that was asked failed and another one answered. */
  readonly fallback: boolean;
  /** True when the prompt was too long for the model and the answer was made from fewer messages. */
  readonly shortened: boolean;
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
