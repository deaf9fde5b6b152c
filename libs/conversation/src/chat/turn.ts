import type { TenantId } from '@sparkle/contracts';
import type { ChatMessage, ContextPassage } from '@sparkle/llm';
import type { MemoryContext } from '../memory/memory.service.js';
import type { ToolOutcome, Turn } from '../model.js';
import type { Retrieved } from '../ports/retriever.port.js';
import type { StandaloneQuestion } from './follow-up.js';
import type { TurnState } from './state-machine.js';

export interface TurnRequest {
  readonly tenantId: TenantId;
  readonly userId: string;
  readonly conversationId: string;
  /** 1 to `maxMessageChars` characters. */
  readonly content: string;
  /** A retry with the same key gets the same turn. Default: a key of its own, so that nothing is a retry. */
  readonly idempotencyKey?: string;
  /** Cancels the turn, and the model call with it. */
  readonly signal?: AbortSignal;
}

/**
 * What a streamed turn yields: each state it enters, text as it is written, tool calls as they begin and end, and the
 * whole turn at the end.
 */
export type TurnEvent =
  | { readonly type: 'state'; readonly state: TurnState; readonly ms: number }
  | { readonly type: 'delta'; readonly text: string }
  | {
      readonly type: 'tool_call';
      readonly id: string;
      readonly name: string;
      readonly by: 'model' | 'rule';
    }
  | {
      readonly type: 'tool_result';
      readonly id: string;
      readonly name: string;
      readonly outcome: ToolOutcome;
      readonly ms: number;
      readonly tokens: number;
    }
  | { readonly type: 'turn'; readonly turn: Turn };

/** What a turn knows once it has remembered and retrieved. */
export interface Prepared {
  readonly memory: MemoryContext;
  readonly retrieved: Retrieved;
  readonly standalone: StandaloneQuestion;
  readonly history: readonly ChatMessage[];
  /** Memory the model may cite: the summary, recalled messages, and what the user stated recently. */
  readonly remembered: readonly ContextPassage[];
  /** What retrieval found, as far as the budget goes. */
  readonly found: readonly ContextPassage[];
}
