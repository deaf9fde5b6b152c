import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the server does with one request. */
export type OpenAiBehaviour =
  | {
      readonly kind: 'answer';
      readonly text?: string;
      /** `arguments` is sent as it stands, so that it may be wrong or not JSON at all. */
      readonly toolCalls?: readonly {
        readonly id: string;
        readonly name: string;
        readonly arguments: string;
      }[];
      readonly finishReason?: string;
      /** Left out of the response when false. Default true. */
      readonly usage?: boolean;
    }
  /** Accepts the request and never answers. */
  | { readonly kind: 'stall' }
  /** Sends this many text parts, then nothing more. */
  | { readonly kind: 'stall-after'; readonly parts: number }
  /** Sends this many text parts, then destroys the connection. */
  | { readonly kind: 'cut-after'; readonly parts: number }
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly message?: string;
    }
  | { readonly kind: 'malformed-json' }
  /** Vectors of this length, or this many of them, whatever was asked. */
  | { readonly kind: 'wrong-vectors'; readonly dimensions?: number; readonly count?: number };

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
 * embeddings protocols. Behaviours are used up in order; without one left it answers.
 */
export class OpenAiServer {
  readonly requests: ReceivedRequest[] = [];
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

  /** Forgets requests and behaviours. */
  reset(): void {
    this.requests.length = 0;
    this.behaviours.length = 0;
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
    const behaviour = this.behaviours.shift() ?? { kind: 'answer' as const };
    this.requests.push({ path: request.url ?? '', headers: request.headers, body, abandoned, sent });
    for (const wake of this.waiting.splice(0)) wake();
    if (behaviour.kind === 'stall') return;
    if (behaviour.kind === 'status') {
      const error = { message: behaviour.message ?? `status ${behaviour.status}`, type: 'test', code: null };
      sendJson(response, behaviour.status, { error }, behaviour.headers);
    } else if (behaviour.kind === 'malformed-json') {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"choices": [');
    } else if (request.url?.endsWith('/embeddings')) {
      this.embed(response, body, behaviour);
    } else if (body.stream === true) {
      await stream(response, body, behaviour, sent);
    } else {
      complete(response, body, behaviour);
    }
  }

  private embed(
    response: ServerResponse,
    body: Readonly<Record<string, unknown>>,
    behaviour: OpenAiBehaviour,
  ): void {
    const wrong = behaviour.kind === 'wrong-vectors' ? behaviour : undefined;
    const dimensions = wrong?.dimensions ?? this.dimensions;
    const input = (Array.isArray(body.input) ? body.input : [body.input]) as string[];
    const data = input
      .slice(0, wrong?.count)
      .map((text, index) => ({ object: 'embedding', index, embedding: pseudoVector(text, dimensions) }));
    const usage = { prompt_tokens: input.length, total_tokens: input.length };
    sendJson(response, 200, { object: 'list', model: body.model, data, usage });
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
  sendJson(response, 200, {
    id: 'cmpl-1',
    object: 'chat.completion',
    created: 0,
    model: body.model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: answer?.text ?? (toolCalls ? null : DEFAULT_TEXT),
          ...(toolCalls && { tool_calls: toolCalls }),
        },
        finish_reason: answer?.finishReason ?? (toolCalls ? 'tool_calls' : 'stop'),
      },
    ],
    ...(answer?.usage !== false && { usage: USAGE }),
  });
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
  const send = async (delta: object | undefined, finish?: string, usage?: object) => {
    const choices = delta ? [{ index: 0, delta, finish_reason: finish ?? null }] : [];
    const chunk = { id: 'cmpl-1', object: 'chat.completion.chunk', created: 0, model: body.model, choices };
    if (!response.write(`data: ${JSON.stringify({ ...chunk, ...(usage && { usage }) })}\n\n`)) {
      await once(response, 'drain', { signal: closed.signal }).catch(() => undefined);
    }
  };
  const answer = behaviour.kind === 'answer' ? behaviour : undefined;
  const words = (answer?.text ?? (answer?.toolCalls ? '' : DEFAULT_TEXT)).match(/\S+\s*/gu) ?? [];
  const limit =
    behaviour.kind === 'cut-after' || behaviour.kind === 'stall-after'
      ? behaviour.parts
      : Number.POSITIVE_INFINITY;
  for (const [index, content] of words.entries()) {
    if (index >= limit || response.destroyed) break;
    await send({ role: 'assistant', content });
    progress.parts++;
  }
  if (behaviour.kind === 'stall-after') return;
  if (behaviour.kind === 'cut-after') {
    // Data first, then the cut: destroying at once could drop what was written.
    setImmediate(() => response.socket?.destroy());
    return;
  }
  for (const [index, { id, name, arguments: input }] of (answer?.toolCalls ?? []).entries()) {
    const middle = Math.ceil(input.length / 2);
    const opening = { index, id, type: 'function', function: { name, arguments: input.slice(0, middle) } };
    await send({ tool_calls: [opening] });
    await send({ tool_calls: [{ index, function: { arguments: input.slice(middle) } }] });
  }
  await send({}, answer?.finishReason ?? (answer?.toolCalls ? 'tool_calls' : 'stop'));
  if (answer?.usage !== false) await send(undefined, undefined, USAGE);
  response.end('data: [DONE]\n\n');
}

function sendJson(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
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
