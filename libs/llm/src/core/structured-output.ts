import { LlmBadResponseError } from '../errors.js';

/** The part of a zod schema this needs, so that any zod instance fits. */
export interface OutputSchema<T> {
  safeParse(value: unknown): { readonly success: true; readonly data: T } | { readonly success: false };
}

/**
 * Reads JSON out of a model's text and checks it. Takes the JSON bare, in a Markdown fence, or with words
 * before and after it; the first value that the schema accepts is the result.
 *
 * @param model named in the error.
 * @throws LlmBadResponseError when there is no JSON, or none that fits the schema.
 */
export function parseStructuredOutput<T>(text: string, schema: OutputSchema<T>, model: string): T {
  let found = false;
  for (const candidate of jsonCandidates(text)) {
    let value: unknown;
    try {
      value = JSON.parse(candidate);
    } catch {
      continue;
    }
    found = true;
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
  }
  throw new LlmBadResponseError(model, found ? 'its JSON does not fit the schema' : 'it holds no valid JSON');
}

function* jsonCandidates(text: string): Generator<string> {
  yield text.trim();
  for (const match of text.matchAll(/```(?:json)?\s*([\s\S]*?)```/gu)) yield (match[1] ?? '').trim();
  for (const [open, close] of [
    ['{', '}'],
    ['[', ']'],
  ] as const) {
    const start = text.indexOf(open);
    const end = text.lastIndexOf(close);
    if (start >= 0 && end > start) yield text.slice(start, end + 1);
  }
}
