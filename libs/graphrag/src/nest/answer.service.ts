import { Inject, Injectable } from '@nestjs/common';
import { answerPrompt, ChatModel, type ChatResult, type TokenUsage } from '@sparkle/llm';
import { type AnswerRequest, type Citation, checkAnswer, composeAnswer } from '../answer/compose-answer.js';
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

/** Answers questions from a tenant's corpus. Nothing is cached here. */
@Injectable()
export class AnswerService {
  constructor(
    @Inject(RetrievalService) private readonly retrieval: RetrievalService,
    @Inject(ChatModel) private readonly model: ChatModel,
  ) {}

  /** Throws what {@link RetrievalService.retrieve} and the chat model throw. */
  async answer(request: AskRequest): Promise<Answer> {
    const retrieved = await this.retrieval.retrieve(request);
    const composed = await composeAnswer(toAnswerRequest(request, retrieved), this.model);
    return toAnswer(retrieved, composed);
  }

  /** Like {@link answer}, as it is written. Leaving the loop cancels the model's call. */
  async *stream(request: AskRequest): AsyncGenerator<AnswerChunk, void, undefined> {
    const retrieved = await this.retrieval.retrieve(request);
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
