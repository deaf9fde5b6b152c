import { basename, join } from 'node:path';
import type { INestApplicationContext } from '@nestjs/common';
import { SeededRandom } from '@sparkle/contracts';
import {
  AnswerService,
  type AnswersEvaluation,
  DocumentService,
  type EvaluatedAnswer,
  RetrievalService,
  readCorpus,
  readQuestions,
  runAnswersEval,
} from '@sparkle/graphrag';
import { ChatModel } from '@sparkle/llm';
import { readDataOptions } from './data-options.js';
import { EVALUATOR, ingestPassages, modelVariables, withEmbeddedProduct } from './embedded-product.js';
import type { Evaluation } from './evaluation.js';
import { systemsTable } from './systems-table.js';

const USAGE = 'npm run --silent eval -- answers --data DIR [--limit N] [--json]';
/** Tokens of context both systems hand to the model. */
const TOKEN_BUDGET = 1500;
const SEED = 20_261_123;

/** Answers from plain and from graph retrieval, with the configured models, over the same questions. */
export const answersEvaluation: Evaluation = { usage: USAGE, run };

async function run(): Promise<void> {
  const { folder, limit, json } = readDataOptions(USAGE);
  const corpus = await readCorpus(join(folder, 'corpus.jsonl'));
  const questions = (await readQuestions(join(folder, 'questions.jsonl'))).slice(0, limit);
  const work = async (app: INestApplicationContext) => {
    const model = app.get<ChatModel>(ChatModel).id;
    const { rows, gain } = await runAnswersEval({
      data: basename(folder),
      corpus,
      questions,
      ingest: (passages) => ingestPassages(app, passages),
      answer: { plain: answering(app, 'plain'), graph: answering(app, 'graph') },
      forget: async (ids) => {
        for (const id of ids) await app.get(DocumentService).delete(EVALUATOR.tenantId, id);
      },
      random: new SeededRandom(SEED),
    });
    if (json) {
      for (const row of rows) process.stdout.write(`${JSON.stringify({ eval: 'answers', model, ...row })}\n`);
      for (const row of gainRows(basename(folder), gain))
        process.stdout.write(`${JSON.stringify({ eval: 'answers', model, ...row })}\n`);
    } else process.stdout.write(`model ${model}\n${systemsTable(rows, gain)}`);
  };
  await withEmbeddedProduct(undefined, work, modelVariables(process.env));
}

function answering(app: INestApplicationContext, strategy: 'plain' | 'graph') {
  const { tenantId } = EVALUATOR;
  return async (question: string): Promise<EvaluatedAnswer> => {
    const request = { tenantId, question, strategy, tokenBudget: TOKEN_BUDGET };
    const answer = await app.get(AnswerService).answer(request);
    const { context } = await app.get(RetrievalService).retrieve(request);
    return {
      ...answer,
      context: context.passages.map(({ id, text }) => {
        const source = context.sources.get(id);
        return { text, documentId: source?.kind === 'chunk' ? source.chunk.documentId : undefined };
      }),
    };
  };
}

function gainRows(data: string, gain: AnswersEvaluation['gain']) {
  return Object.entries(gain).map(([metric, { mean, low, high }]) => ({
    data,
    system: 'graph-plain',
    metric,
    value: mean,
    low,
    high,
  }));
}
