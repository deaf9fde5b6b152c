import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { EvaluationDataInvalidError } from './evaluation-errors.js';

const id = z.union([z.number().int(), z.string()]).transform(String);

const corpusLine = z.object({ id, title: z.string(), text: z.string() });
const questionLine = z.object({
  id,
  question: z.string().min(1),
  answer: z.union([z.string(), z.number()]).transform(String),
  aliases: z.array(z.string()).default([]),
  type: z.string().default('all'),
  gold: z.array(id).min(1),
});
const openieLine = z.object({
  id,
  entities: z.array(z.string()),
  triples: z.array(z.array(z.string())),
});

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '');
const conceptLine = z.object({
  id,
  title: z.string().min(1),
  summary: text,
  hours: z.number().positive().nullish(),
  prerequisites: z.array(z.object({ tag: id, reason: text })).default([]),
});

/** A concept of a course and what has to be known before it; a prerequisite may name a concept that is not there. */
export type ConceptRecord = z.output<typeof conceptLine>;

/** A passage of an evaluation corpus; ids are strings even where the file has numbers. */
export type CorpusPassage = z.output<typeof corpusLine>;
export type EvaluationQuestion = z.output<typeof questionLine>;
/** Entities and triples of the passage with the same id; a triple may be malformed. */
export type OpenieRecord = z.output<typeof openieLine>;

/** Reads `corpus.jsonl`. @throws EvaluationDataInvalidError naming the line. */
export function readCorpus(path: string): Promise<CorpusPassage[]> {
  return readLines(path, corpusLine);
}

/** Reads `questions.jsonl`. @throws EvaluationDataInvalidError naming the line. */
export function readQuestions(path: string): Promise<EvaluationQuestion[]> {
  return readLines(path, questionLine);
}

/** Reads `openie.jsonl`. @throws EvaluationDataInvalidError naming the line. */
export function readOpenie(path: string): Promise<OpenieRecord[]> {
  return readLines(path, openieLine);
}

/** Reads `concepts.jsonl`. @throws EvaluationDataInvalidError naming the line. */
export function readConcepts(path: string): Promise<ConceptRecord[]> {
  return readLines(path, conceptLine);
}

async function readLines<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
): Promise<z.output<Schema>[]> {
  const rows: z.output<Schema>[] = [];
  let number = 0;
  for await (const line of createInterface({
    input: createReadStream(path, 'utf8'),
    crlfDelay: Number.POSITIVE_INFINITY,
  })) {
    number += 1;
    if (line.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw new EvaluationDataInvalidError(path, number, ['(line): not JSON'], { cause });
    }
    const parsed = schema.safeParse(value);
    if (!parsed.success) {
      const problems = parsed.error.issues.map(
        (issue) => `${issue.path.join('.') || '(line)'}: ${issue.code}`,
      );
      throw new EvaluationDataInvalidError(path, number, problems);
    }
    rows.push(parsed.data);
  }
  return rows;
}
