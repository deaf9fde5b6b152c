import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { SemanticCache, type SemanticScope } from '@sparkle/cache';
import type { TenantId } from '@sparkle/contracts';
import { type Answer, AnswerService, SnapshotProvider } from '@sparkle/graphrag';
import { answerPrompt, ChatModel } from '@sparkle/llm';
import { type AnswerView, answerView } from './answer-view.js';

/** A question asked once, outside of a conversation. */
export interface Question {
  readonly tenantId: TenantId;
  readonly question: string;
  readonly strategy: 'graph' | 'plain';
  /** Passages to retrieve. */
  readonly k: number;
  /** Tokens of context the model may get. */
  readonly tokenBudget: number;
}

/**
 * Answers questions through the caches: the same question from the exact tier, a paraphrase from the semantic
 * tier, everything else from retrieval and model. Who asks does not change an answer; what it depends on is in
 * the cache's scope, the version of the tenant's corpus included.
 */
@Injectable()
export class AnswerPipeline {
  constructor(
    @Inject(SemanticCache) private readonly cache: SemanticCache,
    @Inject(AnswerService) private readonly answers: AnswerService,
    @Inject(SnapshotProvider) private readonly snapshots: SnapshotProvider,
    @Inject(ChatModel) private readonly model: ChatModel,
  ) {}

  /**
   * @param onText receives the text as the model writes it; not called for cached answers. Without it the answer is
   *   made in one piece, so that a model which breaks off in the middle is asked again or replaced.
   * @param options `signal` aborts when the caller leaves; the model call ends when nobody else waits for the answer.
   * @throws what retrieval, the model and its admission throw, or the reason of `signal`.
   */
  async ask(
    question: Question,
    onText?: (text: string) => void,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<AnswerView> {
    const version = await this.snapshots.version(question.tenantId);
    const { answer, cache, entryId } = await this.cache.getOrAnswer(
      question.question,
      this.scopeOf(question, version),
      async ({ signal }) => {
        const answer = await this.write(question, signal, onText);
        return {
          answer,
          documentIds: [...new Set(answer.citations.map((citation) => citation.documentId))],
          cacheable: this.isWorthKeeping(answer, version),
        };
      },
      options,
    );
    return answerView(answer, this.model.id, cache, entryId);
  }

  /**
   * An answer from less than there was, from a model that stood in for another, or about the whole corpus before its
   * communities were found, is for once only.
   */
  private isWorthKeeping({ retrieval, corpusVersion, model }: Answer, version: number): boolean {
    const premature = retrieval.route === 'corpus' && retrieval.strategy !== 'communities';
    return !retrieval.degraded && !premature && corpusVersion >= version && model === this.model.id;
  }

  private async write(
    question: Question,
    signal: AbortSignal,
    onText: ((text: string) => void) | undefined,
  ): Promise<Answer> {
    if (!onText) return this.answers.answer({ ...question, signal });
    for await (const chunk of this.answers.stream({ ...question, signal })) {
      if (chunk.type === 'done') return chunk.answer;
      onText(chunk.text);
    }
    throw new TypeError('the answer ended without its last part');
  }

  private scopeOf({ tenantId, strategy, k, tokenBudget }: Question, corpusVersion: number): SemanticScope {
    return {
      tenantId,
      model: this.model.id,
      systemPromptHash: answerPrompt.digest,
      toolsHash: digest([]),
      parametersHash: digest({ strategy, k, tokenBudget }),
      corpusVersion,
    };
  }
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64url');
}
