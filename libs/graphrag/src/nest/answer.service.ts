import { Inject, Injectable } from '@nestjs/common';
import { answerPrompt, ChatModel, type ChatResult, isLlmError, type TokenUsage } from '@sparkle/llm';
import { type AnswerRequest, type Citation, checkAnswer, composeAnswer } from '../answer/compose-answer.js';
import { betterHalf, withinWindow } from '../answer/shorten-context.js';
import type { ReaderKind } from '../index/graph-reader.port.js';
import type { GraphPath, QuestionRoute, RetrievalStrategy } from '../model.js';
import { type Retrieval, RetrievalService, type RetrieveRequest } from './retrieval.service.js';

export interface AskRequest extends RetrieveRequest {
  /** Upper bound of generated tokens. Default: the model's. */
  readonly maxOutputTokens?: number | undefined;
}

export interface Answer {
  readonly answer: string;
  readonly citations: readonly Citation[];
  readonly paths: readonly GraphPath[];
  /** False when the corpus does not answer the question; `answer` then says so. */
  readonly supported: boolean;
  readonly retrieval: {
    readonly strategy: RetrievalStrategy;
    readonly route: QuestionRoute;
    readonly reader: ReaderKind;
    readonly durationMs: number;
    readonly chunks: number;
    readonly contextTokens: number;
    readonly linked: readonly { readonly id: string; readonly name: string; readonly weight: number }[];
    readonly degraded: boolean;
  };
  readonly usage: TokenUsage;
  readonly model: string;
  readonly corpusVersion: number;
}

/** Text as the model writes it, then exactly one `done`, whose checked answer replaces what was streamed. */
export type AnswerChunk =
  | { readonly type: 'delta'; readonly text: string }
  | { readonly type: 'done'; readonly answer: Answer };

/**
 * Answers questions from a tenant's corpus. Nothing is cached here. A context that is too long for the model loses
 * its last passages; one that the model then finds too long all the same is sent again with half of them, once.
 * Both make an answer `degraded`.
 */
@Injectable()
export class AnswerService {
  constructor(
    @Inject(RetrievalService) private readonly retrieval: RetrievalService,
    @Inject(ChatModel) private readonly model: ChatModel,
  ) {}

  /** Throws what {@link RetrievalService.retrieve} and the chat model throw. */
  async answer(request: AskRequest): Promise<Answer> {
    const retrieved = await this.retrieve(request);
    try {
      return await this.compose(request, retrieved);
    } catch (error) {
      return this.compose(request, this.shorter(retrieved, error));
    }
  }

  /** Like {@link answer}, as it is written. Leaving the loop cancels the model's call. */
  async *stream(request: AskRequest): AsyncGenerator<AnswerChunk, void, undefined> {
    const retrieved = await this.retrieve(request);
    let started = false;
    try {
      for await (const chunk of this.write(request, retrieved)) {
        started = true;
        yield chunk;
      }
    } catch (error) {
      if (started) throw error;
      yield* this.write(request, this.shorter(retrieved, error));
    }
  }

  private async retrieve(request: AskRequest): Promise<Retrieval> {
    const retrieved = await this.retrieval.retrieve(request);
    const { question, maxOutputTokens } = request;
    const context = withinWindow(this.model, retrieved.context, {
      question,
      ...(maxOutputTokens !== undefined && { maxOutputTokens }),
    });
    return context === retrieved.context ? retrieved : { ...retrieved, context, degraded: true };
  }

  /** What to try once more with after `error`, which is thrown when a shorter context does not help. */
  private shorter(retrieved: Retrieval, error: unknown): Retrieval {
    const { context } = retrieved;
    if (!isLlmError(error) || error.code !== 'LLM_CONTEXT_TOO_LONG' || context.passages.length < 2)
      throw error;
    return { ...retrieved, context: betterHalf(this.model, context), degraded: true };
  }

  private async compose(request: AskRequest, retrieved: Retrieval): Promise<Answer> {
    return toAnswer(retrieved, await composeAnswer(toAnswerRequest(request, retrieved), this.model));
  }

  private async *write(
    request: AskRequest,
    retrieved: Retrieval,
  ): AsyncGenerator<AnswerChunk, void, undefined> {
    const asked = toAnswerRequest(request, retrieved);
    if (retrieved.context.passages.length === 0) {
      const composed = await composeAnswer(asked, this.model);
      yield { type: 'delta', text: composed.text };
      yield { type: 'done', answer: toAnswer(retrieved, composed) };
      return;
    }
    const { passages } = retrieved.context;
    let result: ChatResult | undefined;
    for await (const chunk of this.model.stream({
      tenantId: request.tenantId,
      messages: answerPrompt.render({ question: asked.question, passages }),
      context: passages,
      task: 'answer',
      ...(asked.maxOutputTokens !== undefined && { maxOutputTokens: asked.maxOutputTokens }),
      ...(request.signal && { signal: request.signal }),
    })) {
      if (chunk.type === 'text') yield { type: 'delta', text: chunk.text };
      else result = chunk.result;
    }
    if (!result) throw new Error(`The model "${this.model.id}" ended its stream without a result.`);
    const checked = checkAnswer(result.text, asked);
    yield {
      type: 'done',
      answer: toAnswer(retrieved, { ...checked, usage: result.usage, model: result.model }),
    };
  }
}

function toAnswerRequest(request: AskRequest, retrieved: Retrieval): AnswerRequest {
  return {
    tenantId: request.tenantId,
    question: request.question.trim(),
    context: retrieved.context,
    chunkOf: retrieved.chunkOf,
    ...(request.maxOutputTokens !== undefined && { maxOutputTokens: request.maxOutputTokens }),
    ...(request.signal && { signal: request.signal }),
  };
}

function toAnswer(
  retrieved: Retrieval,
  composed: {
    text: string;
    citations: readonly Citation[];
    supported: boolean;
    usage: TokenUsage;
    model: string;
  },
): Answer {
  return {
    answer: composed.text,
    citations: composed.citations,
    paths: retrieved.paths,
    supported: composed.supported,
    retrieval: {
      strategy: retrieved.strategy,
      route: retrieved.route,
      reader: retrieved.reader,
      durationMs: retrieved.durationMs,
      chunks: retrieved.chunks.length,
      contextTokens: retrieved.context.tokens,
      linked: retrieved.linked,
      degraded: retrieved.degraded,
    },
    usage: composed.usage,
    model: composed.model,
    corpusVersion: retrieved.corpusVersion,
  };
}
