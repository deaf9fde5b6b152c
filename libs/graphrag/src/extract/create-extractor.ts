import type { ChatModel } from '@sparkle/llm';
import { GraphragOptionsInvalidError } from '../errors.js';
import type { GraphragOptions } from '../graphrag.options.js';
import type { Extractor } from './extractor.port.js';
import { ModelExtractor } from './model-extractor.js';
import { RuleBasedExtractor } from './rule-based-extractor.js';

/**
 * The extractor that the options ask for.
 * @throws GraphragOptionsInvalidError when the chat model is to extract and is one that only quotes what it is given.
 */
export function createExtractor(
  { extraction, modelExtraction }: Pick<GraphragOptions, 'extraction' | 'modelExtraction'>,
  model: ChatModel,
): Extractor {
  const rules = new RuleBasedExtractor();
  if (extraction === 'rules') return rules;
  if (model.local)
    throw new GraphragOptionsInvalidError([
      'extraction: "model" needs a chat model; the local one only quotes',
    ]);
  return new ModelExtractor(model, rules, modelExtraction);
}
