import { basename, join, resolve } from 'node:path';
import type { INestApplicationContext } from '@nestjs/common';
import { SeededRandom } from '@sparkle/contracts';
import {
  AnswerService,
  type EvaluatedRetrieval,
  type EvaluatedSystem,
  type Extractor,
  type GivenContext,
  PreparedExtractor,
  RANKING_PARTS,
  type RankingPart,
  type Retrieval,
  type RetrievalEvaluation,
  type RetrievalOutcome,
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

const USAGE =
  'npm run --silent eval -- retrieval --data DIR [--openie] [--ablation] [--examples [--each N]] [--json]';
/** Tokens of context both systems may hand to a model. */
const TOKEN_BUDGET = 2000;
/** The same resamples in every run. */
const BOOTSTRAP_SEED = 1;

/** Plain against graph retrieval over `corpus.jsonl` and `questions.jsonl`. */
export const retrievalEvaluation: Evaluation = { usage: USAGE, run };

async function run(): Promise<void> {
  const { values } = readOptions(USAGE, {
    data: { type: 'string' },
    openie: { type: 'boolean', default: false },
    ablation: { type: 'boolean', default: false },
    examples: { type: 'boolean', default: false },
    each: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  });
  const each = Number(values.each);
  if (!values.data || !Number.isInteger(each) || each < 1) throw new UsageError(`usage: ${USAGE}`);
  const folder = resolve(values.data);
  const extractor = values.openie ? await openieExtractor(folder) : undefined;
  const data = `${basename(folder)}${values.openie ? '+openie' : ''}`;
  await withEmbeddedProduct(extractor, async (app) => {
    const evaluation = await evaluate(app, folder, data, values.ablation ? RANKING_PARTS : []);
    if (values.json) for (const row of evaluation.rows) process.stdout.write(`${JSON.stringify(row)}\n`);
    else {
      const systems = evaluation.rows.filter(({ system }) => system === 'plain' || system === 'graph');
      process.stdout.write(systemsTable(systems, evaluation.gain));
      if (values.ablation) process.stdout.write(ablationTable(evaluation));
    }
    if (values.examples) for await (const text of examples(app, evaluation, each)) process.stdout.write(text);
  });
}

async function evaluate(
  app: INestApplicationContext,
  folder: string,
  data: string,
  parts: readonly RankingPart[],
): Promise<RetrievalEvaluation> {
  const { tenantId } = EVALUATOR;
  const retrieval = app.get(RetrievalService);
  const retrieve =
    (strategy: EvaluatedSystem, without: readonly RankingPart[] = []): EvaluatedRetrieval =>
    (question, k) =>
      retrieval.retrieve({ tenantId, question, strategy, without, k, tokenBudget: TOKEN_BUDGET });
  return runRetrievalEval({
    data,
    corpus: await readCorpus(join(folder, 'corpus.jsonl')),
    questions: await readQuestions(join(folder, 'questions.jsonl')),
    ingest: (corpus) => ingestPassages(app, corpus),
    retrieve: { plain: retrieve('plain'), graph: retrieve('graph') },
    variants: Object.fromEntries(parts.map((part) => [`graph without ${part}`, retrieve('graph', [part])])),
    context: (_question, result) => contextOf(result as Retrieval),
    random: new SeededRandom(BOOTSTRAP_SEED),
  });
}

function contextOf({ context }: Retrieval): GivenContext {
  const documentIds = new Set<string>();
  for (const { id, text } of context.passages) {
    const source = context.sources.get(id);
    if (source?.kind === 'chunk' && source.chunk.text === text) documentIds.add(source.chunk.documentId);
  }
  return { tokens: context.tokens, documentIds };
}

/** What is lost when a part is left out, in points of the figures of all questions. */
function ablationTable({ rows }: RetrievalEvaluation): string {
  const metrics = ['recall@2', 'recall@5', 'recall@10', 'gold_in_budget'];
  const value = (system: string, metric: string) =>
    rows.find((row) => row.system === system && row.metric === metric)?.value ?? 0;
  const line = (name: string, cells: readonly string[]) =>
    `${name.padEnd(32)}${cells.map((cell) => cell.padStart(16)).join('')}\n`;
  const systems = [...new Set(rows.map(({ system }) => system))].filter((system) => /^graph /.test(system));
  return [
    `\n${line('without', metrics)}`,
    ...systems.map((system) =>
      line(
        system.replace('graph without ', ''),
        metrics.map((metric) => (value(system, metric) - value('graph', metric)).toFixed(1)),
      ),
    ),
  ].join('');
}

/** Questions where one system misses gold passages among its first five documents, with what was given and answered. */
async function* examples(
  app: INestApplicationContext,
  { outcomes }: RetrievalEvaluation,
  each: number,
): AsyncGenerator<string> {
  const complete = ({ scores }: RetrievalOutcome) => scores['recall@5'] === 100;
  const plain = outcomes.plain!;
  const graph = outcomes.graph!;
  const chosen = [
    ['plain fails, graph does not', graph.filter((of, at) => complete(of) && !complete(plain[at]!))],
    ['graph fails', graph.filter((of) => !complete(of))],
  ] as const;
  for (const [title, found] of chosen) {
    yield `\n# ${title}: ${found.length}, of which ${Math.min(each, found.length)}\n`;
    for (const { question, result } of found.slice(0, each)) {
      const ranks = (of: readonly RetrievalOutcome[]) =>
        of
          .find((one) => one.question === question)!
          .goldRanks.map((rank) => rank || '–')
          .join(', ');
      const { tenantId } = EVALUATOR;
      const { answer } = await app.get(AnswerService).answer({ tenantId, question: question.question });
      const context = (result as Retrieval).context.passages.slice(0, 8);
      yield [
        `\n## ${question.question}`,
        `expected: ${question.answer} (${question.type})`,
        `gold at: plain ${ranks(plain)}; graph ${ranks(graph)}; route: ${result.route}`,
        ...context.map(({ id, title, text }) => `[${id}] ${[title, text].filter(Boolean).join(': ')}`),
        `answer: ${answer}\n`,
      ].join('\n');
    }
  }
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
