import { z } from 'zod';
import { askRequest, conversationRequest } from '../answers/agent.js';
import { RequestInvalidError } from '../http/errors.js';
import { parseJson } from '../http/json-body.js';

const id = z.string().min(1).max(64).describe('Names the request on its connection; every reply carries it');
const traceparent = z.string().max(100).optional().describe('W3C trace context of the request');

const ask = askRequest.extend({ type: z.literal('ask'), id, traceparent });
const chat = z.strictObject({
  type: z.literal('chat'),
  id,
  traceparent,
  conversationId: z.uuid('must be a UUID'),
  content: z.string(),
  idempotencyKey: z.string().optional(),
});
const begin = conversationRequest.extend({ type: z.literal('begin'), id, traceparent });
const cancel = z.strictObject({ type: z.literal('cancel'), id });
const ping = z.strictObject({ type: z.literal('ping'), id: id.optional() });

const clientMessage = z.discriminatedUnion('type', [ask, chat, begin, cancel, ping]);

/** What a client says. */
export type ClientMessage = z.output<typeof clientMessage>;

/** A message that asks for something and is answered under its id. */
export type ClientRequest = Extract<ClientMessage, { type: 'ask' | 'chat' | 'begin' }>;

/** What a client is told. `data` is what the event of the same name carries over server-sent events. */
export interface ServerMessage {
  readonly type: string;
  readonly id?: string | undefined;
  readonly data?: unknown;
}

/** A message that is not one of {@link ClientMessage}; `id` is its own, where it has a readable one. */
export class ClientMessageError extends Error {
  constructor(
    readonly id: string | undefined,
    override readonly cause: unknown,
  ) {
    super('a client sent what is no message', { cause });
  }
}

/**
 * Reads a text frame.
 * @throws ClientMessageError
 */
export function parseClientMessage(text: string): ClientMessage {
  let named: string | undefined;
  try {
    const value = parseJson(text);
    named = id.safeParse((value as { id?: unknown } | null | undefined)?.id).data;
    const parsed = clientMessage.safeParse(value);
    if (parsed.success) return parsed.data;
    const issues = parsed.error.issues.map(({ path, message }) => ({
      path: path.join('.') || '(message)',
      message,
    }));
    throw new RequestInvalidError(issues);
  } catch (error) {
    throw new ClientMessageError(named, error);
  }
}
