import { basename } from 'node:path';
import type { INestApplicationContext } from '@nestjs/common';
import { type Random, SeededRandom } from '@sparkle/contracts';
import { CONVERSATION_OPTIONS, type ConversationOptions } from '@sparkle/conversation';
import { bootstrapDifference, mean, percentile, recallAt } from '@sparkle/graphrag';
import { UsageError } from '../../cli/command.js';
import { readDataOptions } from '../data-options.js';
import { withEmbeddedProduct } from '../embedded-product.js';
import type { Evaluation } from '../evaluation.js';
import { type LoadedTalk, loadTalk } from './load-talk.js';
import { type MemorySystem, memorySystems } from './memory-systems.js';
import { isLiHuaWorld, readLiHuaWorld } from './read-lihuaworld.js';
import { isMemoryBank, languagesOf, readMemoryBank } from './read-memorybank.js';
import type { TalkData } from './talk.js';

const USAGE = 'npm run --silent eval -- memory --data DIR [--limit N] [--json]';
const CUTS = [1, 5, 10] as const;
const TURNS = [20, 50, 200, 1000] as const;
/** Questions whose tokens are counted at each length. */
const TOKEN_QUESTIONS = 20;
/** The same resamples in every run. */
const SEED = 1;
/** Systems that recall is measured of; of the whole history there is nothing to rank. */
const RECALLING = ['window', 'summary-window', 'recall', 'combined', 'combined-50'] as const;

interface Row {
  readonly data: string;
  readonly system: string;
  readonly metric: string;
  readonly value: number;
  readonly n: number;
  /** Ends of the 95 % interval. */
  readonly low?: number;
  readonly high?: number;
}

/** What is found of a long talk by each strategy of memory, and what it costs. */
export const memoryEvaluation: Evaluation = { usage: USAGE, run };

async function run(): Promise<void> {
  const { folder, limit, json } = readDataOptions(USAGE);
  for (const { name, data } of readTalks(folder)) {
    for (const note of data.notes) process.stderr.write(`eval: ${name}: ${note}\n`);
    await withEmbeddedProduct(undefined, async (app) => {
      const rows = await evaluate(app, name, data, limit);
      process.stdout.write(json ? lines(rows) : table(rows));
    });
  }
}

function readTalks(folder: string): readonly { readonly name: string; readonly data: TalkData }[] {
  const name = basename(folder);
  if (isLiHuaWorld(folder)) return [{ name, data: readLiHuaWorld(folder) }];
  if (isMemoryBank(folder))
    return languagesOf(folder).map((language) => ({
      name: `${name}-${language}`,
      data: readMemoryBank(folder, language),
    }));
  throw new UsageError(
    `${folder} holds neither query_set.json with chats nor a memory bank\nusage: ${USAGE}`,
  );
}

async function evaluate(
  app: INestApplicationContext,
  data: string,
  { talks }: TalkData,
  limit: number | undefined,
): Promise<readonly Row[]> {
  // Where every talk is recalled from anyway, recalling earlier changes nothing.
  const { recallAbove } = app.get<ConversationOptions>(CONVERSATION_OPTIONS).memory;
  const short = talks.some(({ messages }) => messages.length <= recallAbove);
  const systems = Object.fromEntries(
    Object.entries(memorySystems(app)).filter(([system]) => short || system !== 'combined-50'),
  );
  const loaded: LoadedTalk[] = [];
  for (const talk of talks) loaded.push(await loadTalk(app, talk));
  const random = new SeededRandom(SEED);
  return [
    ...(await recallRows(data, loaded, systems, limit ?? Number.POSITIVE_INFINITY, random)),
    ...(await tokenRows(data, loaded, systems)),
  ];
}

async function recallRows(
  data: string,
  talks: readonly LoadedTalk[],
  systems: Readonly<Record<string, MemorySystem>>,
  limit: number,
  random: Random,
): Promise<readonly Row[]> {
  const asked = talks
    .flatMap((talk) => talk.questions.map((question) => ({ talk, ...question })))
    .slice(0, limit);
  const types = [...new Set(asked.map(({ type }) => type))].sort();
  const rows: Row[] = [];
  for (const system of RECALLING.filter((name) => name in systems)) {
    const scores = new Map<string, number[]>();
    const add = (metric: string, value: number) => scores.set(metric, [...(scores.get(metric) ?? []), value]);
    const addOfType = (metric: string, type: string, value: number) => {
      add(metric, value);
      if (types.length > 1) add(`${metric}:${type}`, value);
    };
    const took: number[] = [];
    for (const [at, { talk, question, evidence, type }] of asked.entries()) {
      const started = performance.now();
      const { units, tokens } = await systems[system]!(talk, question, talk.messages.length + 1);
      took.push(performance.now() - started);
      for (const k of CUTS) addOfType(`recall@${k}`, type, 100 * recallAt(units, evidence, k));
      if (system !== 'recall') addOfType('in_context', type, 100 * recallAt(units, evidence, units.length));
      add('tokens', tokens);
      if (at % 50 === 49) process.stderr.write(`\reval: ${system}: ${at + 1} of ${asked.length} questions`);
    }
    process.stderr.write(`\reval: ${system}: ${asked.length} of ${asked.length} questions\n`);
    for (const [metric, values] of scores) {
      const { low, high } = bootstrapDifference(
        values,
        values.map(() => 0),
        random,
      );
      rows.push({ data, system, metric, value: mean(values), n: values.length, low, high });
    }
    for (const [metric, share] of [
      ['p50_ms', 0.5],
      ['p95_ms', 0.95],
    ] as const)
      rows.push({ data, system, metric, value: percentile(took, share), n: took.length });
  }
  return rows;
}

/** Mean tokens of memory for a question after so many turns of two messages; talks that are shorter are left out. */
async function tokenRows(
  data: string,
  talks: readonly LoadedTalk[],
  systems: Readonly<Record<string, MemorySystem>>,
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const turns of TURNS) {
    const long = talks.filter(({ messages }) => messages.length >= 2 * turns);
    const asked = long
      .flatMap((talk) =>
        talk.questions.slice(0, Math.ceil(TOKEN_QUESTIONS / long.length)).map((q) => ({ talk, ...q })),
      )
      .slice(0, TOKEN_QUESTIONS);
    if (asked.length === 0) continue;
    const means: Record<string, number> = {};
    for (const [system, remember] of Object.entries(systems)) {
      const tokens: number[] = [];
      for (const { talk, question } of asked)
        tokens.push((await remember(talk, question, 2 * turns + 1)).tokens);
      means[system] = mean(tokens);
    }
    for (const [system, value] of Object.entries(means)) {
      rows.push({ data, system, metric: `tokens@${turns} turns`, value, n: asked.length });
      if (system !== 'full')
        rows.push({
          data,
          system,
          metric: `tokens@${turns} turns, percent of full`,
          value: (100 * value) / means.full!,
          n: asked.length,
        });
    }
  }
  return rows;
}

function lines(rows: readonly Row[]): string {
  return rows.map((row) => `${JSON.stringify({ eval: 'memory', ...row })}\n`).join('');
}

const WIDTH = 22;

function table(rows: readonly Row[]): string {
  const systems = [...new Set(rows.map(({ system }) => system))];
  const metrics = [...new Set(rows.map(({ metric }) => metric))];
  const cell = (system: string, metric: string) => {
    const row = rows.find((one) => one.system === system && one.metric === metric);
    if (!row) return ''.padStart(WIDTH);
    const interval = row.low === undefined ? '' : ` (${row.low.toFixed(1)}–${row.high!.toFixed(1)})`;
    return `${row.value.toFixed(1)}${interval}`.padStart(WIDTH);
  };
  return [
    rows[0]?.data,
    `${'metric, 95 % interval'.padEnd(34)}${systems.map((system) => system.padStart(WIDTH)).join('')}`,
    ...metrics.map((metric) => metric.padEnd(34) + systems.map((system) => cell(system, metric)).join('')),
    '',
  ].join('\n');
}
