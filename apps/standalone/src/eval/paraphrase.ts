import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { INestApplicationContext } from '@nestjs/common';
import {
  cosineServing,
  type Embeddings,
  halfOf,
  type LabelledPair,
  questionPairs,
  sentencePairs,
  sparkleServing,
  tallyOf,
  upperLimit,
} from '@sparkle/cache/evaluation';
import { RetrievalService, readCorpus, readQuestions, runRewordingEval } from '@sparkle/graphrag';
import { EmbeddingModel } from '@sparkle/llm';
import { readDataOptions } from './data-options.js';
import { EVALUATOR, ingestPassages, modelVariables, withEmbeddedProduct } from './embedded-product.js';
import type { Evaluation } from './evaluation.js';
import { systemsTable } from './systems-table.js';

const USAGE = 'npm run --silent eval -- paraphrase --data DIR [--limit N] [--json]';
/** The similarity that caches go by when they go by nothing else. */
const PLAIN_THRESHOLD = 0.95;

interface Row {
  readonly data: string;
  readonly system: string;
  readonly metric: string;
  readonly value: number;
  readonly n: number;
}

/**
 * Over labelled pairs (`dev.tsv.gz` or `dev.csv`): whether the semantic cache serves paraphrases and nothing else.
 * Over questions (`questions.jsonl` and `corpus.jsonl`): whether retrieval finds the same for a reworded question.
 */
export const paraphraseEvaluation: Evaluation = { usage: USAGE, run };

async function run(): Promise<void> {
  const { folder, limit, json } = readDataOptions(USAGE);
  const pairs = labelledPairs(folder)?.slice(0, limit);
  const work = async (app: INestApplicationContext) => {
    const rows = pairs
      ? await servingRows(app, basename(folder), pairs)
      : await rewordingRows(app, folder, limit);
    if (json)
      for (const row of rows) process.stdout.write(`${JSON.stringify({ eval: 'paraphrase', ...row })}\n`);
    else process.stdout.write(systemsTable(rows, {}));
  };
  await withEmbeddedProduct(undefined, work, modelVariables(process.env));
}

/** The half of the pairs that no rule of the product was made on; `undefined` when the folder has no pairs. */
function labelledPairs(folder: string): LabelledPair[] | undefined {
  const files = { questions: join(folder, 'dev.tsv.gz'), sentences: join(folder, 'dev.csv') };
  if (!existsSync(files.questions) && !existsSync(files.sentences)) return undefined;
  const pairs = existsSync(files.questions) ? questionPairs(files.questions) : sentencePairs(files.sentences);
  return pairs.filter((pair) => halfOf(pair) === 'test');
}

async function servingRows(
  app: INestApplicationContext,
  data: string,
  pairs: readonly LabelledPair[],
): Promise<Row[]> {
  const model = app.get<EmbeddingModel>(EmbeddingModel);
  const texts = [...new Set(pairs.flatMap(({ first, second }) => [first, second]))];
  process.stderr.write(`eval: embedding ${texts.length} texts\n`);
  const vectors = await model.embed({ tenantId: EVALUATOR.tenantId, texts });
  const embeddings: Embeddings = new Map(texts.map((text, index) => [text, vectors[index]!]));
  const ours = sparkleServing(model, embeddings);
  const rows: Row[] = [];
  for (const serving of [ours, cosineServing(PLAIN_THRESHOLD, embeddings)]) {
    const { duplicates, servedDuplicates, others, servedOthers } = await tallyOf(serving, pairs);
    const served = servedDuplicates + servedOthers;
    const row = (metric: string, value: number, n: number) =>
      rows.push({ data, system: serving.system, metric, value: 100 * value, n });
    row('hit_rate', servedDuplicates / duplicates, duplicates);
    row('false_hit_rate', servedOthers / others, others);
    row('false_hit_upper95', upperLimit(servedOthers, others), others);
    row('precision', served === 0 ? 1 : servedDuplicates / served, served);
  }
  ours.close();
  return rows;
}

async function rewordingRows(
  app: INestApplicationContext,
  folder: string,
  limit: number | undefined,
): Promise<Row[]> {
  const { tenantId } = EVALUATOR;
  const retrieval = app.get(RetrievalService);
  const questions = (await readQuestions(join(folder, 'questions.jsonl'))).slice(0, limit);
  const documentOf = await ingestPassages(app, await readCorpus(join(folder, 'corpus.jsonl')));
  const retrieve = (strategy: 'plain' | 'graph') => (question: string, k: number) =>
    retrieval.retrieve({ tenantId, question, strategy, k });
  return runRewordingEval({
    data: basename(folder),
    questions,
    documentOf,
    retrieve: { plain: retrieve('plain'), graph: retrieve('graph') },
  });
}
