import { basename, join, resolve } from 'node:path';
import type { INestApplicationContext } from '@nestjs/common';
import { SystemRandom } from '@sparkle/contracts';
import {
  type Extractor,
  PreparedExtractor,
  type Retrieval,
  RetrievalService,
  RuleBasedExtractor,
  readCorpus,
  readOpenie,
  readQuestions,
  runRetrievalEval,
} from '@sparkle/graphrag';
import { readOptions, UsageError } from '../cli/command.js';
import { EVALUATOR, ingestPassages, withEmbeddedProduct } from './embedded-product.js';
import type { Evaluation } from './evaluation.js';
import { systemsTable } from './systems-table.js';

const USAGE = 'npm run --silent eval -- retrieval --data DIR [--openie] [--json]';
/** Tokens of context both systems may hand to a model. */
const TOKEN_BUDGET = 2000;

/** Plain against graph retrieval over `corpus.jsonl` and `questions.jsonl`. */
export const retrievalEvaluation: Evaluation = { usage: USAGE, run };

async function run(): Promise<void> {
  const { values } = readOptions(USAGE, {
    data: { type: 'string' },
    openie: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  });
  if (!values.data) throw new UsageError(`usage: ${USAGE}`);
  const folder = resolve(values.data);
  const extractor = values.openie ? await openieExtractor(folder) : undefined;
  const data = `${basename(folder)}${values.openie ? '+openie' : ''}`;
  await withEmbeddedProduct(extractor, async (app) => {
    const { rows, gain } = await evaluate(app, folder, data);
    if (values.json) for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`);
    else process.stdout.write(systemsTable(rows, gain));
  });
}

async function evaluate(app: INestApplicationContext, folder: string, data: string) {
  const { tenantId } = EVALUATOR;
  const retrieval = app.get(RetrievalService);
  const retrieve = (strategy: 'plain' | 'graph') => (question: string, k: number) =>
    retrieval.retrieve({ tenantId, question, strategy, k, tokenBudget: TOKEN_BUDGET });
  return runRetrievalEval({
    data,
    corpus: await readCorpus(join(folder, 'corpus.jsonl')),
    questions: await readQuestions(join(folder, 'questions.jsonl')),
    ingest: (corpus) => ingestPassages(app, corpus),
    retrieve: { plain: retrieve('plain'), graph: retrieve('graph') },
    contextTokens: (_question, result) => (result as Retrieval).context.tokens,
    random: new SystemRandom(),
  });
}

async function openieExtractor(folder: string): Promise<Extractor> {
  const records = new Map(
    (await readOpenie(join(folder, 'openie.jsonl'))).map((record) => [record.id, record]),
  );
  const passages = (await readCorpus(join(folder, 'corpus.jsonl'))).flatMap(({ id, title, text }) => {
    const record = records.get(id);
    return record ? [{ title, text, entities: record.entities, triples: record.triples }] : [];
  });
  return new PreparedExtractor(passages, new RuleBasedExtractor(), 'openie');
}
