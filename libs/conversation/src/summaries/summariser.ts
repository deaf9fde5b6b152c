import { isSparkleError, type TenantId } from '@sparkle/contracts';
import { type ChatMessage, type ChatModel, type ContextPassage, summarisePrompt } from '@sparkle/llm';
import type { SummaryMethod } from '../ports/summary-cache.port.js';
import { clip, clipToTokens, spoken } from '../text.js';
import { extractiveSummary } from './extractive.js';
import { mergeInstructions } from './prompts/merge.v1.js';

export interface SummarisedMessage {
  readonly seq: number;
  readonly role: string;
  readonly content: string;
}

export interface SummariseRequest {
  readonly tenantId: TenantId;
  /** Prose of the summary so far, if there is one. */
  readonly previous?: string;
  /** What is new, oldest first. */
  readonly batches: readonly (readonly SummarisedMessage[])[];
  readonly maxTokens: number;
  readonly signal?: AbortSignal;
}

export interface Prose {
  readonly text: string;
  readonly method: SummaryMethod;
}

const TOKEN_LIMIT = new Set(['LLM_CONTEXT_TOO_LONG']);
const RATE_LIMIT = new Set([
  'LLM_RATE_LIMITED',
  'LLM_BUDGET_EXCEEDED',
  'RATE_LIMITED',
  'TOKEN_BUDGET_EXCEEDED',
]);

function hasCode(error: unknown, codes: ReadonlySet<string>): boolean {
  return isSparkleError(error) && codes.has(error.code);
}

/**
 * Turns messages into prose. One call per batch; then neighbours are merged in pairs until one is left, so
 * that every message passes through about log₂ of the batches' number of merges, not through all of them.
 *
 * Degrades in this order: a batch the model finds too long is split in halves; when calls are rate limited,
 * sentences are picked without a model; after any other failure, the last three messages stand for the batch
 * behind what was known before.
 */
export class Summariser {
  constructor(private readonly model: ChatModel) {}

  /** Rejects only when `signal` aborts, with its reason. */
  async summarise(request: SummariseRequest): Promise<Prose> {
    request.signal?.throwIfAborted();
    let split = false;
    const onSplit = () => {
      split = true;
    };
    try {
      const parts = request.previous ? [request.previous] : [];
      for (const batch of request.batches) parts.push(await this.batch(request, batch, onSplit));
      const text = await this.mergeAll(request, parts, onSplit);
      // A model may find nothing worth keeping in small talk; an empty summary would serve nobody.
      if (text === '') return this.heuristic(request);
      return { text, method: split ? 'model-split' : 'model' };
    } catch (error) {
      request.signal?.throwIfAborted();
      return hasCode(error, RATE_LIMIT) ? this.heuristic(request) : this.lastMessages(request);
    }
  }

  private async batch(
    request: SummariseRequest,
    messages: readonly SummarisedMessage[],
    onSplit: () => void,
  ): Promise<string> {
    try {
      return await this.ask(
        request,
        summarisePrompt.render({
          messages: messages.flatMap(({ role, content }) =>
            role === 'user' || role === 'assistant' ? [{ role, content }] : [],
          ),
          maxTokens: request.maxTokens,
        }),
        messages.map(({ seq, role, content }) => ({
          id: `M${seq}`,
          kind: 'message',
          text: spoken(role, content),
        })),
      );
    } catch (error) {
      if (!hasCode(error, TOKEN_LIMIT)) throw error;
      onSplit();
      if (messages.length === 1)
        return extractiveSummary([messages[0]!.content], request.maxTokens, (text) =>
          this.model.countTokens(text),
        );
      const middle = Math.ceil(messages.length / 2);
      const first = await this.batch(request, messages.slice(0, middle), onSplit);
      const second = await this.batch(request, messages.slice(middle), onSplit);
      return this.merge(request, first, second, onSplit);
    }
  }

  private async mergeAll(
    request: SummariseRequest,
    parts: readonly string[],
    onSplit: () => void,
  ): Promise<string> {
    let level = parts;
    while (level.length > 1) {
      const next: string[] = [];
      for (let at = 0; at < level.length; at += 2) {
        const [first, second] = [level[at]!, level[at + 1]];
        next.push(second === undefined ? first : await this.merge(request, first, second, onSplit));
      }
      level = next;
    }
    return level[0] ?? '';
  }

  private async merge(
    request: SummariseRequest,
    first: string,
    second: string,
    onSplit: () => void,
  ): Promise<string> {
    if (first === '' || second === '') return first || second;
    try {
      return await this.ask(
        request,
        [
          { role: 'system', content: `${mergeInstructions}\n\nUse at most ${request.maxTokens} tokens.` },
          { role: 'user', content: `Earlier notes:\n${first}\n\nLater notes:\n${second}` },
        ],
        [
          { id: 'S1', kind: 'summary', text: first },
          { id: 'S2', kind: 'summary', text: second },
        ],
      );
    } catch (error) {
      if (!hasCode(error, TOKEN_LIMIT)) throw error;
      onSplit();
      return extractiveSummary([first, second], request.maxTokens, (text) => this.model.countTokens(text));
    }
  }

  private async ask(
    { tenantId, maxTokens, signal }: SummariseRequest,
    messages: readonly ChatMessage[],
    context: readonly ContextPassage[],
  ): Promise<string> {
    const result = await this.model.generate({
      tenantId,
      task: 'summarise',
      messages,
      context,
      maxOutputTokens: maxTokens,
      ...(signal && { signal }),
    });
    signal?.throwIfAborted();
    return clipToTokens(result.text.replaceAll('\0', '').trim(), maxTokens, (part) =>
      this.model.countTokens(part),
    );
  }

  private heuristic({ previous, batches, maxTokens }: SummariseRequest): Prose {
    const texts = [
      ...(previous ? [previous] : []),
      ...batches.flat().map(({ role, content }) => spoken(role, content)),
    ];
    const text = extractiveSummary(texts, maxTokens, (part) => this.model.countTokens(part));
    return { text, method: 'heuristic' };
  }

  private lastMessages({ previous, batches, maxTokens }: SummariseRequest): Prose {
    const recent = batches
      .flat()
      .slice(-3)
      .map(({ role, content }) => spoken(role, clip(content, 400)))
      .join('\n');
    const tail = clipToTokens(recent, maxTokens, (part) => this.model.countTokens(part));
    return { text: previous ? `${previous}\n${tail}` : tail, method: 'last-messages' };
  }
}
