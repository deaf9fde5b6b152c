import type { Turn, TurnEvent } from '@sparkle/conversation';
import type { ServerEvent } from '../http/event-stream.js';

/** A turn in the terms of an answer: the same fields as `POST /v1/answers`, and what memory did. */
export function turnView(turn: Turn) {
  return {
    conversationId: turn.conversationId,
    message: turn.question,
    reply: turn.reply,
    answer: turn.answer,
    citations: turn.citations,
    paths: turn.paths,
    supported: turn.supported,
    cache: 'miss' as const,
    retrieval: { ...turn.retrieval, milliseconds: turn.retrieval.durationMs },
    usage: turn.usage,
    model: turn.model,
    fallback: turn.fallback,
    tools: turn.tools,
    modelCalls: turn.modelCalls,
    memory: turn.memory,
    shortened: turn.shortened,
    trace: turn.trace,
    replayed: turn.replayed,
  };
}

/** What a turn of a conversation is answered with. */
export type TurnView = ReturnType<typeof turnView>;

/** A turn as events: what happens, by its type, and last `answer` with the whole turn. */
export async function* turnEvents(events: AsyncIterable<TurnEvent>): AsyncGenerator<ServerEvent> {
  for await (const event of events) {
    if (event.type === 'turn') yield { event: 'answer', data: turnView(event.turn) };
    else {
      const { type, ...data } = event;
      yield { event: type, data };
    }
  }
}
