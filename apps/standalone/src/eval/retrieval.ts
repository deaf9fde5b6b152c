import { basename, join, resolve } from 'node:path';
import type { INestApplicationContext } from '@nestjs/common';
import { parseTenantId, SystemRandom } from '@sparkle/contracts';
import {
  type EvaluationRow,
  type Extractor,
  IngestionService,
  PreparedExtractor,
  type Retrieval,
  RetrievalService,
  RuleBasedExtractor,
  readCorpus,
  readOpenie,
  readQuestions,
  runRetrievalEval,
} from '@sparkle/graphrag';
import { TenantRegistry } from '@sparkle/runtime';
import { readOptions, UsageError } from '../cli/command.js';
import { withEmbeddedProduct } from './embedded-product.js';
import type { Evaluation } from './evaluation.js';

const USAGE = 'npm run --silent eval -- retrieval --data DIR [--openie] [--json]';
/** Tokens of context both systems may hand to a model. */
const TOKEN_BUDGET = 2000;
const EVALUATOR = { tenantId: parseTenantId('evaluation'), userId: 'evaluation', scopes: [] };

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
    else {
      process.stdout.write(table(rows));
      for (const [metric, { mean, low, high }] of Object.entries(gain))
        process.stdout.write(
          `gain ${metric}: ${mean.toFixed(1)} points, 95 % interval ${low.toFixed(1)} to ${high.toFixed(1)}\n`,
        );
    }
  });
}

async function evaluate(app: INestApplicationContext, folder: string, data: string) {
  const { tenantId, userId } = EVALUATOR;
  await app.get(TenantRegistry).admit(EVALUATOR);
  const retrieval = app.get(RetrievalService);
  const retrieve = (strategy: 'plain' | 'graph') => (question: string, k: number) =>
    retrieval.retrieve({ tenantId, question, strategy, k, tokenBudget: TOKEN_BUDGET });
  return runRetrievalEval({
    data,
    corpus: await readCorpus(join(folder, 'corpus.jsonl')),
    questions: await readQuestions(join(folder, 'questions.jsonl')),
    ingest: async (corpus) => {
      const uploads = corpus.map(({ title, text }) => ({ userId, title, format: 'text', content: text }));
      const { documents, failures } = await app.get(IngestionService).ingestMany(tenantId, uploads, {
        onProgress: (done, total) => process.stderr.write(`\reval: ${done} of ${total} passages ingested`),
      });
      process.stderr.write('\n');
      for (const { index, code } of failures)
        process.stderr.write(`eval: ${corpus[index]?.id} left out: ${code}\n`);
      return new Map(
        corpus.flatMap(({ id }, index) => {
          const documentId = documents[index];
          return documentId ? [[id, documentId] as const] : [];
        }),
      );
    },
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

function table(rows: readonly EvaluationRow[]): string {
  const metrics = [...new Set(rows.map(({ metric }) => metric))];
  const cell = (system: string, metric: string) =>
    rows.find((row) => row.system === system && row.metric === metric)?.value.toFixed(1) ?? '';
  const lines = metrics.map(
    (metric) =>
      `${metric.padEnd(28)}${cell('plain', metric).padStart(10)}${cell('graph', metric).padStart(10)}`,
  );
  return `${rows[0]?.data}\n${'metric'.padEnd(28)}${'plain'.padStart(10)}${'graph'.padStart(10)}\n${lines.join('\n')}\n`;
}
