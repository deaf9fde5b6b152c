import { Inject, Injectable } from '@nestjs/common';
import type { Principal } from '@sparkle/contracts';
import { ChatOrchestrator, type Conversation, ConversationService } from '@sparkle/conversation';
import { z } from 'zod';
import type { Operation } from '../gateway/gateway.js';
import type { ServerEvent } from '../http/event-stream.js';
import { AnswerPipeline } from './answer-pipeline.js';
import { answerStream } from './answer-stream.js';
import type { AnswerView } from './answer-view.js';
import { type TurnView, turnEvents, turnView } from './turn-view.js';

/** A question asked once, outside of a conversation. */
export const askRequest = z.strictObject({
  question: z.string().trim().min(1, 'is empty').max(4000),
  strategy: z.enum(['graph', 'plain']).default('graph'),
  k: z.int().min(1).max(100).default(10).describe('Passages to retrieve'),
  tokenBudget: z.int().min(50).max(32_000).default(1500).describe('Tokens of context for the model'),
});
export type AskRequest = z.output<typeof askRequest>;

export const conversationRequest = z.strictObject({ title: z.string().optional() });

/** Something said in a conversation. */
export interface Saying {
  readonly conversationId: string;
  readonly content: string;
  readonly idempotencyKey?: string | undefined;
}

/** What each operation needs and counts against, by whichever door it is asked for. */
export const AGENT_OPERATIONS = {
  ask: { scope: 'read', limits: { action: 'answers' } },
  say: { scope: 'read', limits: { action: 'messages' } },
  begin: { scope: 'read', limits: {} },
} as const satisfies Readonly<Record<string, Operation>>;

/**
 * What the doors lead to. Each door reads its own kind of message, asks the gateway, and calls one of these; an
 * answer does not depend on the door. An aborted `signal` cancels the work, the model call with it.
 */
@Injectable()
export class Agent {
  constructor(
    @Inject(AnswerPipeline) private readonly pipeline: AnswerPipeline,
    @Inject(ChatOrchestrator) private readonly orchestrator: ChatOrchestrator,
    @Inject(ConversationService) private readonly conversations: ConversationService,
  ) {}

  ask({ tenantId }: Principal, request: AskRequest, signal: AbortSignal): Promise<AnswerView> {
    return this.pipeline.ask({ tenantId, ...request }, undefined, { signal });
  }

  /** The same as events: `delta`, then `answer`. */
  askEvents({ tenantId }: Principal, request: AskRequest, signal: AbortSignal): AsyncGenerator<ServerEvent> {
    return answerStream((onText) => this.pipeline.ask({ tenantId, ...request }, onText, { signal }));
  }

  begin({ tenantId, userId }: Principal, title: string | undefined): Promise<Conversation> {
    return this.conversations.create({ tenantId, userId, ...(title === undefined ? {} : { title }) });
  }

  async say(caller: Principal, saying: Saying, signal: AbortSignal): Promise<TurnView> {
    return turnView(await this.orchestrator.reply(turnRequest(caller, saying, signal)));
  }

  /** The same as events: `state`, `delta` and others of the orchestrator, then `answer`. */
  sayEvents(caller: Principal, saying: Saying, signal: AbortSignal): AsyncGenerator<ServerEvent> {
    return turnEvents(this.orchestrator.replyStream(turnRequest(caller, saying, signal)));
  }
}

function turnRequest({ tenantId, userId }: Principal, saying: Saying, signal: AbortSignal) {
  const { conversationId, content, idempotencyKey } = saying;
  return {
    tenantId,
    userId,
    conversationId,
    content,
    signal,
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  };
}
