import {
  type ExtractedPassages,
  type ExtractionRequest,
  type Extractor,
  type PassagesRequest,
  RuleBasedExtractor,
} from '@sparkle/graphrag';

const USAGE = { modelCalls: 1, inputTokens: 100, outputTokens: 20, costUsd: 0 };

/** Works as a language model's extractor does, whose findings are stored part by part, and asks no model. */
export class PassageExtractor implements Extractor {
  readonly id = 'index-report';
  private readonly rules = new RuleBasedExtractor();

  extract(request: ExtractionRequest) {
    return this.rules.extract(request);
  }

  async *extractMany({ passages, ...request }: PassagesRequest): AsyncIterable<ExtractedPassages> {
    for (const [index, passage] of passages.entries()) {
      const extraction = await this.rules.extract({ ...request, ...passage });
      yield { passages: [{ index, extraction, by: this.id }], usage: USAGE };
    }
  }
}
