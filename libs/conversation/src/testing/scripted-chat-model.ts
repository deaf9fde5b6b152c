import type { ChatChunk, ChatModel, ChatRequest, ChatResult, ToolCall } from '@sparkle/llm';

/** What a {@link ScriptedChatModel} does with one call. */
export type Script =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'error'; readonly error: unknown; readonly after?: string }
  | {
      /** Asks for tools, after `text` if there is one. */
      readonly kind: 'tools';
      readonly calls: readonly (Pick<ToolCall, 'name' | 'arguments'> & Partial<ToolCall>)[];
      readonly text?: string;
    }
  | {
      /** Writes `before`, then waits until the test calls `release`, or the call is cancelled. */
      readonly kind: 'hang';
      readonly before?: string;
      readonly text?: string;
    };

/**
 * A chat model that does as told: each call takes the next script, or else what `otherwise` makes of it.
 * Streams word by word.
 */
export class ScriptedChatModel implements ChatModel {
  readonly id = 'scripted';
  readonly local = false;
  /** Every request, in order. */
  readonly requests: ChatRequest[] = [];
  /** Calls that were cancelled. */
  cancelled = 0;
  private readonly scripts: Script[] = [];
  private readonly hanging = new Set<() => void>();
  private readonly onHang = new Set<() => void>();

  constructor(
    private readonly otherwise: (request: ChatRequest) => string = (request) =>
      `Answer to: ${request.messages.at(-1)?.content}`,
  ) {}

  /** Adds to what the next calls do. */
  script(...scripts: Script[]): this {
    this.scripts.push(...scripts);
    return this;
  }

  /** Lets every hanging call go on. */
  release(): void {
    for (const go of [...this.hanging]) go();
  }

  /** Resolves as soon as a call hangs. */
  async untilHanging(): Promise<void> {
    if (this.hanging.size > 0) return;
    await new Promise<void>((resolve) => this.onHang.add(resolve));
  }

  async generate(request: ChatRequest): Promise<ChatResult> {
    for await (const chunk of this.stream(request)) if (chunk.type === 'done') return chunk.result;
    throw new Error('The script has no end.');
  }

  async *stream(request: ChatRequest): AsyncGenerator<ChatChunk> {
    this.requests.push(request);
    const script = this.scripts.shift() ?? { kind: 'text' as const, text: this.otherwise(request) };
    let finished = false;
    try {
      request.signal?.throwIfAborted();
      let written = '';
      if (script.kind === 'error') {
        if (script.after) yield { type: 'text', text: script.after };
        throw script.error;
      }
      if (script.kind === 'hang') {
        written = script.before ?? '';
        if (written) yield { type: 'text', text: written };
        await this.hang(request.signal);
      }
      for (const word of (script.text ?? '').match(/\s*\S+|\s+$/g) ?? []) {
        written += word;
        yield { type: 'text', text: word };
        request.signal?.throwIfAborted();
      }
      finished = true;
      const calls = script.kind === 'tools' ? script.calls : [];
      yield { type: 'done', result: this.result(request, written, calls) };
    } catch (error) {
      finished = !request.signal?.aborted;
      throw error;
    } finally {
      if (!finished) this.cancelled += 1;
    }
  }

  /** A quarter of the characters, rounded up. */
  countTokens(text: string): number {
    return Math.ceil(text.length / 4);
  }

  private hang(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = () => {
        this.hanging.delete(go);
        resolve();
      };
      this.hanging.add(go);
      signal?.addEventListener(
        'abort',
        () => {
          this.hanging.delete(go);
          reject(signal.reason);
        },
        { once: true },
      );
      for (const seen of this.onHang) seen();
      this.onHang.clear();
    });
  }

  private result(
    request: ChatRequest,
    text: string,
    calls: (Script & { kind: 'tools' })['calls'],
  ): ChatResult {
    const inputTokens = request.messages.reduce((sum, { content }) => sum + this.countTokens(content), 0);
    return {
      text,
      toolCalls: calls.map((call, at) => ({ id: `scripted-${this.requests.length}-${at}`, ...call })),
      usage: { inputTokens, outputTokens: this.countTokens(text), costUsd: 0 },
      finishReason: calls.length > 0 ? 'tool_calls' : 'stop',
      model: this.id,
    };
  }
}
