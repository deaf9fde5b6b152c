import { type ChatModel, parseStructuredOutput, truncateToTokens } from '@sparkle/llm';
import { z } from 'zod';
import { rerankPrompt } from './prompts/rerank.v1.js';
import type { Reranker, RerankRequest } from './reranker.port.js';

const answer = z.object({ order: z.array(z.int()).max(100) });
const MAX_OUTPUT_TOKENS = 200;
/** Tokens of a passage that the model reads. */
const PASSAGE_TOKENS = 200;

/**
 * A chat model orders all candidates in one call (listwise, after Sun et al. 2023, RankGPT). Its answer has to fit
 * the schema; numbers of passages that do not exist, and repeated ones, do not count.
 */
export class ModelReranker implements Reranker {
  readonly id: string;

  constructor(private readonly model: ChatModel) {
    this.id = `${rerankPrompt.id}.v${rerankPrompt.version}+${model.id}`;
  }

  /**
   * Rejects with what the model rejects with.
   * @throws LlmBadResponseError when the answer does not fit the schema.
   */
  async rerank({ tenantId, question, chunks, signal }: RerankRequest): Promise<string[]> {
    const passages = chunks.map(({ documentTitle, text }) => ({
      title: documentTitle,
      text: truncateToTokens(text, PASSAGE_TOKENS),
    }));
    const { text } = await this.model.generate({
      tenantId,
      messages: rerankPrompt.render({ question, passages }),
      maxOutputTokens: MAX_OUTPUT_TOKENS,
      temperature: 0,
      ...(signal && { signal }),
    });
    const { order } = parseStructuredOutput(text, answer, this.model.id);
    return [...new Set(order)].flatMap((number) => chunks[number - 1]?.chunkId ?? []);
  }
}
