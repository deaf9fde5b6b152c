import {
  type ChatMessage,
  type ChatModel,
  LlmBadResponseError,
  LlmBudgetExceededError,
  LlmContextTooLongError,
  LlmInputInvalidError,
  LlmRequestRejectedError,
  type TokenUsage,
} from '@sparkle/llm';
import type { Extraction } from '../model.js';
import type {
  ExtractedPassages,
  ExtractionRequest,
  ExtractionUsage,
  Extractor,
  PassagesRequest,
} from './extractor.port.js';
import { groundStatements } from './ground-statements.js';
import { ModelAnswerInvalidError, readModelAnswer, type StatedPassage } from './model-answer.js';
import { correctionMessage, extractGraphPrompt, gleaningMessage } from './prompts/extract-graph.v1.js';

export interface ModelExtractorOptions {
  /** Rounds that ask for what was missed; 0 asks once only. */
  readonly gleanings: number;
  /** Tokens of passages that share a call; a longer passage has a call of its own. */
  readonly batchTokens: number;
  /** Times a call is made until its answer can be used; the model is told what was wrong. */
  readonly attempts: number;
  /** Longest answer, in tokens. */
  readonly maxOutputTokens: number;
  /** Calls under way for one document. */
  readonly parallelCalls: number;
  /** Tokens, in and out, that one document may take; what is left then is extracted by rules. */
  readonly tokensPerDocument: number;
  /** Price that one document may take; what is left then is extracted by rules. Null for no bound. */
  readonly usdPerDocument: number | null;
  /**
   * While the model cannot be reached, refuses the key or is overloaded: `retry` leaves the document to the
   * queue, which tries again where it stopped; `rules` goes on without the model.
   */
  readonly whenUnavailable: 'retry' | 'rules';
}

/** Passages that share a call whatever their size. */
const MAX_PASSAGES = 12;

const NO_USAGE: ExtractionUsage = { modelCalls: 0, inputTokens: 0, outputTokens: 0, costUsd: 0 };

/** What goes on while one document is extracted. */
interface Run {
  readonly request: PassagesRequest;
  readonly signal: AbortSignal;
  readonly spent: SpentTokens;
}

/** Passages of one call, by position in the request. */
type Batch = readonly number[];

/**
 * Extracts with a chat model: several passages a call, its answer checked against a schema and corrected, what it
 * missed asked for again, and nothing believed that the passage does not bear out ({@link groundStatements}).
 * What a model cannot do, or what the document's budget does not cover, another extractor does.
 */
export class ModelExtractor implements Extractor {
  readonly id: string;

  constructor(
    private readonly model: ChatModel,
    private readonly rules: Extractor,
    private readonly options: ModelExtractorOptions,
  ) {
    this.id = `model-${extractGraphPrompt.version}:${model.id}`;
  }

  async extract(request: ExtractionRequest): Promise<Extraction> {
    const { headings, text, ...document } = request;
    const parts = this.extractMany({ ...document, passages: [{ headings, text }], spent: NO_USAGE });
    for await (const { passages } of parts) return passages[0]!.extraction;
    return { entities: [], relations: [] };
  }

  async *extractMany(request: PassagesRequest): AsyncGenerator<ExtractedPassages, void, undefined> {
    request.signal?.throwIfAborted();
    const stop = new AbortController();
    const signal = request.signal ? AbortSignal.any([request.signal, stop.signal]) : stop.signal;
    const run: Run = { request, signal, spent: new SpentTokens(request.spent, this.options) };
    const batches = this.batchesOf(request);
    const running = new Map<Batch, Promise<{ batch: Batch; done: ExtractedPassages }>>();
    try {
      for (let next = 0; next < batches.length || running.size > 0; ) {
        for (; running.size < this.options.parallelCalls && next < batches.length; next += 1) {
          const batch = batches[next]!;
          const work = this.extractBatch(run, batch).then((done) => ({ batch, done }));
          // Whichever fails first is what the caller hears of; the others were told to stop.
          work.catch(() => undefined);
          running.set(batch, work);
        }
        const { batch, done } = await Promise.race(running.values());
        running.delete(batch);
        yield done;
      }
    } finally {
      stop.abort(new Error('The extraction was left.'));
    }
  }

  /** Passages in order, as many a call as the token budget takes. */
  private batchesOf({ passages }: PassagesRequest): Batch[] {
    const batches: number[][] = [];
    let tokens = 0;
    passages.forEach(({ text }, index) => {
      const size = this.model.countTokens(text);
      const last = batches.at(-1);
      if (last && last.length < MAX_PASSAGES && tokens + size <= this.options.batchTokens) {
        last.push(index);
        tokens += size;
      } else {
        batches.push([index]);
        tokens = size;
      }
    });
    return batches;
  }

  private async extractBatch(run: Run, batch: Batch): Promise<ExtractedPassages> {
    const meter = new Meter();
    const found = await this.ask(run, batch, meter);
    const passages: { index: number; extraction: Extraction; by: string }[] = [];
    for (const index of batch) {
      const stated = found.get(index);
      const { headings, text } = run.request.passages[index]!;
      const { tenantId, documentTitle, known } = run.request;
      passages.push(
        stated
          ? {
              index,
              extraction: groundStatements(stated, { documentTitle, headings, text, known }),
              by: this.id,
            }
          : {
              index,
              extraction: await this.rules.extract({
                tenantId,
                documentTitle,
                headings,
                text,
                ...(known && { known }),
              }),
              by: this.rules.id,
            },
      );
    }
    return { passages, usage: meter.usage };
  }

  /**
   * What the model states of each passage; a passage it could not do is missing. Answers that cannot be used are
   * asked for again, then in halves, so that one passage does not spoil the others.
   */
  private async ask(run: Run, batch: Batch, meter: Meter): Promise<Map<number, StatedPassage[]>> {
    const conversation = new Conversation(run.request, batch);
    for (let attempt = 1; attempt <= this.options.attempts; attempt += 1) {
      try {
        const first = await this.call(run, conversation, meter, true);
        if (!first) return new Map();
        const stated = new Map([...first].map(([index, passage]) => [index, [passage]]));
        await this.glean(run, conversation, meter, stated);
        return stated;
      } catch (error) {
        if (error instanceof ModelAnswerInvalidError) conversation.correct(error.problems);
        else if (error instanceof AnswerCutError) break;
        else if (!this.blamesPassages(run, error)) return new Map();
        else if (!(error instanceof LlmBadResponseError)) break;
      }
    }
    if (batch.length === 1) return new Map();
    const half = batch.length >> 1;
    const halves = [batch.slice(0, half), batch.slice(half)];
    const found = new Map<number, StatedPassage[]>();
    for (const part of halves) for (const entry of await this.ask(run, part, meter)) found.set(...entry);
    return found;
  }

  /** Adds what is missing, round by round, until a round brings nothing or the budget is spent. */
  private async glean(
    run: Run,
    conversation: Conversation,
    meter: Meter,
    stated: Map<number, StatedPassage[]>,
  ): Promise<void> {
    for (let round = 0; round < this.options.gleanings; round += 1) {
      conversation.say(gleaningMessage());
      let more: Map<number, StatedPassage> | undefined;
      try {
        more = await this.call(run, conversation, meter, false);
      } catch (error) {
        // What was found so far is good: a round that fails is a round that brings nothing.
        if (run.signal.aborted) throw error;
        return;
      }
      if (!more) return;
      let news = 0;
      for (const [index, passage] of more) {
        news += passage.entities.length + passage.relations.length;
        stated.get(index)?.push(passage);
      }
      if (news === 0) return;
    }
  }

  /** One call of the model. Undefined when the budget does not cover it. */
  private async call(
    run: Run,
    conversation: Conversation,
    meter: Meter,
    complete: boolean,
  ): Promise<Map<number, StatedPassage> | undefined> {
    const expected = conversation.messages.reduce(
      (sum, { content }) => sum + this.model.countTokens(content),
      0,
    );
    if (!run.spent.reserve(expected)) return undefined;
    let usage: TokenUsage | undefined;
    try {
      const result = await this.model.generate({
        tenantId: run.request.tenantId,
        messages: conversation.messages,
        maxOutputTokens: this.options.maxOutputTokens,
        signal: run.signal,
      });
      usage = result.usage;
      meter.add(usage);
      if (result.finishReason === 'length' || result.finishReason === 'content_filter')
        throw new AnswerCutError();
      conversation.say({ role: 'assistant', content: result.text });
      return conversation.read(result.text, result.model, complete);
    } finally {
      run.spent.settle(expected, usage);
    }
  }

  /**
   * Decides about a failed call: rethrows what is not the passages' fault, returns false when there is no sense in
   * asking further, true when the passages may be to blame.
   */
  private blamesPassages(run: Run, error: unknown): boolean {
    run.signal.throwIfAborted();
    if (error instanceof LlmBudgetExceededError) {
      run.spent.exhaust();
      return false;
    }
    const blamed =
      error instanceof LlmBadResponseError ||
      error instanceof LlmContextTooLongError ||
      error instanceof LlmRequestRejectedError ||
      error instanceof LlmInputInvalidError;
    if (blamed) return true;
    if (this.options.whenUnavailable === 'retry') throw error;
    return false;
  }
}

/** The answer ended before it was complete, or the provider withheld it: asking for less may help. */
class AnswerCutError extends Error {}

/** The messages of one batch's calls. */
class Conversation {
  readonly messages: ChatMessage[];
  private readonly ids: readonly number[];

  constructor(
    { documentTitle, passages }: PassagesRequest,
    private readonly batch: Batch,
  ) {
    this.ids = batch.map((_, position) => position + 1);
    this.messages = extractGraphPrompt.render({
      documentTitle,
      passages: batch.map((index, position) => ({ ...passages[index]!, id: position + 1 })),
    });
  }

  say(message: ChatMessage): void {
    this.messages.push(message);
  }

  correct(problems: readonly string[]): void {
    this.messages.push(correctionMessage(problems));
  }

  /** By position in the request. */
  read(text: string, model: string, complete: boolean): Map<number, StatedPassage> {
    const stated = readModelAnswer(text, this.ids, model, complete);
    return new Map([...stated].map(([id, passage]) => [this.batch[id - 1]!, passage]));
  }
}

/** What a batch took. */
class Meter {
  usage: ExtractionUsage = NO_USAGE;

  add({ inputTokens, outputTokens, costUsd }: TokenUsage): void {
    this.usage = {
      modelCalls: this.usage.modelCalls + 1,
      inputTokens: this.usage.inputTokens + inputTokens,
      outputTokens: this.usage.outputTokens + outputTokens,
      costUsd: this.usage.costUsd + costUsd,
    };
  }
}

/** A document's budget, with what calls under way are expected to take. */
class SpentTokens {
  private tokens: number;
  private usd: number;
  private reserved = 0;
  private exhausted = false;

  constructor(
    spent: ExtractionUsage,
    private readonly limits: Pick<ModelExtractorOptions, 'tokensPerDocument' | 'usdPerDocument'>,
  ) {
    this.tokens = spent.inputTokens + spent.outputTokens;
    this.usd = spent.costUsd;
  }

  reserve(tokens: number): boolean {
    const { tokensPerDocument, usdPerDocument } = this.limits;
    if (this.exhausted || this.tokens + this.reserved + tokens > tokensPerDocument) return false;
    if (usdPerDocument !== null && this.usd >= usdPerDocument) return false;
    this.reserved += tokens;
    return true;
  }

  settle(reserved: number, usage: TokenUsage | undefined): void {
    this.reserved -= reserved;
    this.tokens += usage ? usage.inputTokens + usage.outputTokens : 0;
    this.usd += usage?.costUsd ?? 0;
  }

  exhaust(): void {
    this.exhausted = true;
  }
}
