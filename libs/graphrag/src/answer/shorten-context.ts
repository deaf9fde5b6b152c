import { answerPrompt, type ChatModel, promptTokens } from '@sparkle/llm';
import type { ContextSource, RetrievalContext } from '../retrieve/build-context.js';

/** What an answer may take where nothing else is asked for. */
const DEFAULT_MAX_OUTPUT_TOKENS = 512;

/**
 * A context that the model's window holds together with the question and the longest answer. Passages are left
 * out from the end, where those stand that matter least; the first one always stays.
 */
export function withinWindow(
  model: Pick<ChatModel, 'contextTokens' | 'countTokens'>,
  context: RetrievalContext,
  { question, maxOutputTokens = DEFAULT_MAX_OUTPUT_TOKENS }: { question: string; maxOutputTokens?: number },
): RetrievalContext {
  const { contextTokens } = model;
  if (contextTokens === undefined) return context;
  const fits = (count: number) => {
    const messages = answerPrompt.render({ question, passages: context.passages.slice(0, count) });
    return promptTokens(model, { messages }) + maxOutputTokens <= contextTokens;
  };
  if (fits(context.passages.length)) return context;
  let [fitting, tooMany] = [1, context.passages.length];
  while (tooMany - fitting > 1) {
    const middle = (fitting + tooMany) >> 1;
    if (fits(middle)) fitting = middle;
    else tooMany = middle;
  }
  return first(context, fitting, model);
}

/** The better half of a context, for a model that found the whole too long. */
export function betterHalf(
  model: Pick<ChatModel, 'countTokens'>,
  context: RetrievalContext,
): RetrievalContext {
  return first(context, Math.max(1, context.passages.length >> 1), model);
}

function first(
  { passages, sources }: RetrievalContext,
  count: number,
  model: Pick<ChatModel, 'countTokens'>,
): RetrievalContext {
  const kept = passages.slice(0, count);
  return {
    passages: kept,
    sources: new Map<string, ContextSource>(
      kept.flatMap(({ id }) => {
        const source = sources.get(id);
        return source ? [[id, source] as const] : [];
      }),
    ),
    tokens: kept.reduce(
      (sum, { title, text }) => sum + model.countTokens(title ?? '') + model.countTokens(text),
      0,
    ),
  };
}
