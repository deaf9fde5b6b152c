import { readdirSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { INestApplicationContext } from '@nestjs/common';
import {
  CommunityService,
  type CorpusContext,
  type CorpusPassage,
  KnownNames,
  RetrievalService,
  runCorpusEval,
} from '@sparkle/graphrag';
import { EmbeddingModel } from '@sparkle/llm';
import { readOptions, UsageError } from '../cli/command.js';
import { EVALUATOR, ingestPassages, modelVariables, withEmbeddedProduct } from './embedded-product.js';
import type { Evaluation } from './evaluation.js';

const USAGE = 'npm run --silent eval -- corpus --data DIR [--every N] [--limit N] [--json]';
/** Tokens of context each system may use. */
const TOKEN_BUDGET = 2000;
/** More passages than fit the budget, so that the budget is what bounds plain and graph retrieval. */
const PASSAGES = 50;

/**
 * Questions about a whole collection: `*.txt` in `DIR/input`, where `NAME-partN.txt` are parts of one source, and
 * `*.csv` in `DIR` with a question in the first column. No gold answers: it measures how much of the collection a
 * context shows.
 */
export const corpusEvaluation: Evaluation = { usage: USAGE, run };

async function run(): Promise<void> {
  const { values } = readOptions(USAGE, {
    data: { type: 'string' },
    every: { type: 'string', default: '1' },
    limit: { type: 'string' },
    json: { type: 'boolean', default: false },
  });
  const every = Number(values.every);
  const limit = values.limit === undefined ? undefined : Number(values.limit);
  const wrong = [every, limit ?? 1].some((count) => !Number.isInteger(count) || count < 1);
  if (!values.data || wrong) throw new UsageError(`usage: ${USAGE}`);
  const folder = resolve(values.data);
  const passages = readParts(join(folder, 'input')).filter((_, index) => index % every === 0);
  const questions = readQuestionColumn(folder).slice(0, limit);
  if (passages.length === 0 || questions.length === 0)
    throw new UsageError(`${folder} needs input/*.txt and a *.csv with questions`);
  await withEmbeddedProduct(
    undefined,
    async (app) => {
      const rows = await evaluate(app, passages, questions);
      for (const row of rows)
        process.stdout.write(
          values.json
            ? `${JSON.stringify({ eval: 'corpus', data: basename(folder), n: questions.length, ...row })}\n`
            : `${Object.entries(row)
                .map(([name, value]) => `${name} ${typeof value === 'number' ? value.toFixed(2) : value}`)
                .join('  ')}\n`,
        );
    },
    modelVariables(process.env),
  );
}

async function evaluate(
  app: INestApplicationContext,
  passages: readonly CorpusPassage[],
  questions: readonly string[],
) {
  const { tenantId } = EVALUATOR;
  const documents = await ingestPassages(app, passages);
  const sources = new Map(
    passages.flatMap(({ id, title }) => {
      const documentId = documents.get(id);
      return documentId ? [[documentId, sourceOf(title)] as const] : [];
    }),
  );
  const communities = app.get(CommunityService);
  while ((await communities.refresh({ tenantId })).unfinished)
    process.stderr.write('eval: summaries go on\n');
  const retrieval = app.get(RetrievalService);
  const embeddings = app.get<EmbeddingModel>(EmbeddingModel);
  const retrieve =
    (strategy: 'plain' | 'graph') =>
    async (question: string): Promise<CorpusContext> => {
      const request = { tenantId, question, strategy, tokenBudget: TOKEN_BUDGET, k: PASSAGES };
      const { context, durationMs } = await retrieval.retrieve(request);
      const pieces = context.passages.map(({ id, text }) => {
        const source = context.sources.get(id);
        return { text, documentIds: source?.kind === 'chunk' ? [source.chunk.documentId] : [] };
      });
      return { pieces, tokens: context.tokens, durationMs };
    };
  return runCorpusEval({
    questions,
    names: await app.get(KnownNames, { strict: false }).of(tenantId),
    sourceOf: (documentId) => sources.get(documentId) ?? documentId,
    embed: (texts) => embeddings.embed({ tenantId, texts }),
    systems: {
      plain: retrieve('plain'),
      graph: retrieve('graph'),
      communities: async (question) => {
        const search = await communities.search({ tenantId, question, tokenBudget: TOKEN_BUDGET });
        const pieces = search.context.passages.map(({ id, text }) => ({
          text,
          documentIds: search.context.points
            .get(id)!
            .flatMap(({ chunkIds }) => chunkIds.map((chunkId) => search.chunks.get(chunkId)!.documentId)),
        }));
        return { pieces, tokens: search.context.tokens, durationMs: search.durationMs };
      },
    },
  });
}

function readParts(folder: string): CorpusPassage[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.txt'))
    .sort()
    .map((name) => ({
      id: name,
      title: name.replace(/\.txt$/, ''),
      text: readFileSync(join(folder, name), 'utf8'),
    }));
}

function sourceOf(title: string): string {
  return title.replace(/-part\d+$/, '');
}

/** The first column of the folder's CSV files, without their headings. */
function readQuestionColumn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.csv'))
    .sort()
    .flatMap((name) => {
      const rows = readFileSync(join(folder, name), 'utf8').split(/\r?\n/).slice(1);
      return rows.map(firstField).filter((question) => question !== '');
    });
}

/** A field in quotes may hold commas, and quotes doubled (RFC 4180). */
function firstField(row: string): string {
  const quoted = /^"((?:[^"]|"")*)"/.exec(row);
  return (quoted ? quoted[1]!.replaceAll('""', '"') : row.replace(/,[^,]*$/, '')).trim();
}
