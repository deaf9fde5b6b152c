import { LlmBadResponseError, parseStructuredOutput } from '@sparkle/llm';
import { z } from 'zod';

/** What a model says of one passage; nothing of it is believed yet. */
export interface StatedPassage {
  readonly entities: readonly {
    readonly name: string;
    readonly type: string;
    readonly aliases: readonly string[];
  }[];
  readonly relations: readonly {
    readonly source: string;
    readonly target: string;
    readonly type: string;
    readonly quote: string;
  }[];
}

/** An answer that cannot be used, and what to tell the model about it. */
export class ModelAnswerInvalidError extends Error {
  constructor(readonly problems: readonly string[]) {
    super('The model’s answer cannot be used.');
  }
}

const MAX_NAME = 200;
const MAX_QUOTE = 2000;
const PROBLEMS_SHOWN = 8;

const name = z.string().max(MAX_NAME);
const passage = z.object({
  id: z.coerce.number().int(),
  entities: z
    .array(
      z.object({
        name,
        type: z.string().max(MAX_NAME).catch('term'),
        aliases: z.array(name).nullish(),
      }),
    )
    .max(1000),
  relations: z
    .array(z.object({ source: name, target: name, type: name, quote: z.string().max(MAX_QUOTE) }))
    .max(1000),
});
const answer = z.object({ passages: z.array(passage).max(1000) });

/**
 * Checks a model's answer about the passages `ids`. What it says of other passages is left out.
 * @param complete when every passage must be there.
 * @throws ModelAnswerInvalidError with what is wrong, in words for the model.
 */
export function readModelAnswer(
  text: string,
  ids: readonly number[],
  model: string,
  complete: boolean,
): Map<number, StatedPassage> {
  let problems: string[] = [];
  const schema = {
    safeParse(value: unknown) {
      const parsed = answer.safeParse(value);
      // The first candidate is the answer as it stands; the others are parts of it.
      if (!parsed.success && problems.length === 0)
        problems = parsed.error.issues
          .slice(0, PROBLEMS_SHOWN)
          .map((issue) => `${issue.path.join('.') || 'the answer'}: ${issue.message}`);
      return parsed;
    },
  };
  let parsed: z.output<typeof answer>;
  try {
    parsed = parseStructuredOutput(text, schema, model);
  } catch (error) {
    if (!(error instanceof LlmBadResponseError)) throw error;
    throw new ModelAnswerInvalidError(
      problems.length > 0 ? problems : ['it is not one complete JSON object'],
    );
  }
  const stated = new Map<number, StatedPassage>();
  for (const { id, entities, relations } of parsed.passages)
    if (ids.includes(id))
      stated.set(id, {
        entities: entities.map((entity) => ({ ...entity, aliases: entity.aliases ?? [] })),
        relations,
      });
  const missing = ids.filter((id) => !stated.has(id));
  if (complete && missing.length > 0)
    throw new ModelAnswerInvalidError([`"passages" lacks the passages with the ids ${missing.join(', ')}`]);
  return stated;
}
