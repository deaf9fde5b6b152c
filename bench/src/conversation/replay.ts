import { channels, SystemClock } from '@sparkle/contracts';
import { SeededRandom } from '@sparkle/contracts/testing';
import {
  ChatOrchestrator,
  ConversationService,
  MemoryService,
  NoRetriever,
  parseConversationOptions,
  type SummaryRequest,
  type SummaryRequests,
  SummaryService,
  type Turn,
} from '@sparkle/conversation';
import { LocalEmbeddingModel, LocalExtractiveChatModel } from '@sparkle/llm';
import type { BenchTarget } from '../database/own-database.js';
import { median, percentile } from '../interleaved.js';
import type { Report } from '../report.js';
import { longTalk } from './long-talk.js';

const BLOCK = 50;
/** Turns after which the whole talk is assembled, too. */
const AGAINST_FULL = [60, 200, 500, 1000];
const REPEATS = 7;
/** Where the time of a turn goes, by the state it is spent in. */
const TIMED_STATES = [
  ['received', 'admission'],
  ['admitted', 'memory'],
  ['model', 'model'],
  ['answered', 'storing'],
] as const;
/** Tokens that hold any talk. */
const UNBOUNDED = 100_000_000;

interface Measured {
  readonly ms: number;
  readonly turn: Turn;
  readonly historyTokens: number;
}

/** Keeps what was asked for until the worker's turn comes, each once, as the queue does. */
class Waiting implements SummaryRequests {
  private readonly waiting = new Map<string, SummaryRequest>();

  async request(request: SummaryRequest): Promise<void> {
    this.waiting.set(request.conversationId, request);
  }

  take(): readonly SummaryRequest[] {
    const taken = [...this.waiting.values()];
    this.waiting.clear();
    return taken;
  }
}

/**
 * A conversation of `turns` turns through the orchestrator: time and tokens of every turn, in blocks, and against a
 * model that is shown everything. Summaries are made between turns, as by a worker on another machine; with
 * `worker: false` nobody makes them.
 */
export async function replay(
  report: Report,
  { database, tenant }: BenchTarget,
  { turns, worker }: { readonly turns: number; readonly worker: boolean },
): Promise<void> {
  const tenantId = await tenant(worker ? 'bench' : 'bench-alone');
  const name = worker ? '' : ', no worker';
  const embeddings = new LocalEmbeddingModel({ threads: 1 });
  const model = new LocalExtractiveChatModel();
  const options = parseConversationOptions();
  const clock = new SystemClock();
  const conversations = new ConversationService(database, model, options);
  const memory = new MemoryService(database, model, options, clock, embeddings);
  const summaries = new SummaryService(database, model, options, clock, embeddings);
  const requests = new Waiting();
  const chat = new ChatOrchestrator(
    database,
    model,
    memory,
    options,
    clock,
    new NoRetriever(),
    undefined,
    requests,
  );
  const { id: conversationId } = await conversations.create({ tenantId, userId: 'learner' });

  let madeInTurns = 0;
  let inTurn = false;
  const stop = channels.conversation.subscribe(({ kind, strategy }) => {
    if (kind === 'summary' && strategy !== 'request' && inTurn) madeInTurns += 1;
  });
  const measured: Measured[] = [];
  let historyTokens = 0;
  const questions = longTalk(new SeededRandom(7));
  for (let index = 0; index < turns; index += 1) {
    const content = questions.next().value!;
    const started = performance.now();
    inTurn = true;
    const turn = await chat.reply({ tenantId, userId: 'learner', conversationId, content });
    inTurn = false;
    measured.push({ ms: performance.now() - started, turn, historyTokens });
    historyTokens += turn.question.tokens + turn.reply.tokens;
    const due = requests.take();
    if (worker) for (const request of due) await summaries.process(request);
    if ((index + 1) % BLOCK === 0) process.stderr.write(`\r${index + 1} turns${name}`);
  }
  process.stderr.write('\n');
  stop();

  for (let at = 0; at < measured.length; at += BLOCK) {
    const block = measured.slice(at, at + BLOCK);
    const label = `turns ${at + 1}-${at + block.length}${name}`;
    const times = block.map(({ ms }) => ms);
    report.add(`p50, ${label}`, median(times), 'ms');
    report.add(`p95, ${label}`, percentile(times, 0.95), 'ms');
    for (const [state, what] of TIMED_STATES) {
      const spent = block.map(({ turn }) => turn.trace.find(({ from }) => from === state)?.ms ?? 0);
      report.add(`p50 of ${what}, ${label}`, median(spent), 'ms');
    }
    report.add(`memory tokens, ${label}`, mean(block.map(({ turn }) => turn.memory.tokens)), 'tokens');
    report.add(`full history tokens, ${label}`, mean(block.map((one) => one.historyTokens)), 'tokens');
  }
  const around = (turn: number) => measured.slice(Math.max(0, turn - BLOCK), turn);
  const of = (block: readonly Measured[]) => median(block.map(({ ms }) => ms));
  report.add(`turn 60, median of 50${name}`, of(around(60)), 'ms');
  report.add(`turn ${turns}, median of 50${name}`, of(around(turns)), 'ms', {
    baseline: `turn 60, median of 50${name}`,
  });
  const tokensOf = (block: readonly Measured[]) => mean(block.map(({ turn }) => turn.memory.tokens));
  report.add(`tokens of memory, turn 60${name}`, tokensOf(around(60)), 'tokens');
  report.add(`tokens of memory, turn ${turns}${name}`, tokensOf(around(turns)), 'tokens', {
    baseline: `tokens of memory, turn 60${name}`,
  });
  report.add(`summaries made within a turn${name}`, madeInTurns, 'summaries');
  report.add(
    `longest stay in "admitted" (memory)${name}`,
    Math.max(...measured.map(({ turn }) => turn.trace.find(({ from }) => from === 'admitted')?.ms ?? 0)),
    'ms',
  );

  if (worker) {
    const everything = new MemoryService(
      database,
      model,
      parseConversationOptions({
        memory: { fullBelow: 1_000_000, summaryFrom: 1_000_000, recallAbove: 1_000_000 },
      }),
    );
    for (const turn of AGAINST_FULL.filter((one) => one <= turns)) {
      const question = 'What did I tell you about chapter 12 and entropy?';
      const request = { tenantId, conversationId, question, beforeSeq: 2 * turn + 1 };
      const times: { ours: number[]; full: number[] } = { ours: [], full: [] };
      let ours = 0;
      let full = 0;
      for (let round = 0; round < REPEATS; round += 1) {
        let started = performance.now();
        ours = (await memory.assemble({ ...request, tokenBudget: options.turn.memoryTokens })).tokens;
        times.ours.push(performance.now() - started);
        started = performance.now();
        full = (await everything.assemble({ ...request, tokenBudget: UNBOUNDED })).tokens;
        times.full.push(performance.now() - started);
      }
      report.add(`memory of turn ${turn}`, full, 'tokens', { system: 'full history' });
      report.add(`memory of turn ${turn}`, ours, 'tokens', {
        baseline: `memory of turn ${turn}@full history`,
      });
      report.add(`assembling turn ${turn}`, median(times.full), 'ms', { system: 'full history' });
      report.add(`assembling turn ${turn}`, median(times.ours), 'ms', {
        baseline: `assembling turn ${turn}@full history`,
      });
    }
  }
  await embeddings.close();
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
