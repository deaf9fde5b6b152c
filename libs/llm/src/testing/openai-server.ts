import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the server does with one request. */
export type OpenAiBehaviour =
  | {
      readonly kind: 'answer';
      readonly text?: string;
      /** Sent before the text in `reasoning_content`, as DeepSeek and Qwen do. */
      readonly reasoning?: string;
      /** `arguments` is sent as it stands, so that it may be wrong or not JSON at all. */
      readonly toolCalls?: readonly {
        readonly id: string;
        readonly name: string;
        readonly arguments: string;
      }[];
      /** Pieces that each call's arguments are streamed in; the pieces of several calls alternate. Default 2. */
      readonly fragments?: number;
      readonly finishReason?: string;
      /** Left out of the response when false. Default true. */
      readonly usage?: boolean;
      /** How often a stream says `[DONE]`. Default 1. */
      readonly done?: number;
      /** Pause before each text part of a stream. Default 0. */
      readonly everyMs?: number;
    }
  /** Accepts the request and never answers. */
  | { readonly kind: 'stall' }
  /** Sends this many text parts, or half of a plain response, then nothing more. */
  | { readonly kind: 'stall-after'; readonly parts: number }
  /** Sends this many text parts, or half of a plain response, then destroys the connection. */
  | { readonly kind: 'cut-after'; readonly parts: number }
  /** Ends a stream after this many text parts as if that were all. */
  | { readonly kind: 'end-after'; readonly parts: number }
  /** An error event after this many text parts of a stream. */
  | { readonly kind: 'error-after'; readonly parts: number }
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly message?: string;
      /** The provider's own code, e.g. `context_length_exceeded`. */
      readonly code?: string;
    }
  | { readonly kind: 'malformed-json' }
  /** A web page with status 200, as a proxy in between may send. */
  | { readonly kind: 'web-page' }
  /** One text part, and one response, of this many bytes. */
  | { readonly kind: 'huge'; readonly bytes: number }
  /** Vectors of this length, or this many of them, or with this in them, whatever was asked. */
  | {
      readonly kind: 'wrong-vectors';
      readonly dimensions?: number;
      readonly count?: number;
      readonly values?: 'nan' | 'null' | 'zero';
      readonly order?: 'reversed' | 'numbered-wrongly';
    };

export interface ReceivedRequest {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Readonly<Record<string, unknown>>;
  /** Resolves when the client has closed the connection before the response was complete. */
  readonly abandoned: Promise<void>;
  /** Text parts the connection has taken so far. */
  readonly sent: { parts: number };
}

const DEFAULT_TEXT = 'The mitochondrion is the powerhouse of the cell.';

/**
 * An HTTP server on loopback that speaks OpenAI's chat completions (plain and streamed, with tool calls) and
 * embeddings protocols, and fails as it is told. Behaviours are used up in order; without one left it does what
 * {@link OpenAiServer.otherwise} says.
 */
export class OpenAiServer {
  readonly requests: ReceivedRequest[] = [];
  /** What becomes of requests that no behaviour is left for. Default: an answer. */
  otherwise: OpenAiBehaviour = { kind: 'answer' };
  /** Requests to embed a text of which this is true are refused with status 400. */
  refuses: (text: string) => boolean = () => false;
  private readonly behaviours: OpenAiBehaviour[] = [];
  private readonly waiting: (() => void)[] = [];

  private constructor(
    private readonly server: Server,
    readonly dimensions: number,
  ) {}

  static async start(dimensions = 8): Promise<OpenAiServer> {
    const server = createServer();
    const instance = new OpenAiServer(server, dimensions);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      void instance.handle(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return instance;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  /** Adds behaviours for the next requests. */
  enqueue(...behaviours: readonly OpenAiBehaviour[]): void {
    this.behaviours.push(...behaviours);
  }

  /** Forgets requests, behaviours and refusals. */
  reset(): void {
    this.requests.length = 0;
    this.behaviours.length = 0;
    this.otherwise = { kind: 'answer' };
    this.refuses = () => false;
  }

  /** Resolves once `count` requests have come in since the last {@link reset}. */
  async received(count: number): Promise<void> {
    while (this.requests.length < count) {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = JSON.parse(Buffer.concat(parts).toString() || '{}') as Record<string, unknown>;
    const abandoned = new Promise<void>((resolve) => {
      response.on('close', () => {
        if (!response.writableFinished) resolve();
      });
    });
    const sent = { parts: 0 };
    const behaviour = this.behaviours.shift() ?? this.otherwise;
    this.requests.push({ path: request.url ?? '', headers: request.headers, body, abandoned, sent });
    for (const wake of this.waiting.splice(0)) wake();
    if (behaviour.kind === 'stall') return;
    const streams = body.stream === true;
    if (behaviour.kind === 'status') sendError(response, behaviour);
    else if (behaviour.kind === 'web-page') {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Sign in</title>');
    } else if (behaviour.kind === 'malformed-json' && !streams) {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"choices": [');
    } else if (request.url?.endsWith('/embeddings')) this.embed(response, body, behaviour);
    else if (streams) await stream(response, body, behaviour, sent);
    else complete(response, body, behaviour);
  }

  private embed(
    response: ServerResponse,
    body: Readonly<Record<string, unknown>>,
    behaviour: OpenAiBehaviour,
  ): void {
    const wrong = behaviour.kind === 'wrong-vectors' ? behaviour : undefined;
    const dimensions = wrong?.dimensions ?? this.dimensions;
    const input = (Array.isArray(body.input) ? body.input : [body.input]) as string[];
    if (input.some((text) => this.refuses(text))) {
      sendError(response, {
        kind: 'status',
        status: 400,
        message: 'Input data may contain unsuitable content.',
      });
      return;
    }
    const data = input.slice(0, wrong?.count).map((text, index) => ({
      object: 'embedding',
      index: wrong?.order === 'numbered-wrongly' ? 0 : index,
      embedding: wrong?.values
        ? new Array(dimensions).fill(wrong.values === 'zero' ? 0 : null)
        : pseudoVector(text, dimensions),
    }));
    if (wrong?.order === 'reversed') data.reverse();
    const usage = { prompt_tokens: input.length, total_tokens: input.length };
    const text = JSON.stringify({ object: 'list', model: body.model, data, usage });
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(wrong?.values === 'nan' ? text.replaceAll('null', 'NaN') : text);
  }
}

const USAGE = { prompt_tokens: 20, completion_tokens: 10, total_tokens: 30 };

function complete(
  response: ServerResponse,
  body: Readonly<Record<string, unknown>>,
  behaviour: OpenAiBehaviour,
): void {
  const answer = behaviour.kind === 'answer' ? behaviour : undefined;
  const toolCalls = answer?.toolCalls?.map(({ id, ...call }) => ({ id, type: 'function', function: call }));
  const message = {
    role: 'assistant',
    content:
      behaviour.kind === 'huge'
        ? 'x'.repeat(behaviour.bytes)
        : (answer?.text ?? (toolCalls ? null : DEFAULT_TEXT)),
    ...(answer?.reasoning !== undefined && { reasoning_content: answer.reasoning }),
    ...(toolCalls && { tool_calls: toolCalls }),
  };
  const finishReason = answer?.finishReason ?? (toolCalls ? 'tool_calls' : 'stop');
  const text = JSON.stringify({
    id: 'cmpl-1',
    object: 'chat.completion',
    created: 0,
    model: body.model,
    choices: [{ index: 0, message, finish_reason: finishReason }],
    ...(answer?.usage !== false && { usage: USAGE }),
  });
  response.writeHead(200, { 'content-type': 'application/json' });
  if (behaviour.kind !== 'stall-after' && behaviour.kind !== 'cut-after') {
    response.end(text);
    return;
  }
  response.write(text.slice(0, text.length / 2));
  if (behaviour.kind === 'cut-after') cut(response);
}

async function stream(
  response: ServerResponse,
  body: Readonly<Record<string, unknown>>,
  behaviour: OpenAiBehaviour,
  progress: { parts: number },
): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const closed = new AbortController();
  response.once('close', () => closed.abort());
  const write = async (text: string) => {
    if (!response.write(text))
      await once(response, 'drain', { signal: closed.signal }).catch(() => undefined);
  };
  const send = (delta: object | undefined, finish?: string, usage?: object) => {
    const choices = delta ? [{ index: 0, delta, finish_reason: finish ?? null }] : [];
    const chunk = { id: 'cmpl-1', object: 'chat.completion.chunk', created: 0, model: body.model, choices };
    return write(`data: ${JSON.stringify({ ...chunk, ...(usage && { usage }) })}\n\n`);
  };
  const answer = behaviour.kind === 'answer' ? behaviour : undefined;
  if (answer?.reasoning !== undefined) await send({ role: 'assistant', reasoning_content: answer.reasoning });
  const words =
    behaviour.kind === 'huge'
      ? ['x'.repeat(behaviour.bytes)]
      : ((answer?.text ?? (answer?.toolCalls ? '' : DEFAULT_TEXT)).match(/\S+\s*/gu) ?? []);
  const limit = 'parts' in behaviour ? behaviour.parts : Number.POSITIVE_INFINITY;
  for (const [index, content] of words.entries()) {
    if (index >= limit || response.destroyed) break;
    if (answer?.everyMs) await new Promise((resolve) => setTimeout(resolve, answer.everyMs));
    await send({ role: 'assistant', content });
    progress.parts++;
  }
  switch (behaviour.kind) {
    case 'stall-after':
      return;
    case 'cut-after':
      cut(response);
      return;
    case 'end-after':
      response.end();
      return;
    case 'error-after':
      await write(`data: ${JSON.stringify({ error: { message: 'overloaded', type: 'server_error' } })}\n\n`);
      response.end();
      return;
    case 'malformed-json':
      await write('data: {"choices": [\n\n');
      response.end('data: [DONE]\n\n');
      return;
  }
  await sendToolCalls(answer?.toolCalls ?? [], answer?.fragments ?? 2, send);
  await send({}, answer?.finishReason ?? (answer?.toolCalls ? 'tool_calls' : 'stop'));
  if (answer?.usage !== false) await send(undefined, undefined, USAGE);
  response.end('data: [DONE]\n\n'.repeat(answer?.done ?? 1));
}

/** Calls as OpenAI streams them: each opened with its name, then pieces of the arguments by position. */
async function sendToolCalls(
  calls: readonly { readonly id: string; readonly name: string; readonly arguments: string }[],
  fragments: number,
  send: (delta: object) => Promise<void>,
): Promise<void> {
  for (const [index, { id, name }] of calls.entries()) {
    await send({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] });
  }
  for (let piece = 0; piece < fragments; piece++) {
    for (const [index, { arguments: input }] of calls.entries()) {
      const size = Math.ceil(input.length / fragments);
      const text = input.slice(piece * size, (piece + 1) * size);
      if (text !== '') await send({ tool_calls: [{ index, function: { arguments: text } }] });
    }
  }
}

/** Data first, then the cut: destroying at once could drop what was written. */
function cut(response: ServerResponse): void {
  setImmediate(() => response.socket?.destroy());
}

function sendError(
  response: ServerResponse,
  { status, headers = {}, message, code }: Extract<OpenAiBehaviour, { kind: 'status' }>,
): void {
  const error = { message: message ?? `status ${status}`, type: 'test', code: code ?? null };
  response
    .writeHead(status, { 'content-type': 'application/json', ...headers })
    .end(JSON.stringify({ error }));
}

/** The same vector for the same text, unrelated ones for others. */
function pseudoVector(text: string, dimensions: number): number[] {
  const vector: number[] = [];
  for (let block = 0; vector.length < dimensions; block++) {
    const digest = createHash('sha256').update(`${block}:${text}`).digest();
    for (let offset = 0; offset < 32 && vector.length < dimensions; offset += 4) {
      vector.push(digest.readInt32BE(offset) / 2 ** 31);
    }
  }
  return vector;
}
