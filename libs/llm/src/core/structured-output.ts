import { LlmBadResponseError } from '../errors.js';
import type { ChatMessage, ChatModel, ChatRequest, TokenUsage } from '../ports/chat-model.port.js';

/** The part of a zod schema this needs, so that any zod instance fits. */
export interface OutputSchema<T> {
  safeParse(
    value: unknown,
  ):
    | { readonly success: true; readonly data: T }
    | { readonly success: false; readonly error?: { readonly issues: readonly OutputIssue[] } };
}

/** One thing that is wrong with a value. */
export interface OutputIssue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

export interface StructuredOptions {
  /** Times the model is told what was wrong and asked again. Default 2. */
  readonly maxRepairs?: number;
}

export interface StructuredResult<T> {
  readonly value: T;
  /** Of all attempts together. */
  readonly usage: TokenUsage;
  readonly attempts: number;
  readonly model: string;
}

/** Problems the model is told of at once, and characters of each. */
const MAX_PROBLEMS = 10;
const MAX_PROBLEM_CHARS = 300;
/** Characters of a wrong answer that the model gets to see again. */
const MAX_QUOTED_ANSWER = 8000;

/**
 * Asks for JSON of a schema. An answer that is none, or does not fit, goes back to the model with what is wrong
 * with it, `maxRepairs` times at most; an answer that was cut at `maxOutputTokens` is told so.
 *
 * @throws LlmBadResponseError when the last answer cannot be used either; what the model throws passes through.
 */
export async function generateStructured<T>(
  model: ChatModel,
  request: ChatRequest,
  schema: OutputSchema<T>,
  { maxRepairs = 2 }: StructuredOptions = {},
): Promise<StructuredResult<T>> {
  const total = { inputTokens: 0, outputTokens: 0, costUsd: 0 };
  let messages: readonly ChatMessage[] = request.messages;
  for (let attempts = 1; ; attempts++) {
    const result = await model.generate({ ...request, messages });
    total.inputTokens += result.usage.inputTokens;
    total.outputTokens += result.usage.outputTokens;
    total.costUsd += result.usage.costUsd;
    const read = readStructuredOutput(result.text, schema);
    if (read.success) return { value: read.data, usage: total, attempts, model: result.model };
    if (attempts > maxRepairs) throw new LlmBadResponseError(result.model, read.reason);
    const cut = result.finishReason === 'length' ? ['It was cut off: give a shorter answer.'] : [];
    // Chat templates refuse an empty message.
    const quoted = result.text.trim() === '' ? '(empty)' : result.text.slice(0, MAX_QUOTED_ANSWER);
    messages = [
      ...request.messages,
      { role: 'assistant', content: quoted },
      { role: 'user', content: correction([...cut, ...read.problems]) },
    ];
  }
}

/**
 * Reads JSON out of a model's text and checks it. Takes the JSON bare, in a Markdown fence, or with words
 * before and after it; the first value that the schema accepts is the result.
 *
 * @param model named in the error.
 * @throws LlmBadResponseError when there is no JSON, or none that fits the schema.
 */
export function parseStructuredOutput<T>(text: string, schema: OutputSchema<T>, model: string): T {
  const read = readStructuredOutput(text, schema);
  if (read.success) return read.data;
  throw new LlmBadResponseError(model, read.reason);
}

type ReadOutput<T> =
  | { readonly success: true; readonly data: T }
  /** `reason` quotes nothing of the answer; `problems` may, and are for the model alone. */
  | { readonly success: false; readonly reason: string; readonly problems: readonly string[] };

function readStructuredOutput<T>(text: string, schema: OutputSchema<T>): ReadOutput<T> {
  let problems: readonly string[] | undefined;
  for (const candidate of jsonCandidates(text)) {
    let value: unknown;
    try {
      value = JSON.parse(candidate);
    } catch {
      continue;
    }
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed;
    problems ??= (parsed.error?.issues ?? []).map(
      ({ path, message }) => `${path.map(String).join('.') || '(the whole)'}: ${message}`,
    );
  }
  return problems
    ? { success: false, reason: 'its JSON does not fit the schema', problems }
    : { success: false, reason: 'it holds no valid JSON', problems: ['It holds no valid JSON.'] };
}

function correction(problems: readonly string[]): string {
  const listed = problems.slice(0, MAX_PROBLEMS).map((problem) => `- ${problem.slice(0, MAX_PROBLEM_CHARS)}`);
  return [
    'That answer cannot be used:',
    ...listed,
    'Answer again with the corrected JSON alone, without any other words.',
  ].join('\n');
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
