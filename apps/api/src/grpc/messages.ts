import type { Conversation } from '@sparkle/conversation';
import { z } from 'zod';
import type { AnswerView } from '../answers/answer-view.js';
import type { TurnView } from '../answers/turn-view.js';
import type { ServerEvent } from '../http/event-stream.js';
import { ZodPipe } from '../http/zod.pipe.js';

const MAX_METADATA_ENTRIES = 32;
const MAX_METADATA_BYTES = 4_096;

const metadata = z
  .record(z.string(), z.string())
  .refine((entries) => Object.keys(entries).length <= MAX_METADATA_ENTRIES, {
    message: `has more than ${MAX_METADATA_ENTRIES} entries`,
  })
  .refine((entries) => Buffer.byteLength(Object.entries(entries).flat().join('')) <= MAX_METADATA_BYTES, {
    message: `has more than ${MAX_METADATA_BYTES} bytes`,
  });

/** Fields that are not set are empty; the other checks are those of every door. */
const emptyOr = (schema: z.ZodType<string, string>) =>
  z
    .string()
    .transform((value) => (value === '' ? undefined : value))
    .pipe(schema.optional());

const messageRequest = z
  .object({
    message: z.string(),
    conversationId: emptyOr(z.uuid('must be a UUID')),
    userId: emptyOr(z.string()),
    metadata: metadata.default({}),
    idempotencyKey: emptyOr(z.string()),
    retrieval: z
      .object({
        strategy: emptyOr(z.string()),
        k: z.int().optional(),
        tokenBudget: z.int().optional(),
      })
      .nullish()
      .transform((value) => value ?? undefined),
  })
  .superRefine(({ conversationId, idempotencyKey, retrieval }, context) => {
    if (conversationId !== undefined && retrieval !== undefined)
      context.addIssue({
        code: 'custom',
        path: ['retrieval'],
        message: 'is for questions outside of conversations',
      });
    if (conversationId === undefined && idempotencyKey !== undefined)
      context.addIssue({
        code: 'custom',
        path: ['idempotencyKey'],
        message: 'is for messages of conversations',
      });
  });

const beginRequest = z.object({ title: z.string().optional(), userId: emptyOr(z.string()) });

/** `AskRequest` and `ChatRequest`. */
export type MessageRequest = z.output<typeof messageRequest>;
export type BeginRequest = z.output<typeof beginRequest>;

/** Checks what a client sent. Each throws RequestInvalidError. */
export const readMessageRequest = (value: unknown): MessageRequest =>
  new ZodPipe(messageRequest).transform(value);
export const readBeginRequest = (value: unknown): BeginRequest => new ZodPipe(beginRequest).transform(value);

/** The wire's names are those of the views; this says what is elsewhere or of another type there. */
export function answerMessage(view: AnswerView | TurnView, echoed: Readonly<Record<string, string>>): object {
  const { citations, ...rest } = view;
  const shared = {
    ...rest,
    citations: (citations as readonly { marker?: string; id?: string }[]).map((citation) => ({
      ...citation,
      marker: citation.marker ?? citation.id ?? '',
    })),
    metadata: echoed,
  };
  if (!('reply' in view))
    return { ...shared, retrieval: { ...view.retrieval, passages: view.retrieval.chunks } };
  const { message, reply } = view;
  return {
    ...shared,
    turn: { ...view, message: storedMessage(message), reply: storedMessage(reply) },
  };
}

function storedMessage(message: TurnView['message']): object {
  return { ...message, createdAt: message.createdAt.toISOString() };
}

export function conversationMessage(conversation: Conversation): object {
  const { createdAt, updatedAt, title } = conversation;
  return {
    ...conversation,
    title: title ?? '',
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  };
}

const FIELD_OF_EVENT: Readonly<Record<string, string>> = {
  state: 'state',
  delta: 'delta',
  tool_call: 'toolCall',
  tool_result: 'toolResult',
};

/** An event of a stream; `undefined` for one that this version of the service has no field for. */
export function chatEvent(
  { event, data }: ServerEvent,
  echoed: Readonly<Record<string, string>>,
): object | undefined {
  if (event === 'answer') return { answer: answerMessage(data as AnswerView | TurnView, echoed) };
  const field = FIELD_OF_EVENT[event];
  return field === undefined ? undefined : { [field]: data };
}
