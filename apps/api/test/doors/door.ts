/** An answer, whichever door it came through, without what may differ from one making to the next. */
export interface Answered {
  readonly answer: string;
  readonly citations: readonly unknown[];
  readonly paths: readonly unknown[];
  readonly supported: boolean;
  readonly cache: string;
  readonly usage: unknown;
  readonly model: string;
  readonly fallback: boolean;
  readonly strategy: string;
  /** Of a turn of a conversation. */
  readonly turn?: {
    readonly conversationId: string;
    readonly messageId: string;
    readonly replyId: string;
    readonly replayed: boolean;
    readonly memory: string;
  };
}

/** What a call through a door came to. */
export interface Outcome {
  readonly answered?: Answered;
  /** The problem document, without its `instance`. */
  readonly problem?: Problem;
  /** `RateLimit` as the caller was told it. */
  readonly rateLimit?: string | undefined;
  /** What was streamed before the end, by its type. */
  readonly events: readonly { readonly type: string; readonly data: unknown }[];
}

export interface Problem {
  readonly status: number;
  readonly code: string;
  readonly [extension: string]: unknown;
}

export interface Credentials {
  readonly token?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface AskCall extends Credentials {
  readonly question: string;
  readonly strategy?: string;
}

export interface SayCall extends Credentials {
  readonly conversationId: string;
  readonly content: string;
  readonly idempotencyKey?: string;
}

/** One way in, as a client uses it. */
export interface Door {
  readonly name: string;
  ask(call: AskCall): Promise<Outcome>;
  say(call: SayCall): Promise<Outcome>;
  close(): void;
}

// biome-ignore lint/suspicious/noExplicitAny: what came over the wire; each test asserts what it needs.
export type Wire = any;

/** An answer as HTTP and WebSocket send it. */
export function answeredOf(view: Wire): Answered {
  return {
    answer: view.answer,
    citations: view.citations.map(({ marker, id, ...rest }: Wire) => ({ marker: marker ?? id, ...rest })),
    paths: view.paths,
    supported: view.supported,
    cache: view.cache,
    usage: view.usage,
    model: view.model,
    fallback: view.fallback,
    strategy: view.retrieval.strategy,
    ...(view.conversationId && {
      turn: {
        conversationId: view.conversationId,
        messageId: view.message.id,
        replyId: view.reply.id,
        replayed: view.replayed,
        memory: view.memory.strategy,
      },
    }),
  };
}

/** A problem without the address it occurred at and the trace it belongs to. */
export function problemOf({ instance: _instance, traceId: _trace, ...problem }: Wire): Problem {
  return problem;
}
