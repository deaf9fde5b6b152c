import { createHash } from 'node:crypto';
import { type Clock, channels, type TenantId } from '@sparkle/contracts';
import { type ContextPassage, renderPassages, type ToolCall, type ToolDefinition } from '@sparkle/llm';
import { z } from 'zod';
import type { ConversationOptions } from '../conversation.options.js';
import { ConversationOptionsInvalidError } from '../errors.js';
import { MESSAGE_OVERHEAD } from '../memory/budget.js';
import type { ToolCallRecord, ToolOutcome } from '../model.js';
import type { Citation } from '../ports/retriever.port.js';
import type { Tool, ToolContext, ToolOutput, ToolPassage } from '../ports/tool.port.js';
import { clip, clipToTokens, storable } from '../text.js';

/** A passage of a tool with what a citation of it shows. */
export interface FoundByTool {
  readonly passage: ContextPassage;
  readonly citation: Citation;
}

/** One call as it went. */
export interface ToolCallOutcome {
  readonly record: ToolCallRecord;
  /** What the model is told. */
  readonly text: string;
  readonly found: readonly FoundByTool[];
  readonly paths: readonly object[];
}

/** What the calls of one turn share. */
export interface ToolTurn {
  readonly tenantId: TenantId;
  readonly userId: string;
  readonly language: ToolContext['language'];
  /** Told of each call as it begins and as it ends. */
  readonly onCall: (call: {
    readonly id: string;
    readonly name: string;
    readonly by: 'model' | 'rule';
  }) => void;
  readonly onResult: (record: ToolCallRecord) => void;
}

type ToolOptions = ConversationOptions['turn']['tools'];

interface Reply {
  readonly outcome: ToolOutcome;
  readonly note?: string;
  readonly output?: ToolOutput;
  /** The arguments as far as they were checked. */
  readonly args?: unknown;
}

const NAME = /^[a-z][a-z0-9_]{0,63}$/;
const MAX_ARGUMENTS_CHARS = 300;
const MAX_NOTE_CHARS = 600;
const MAX_SOURCE_CHARS = 2_000;
const MAX_PATHS = 10;
const QUOTE_CHARS = 200;
/** Less than this holds nothing worth reading. */
const MIN_RESULT_TOKENS = 40;

/**
 * Runs the tools of turns: checks arguments, bounds time, results and calls at once, and makes what was found
 * citable. Whatever goes wrong in a tool becomes something the model is told; it never ends the turn.
 */
export class ToolRunner {
  readonly definitions: readonly ToolDefinition[];
  private readonly byName: ReadonlyMap<string, Tool>;

  /** @throws ConversationOptionsInvalidError naming tools whose names are unusable or used twice. */
  constructor(
    private readonly tools: readonly Tool[],
    private readonly options: ToolOptions,
    private readonly clock: Clock,
    private readonly countTokens: (text: string) => number,
  ) {
    const wrong = tools.flatMap(({ name }, index) =>
      !NAME.test(name) || tools.findIndex((tool) => tool.name === name) !== index
        ? [`tools.${index}: "${clip(name, 64)}" is no name, or that of another tool`]
        : [],
    );
    if (wrong.length > 0) throw new ConversationOptionsInvalidError(wrong);
    this.byName = new Map(tools.map((tool) => [tool.name, tool]));
    this.definitions = tools.map(({ name, description, schema }) => {
      const { $schema: _dialect, ...parameters } = z.toJSONSchema(schema, {
        io: 'input',
        unrepresentable: 'any',
      });
      return { name, description, parameters };
    });
  }

  /** The call that a question plainly asks for, by the tools' own rules. */
  ruled(question: string, about: readonly string[]): ToolCall | undefined {
    for (const tool of this.tools) {
      const args = tool.suits?.(question, about);
      if (args !== undefined) return { id: '', name: tool.name, arguments: args };
    }
    return undefined;
  }

  /** Starts the calls of one turn. */
  turn(turn: ToolTurn): ToolRounds {
    return new ToolRounds(this, turn, this.options, this.clock, this.countTokens);
  }

  /** @internal Runs one call; never rejects but with the turn's own end. */
  async call(call: ToolCall, { tenantId, userId, language }: ToolTurn, signal: AbortSignal): Promise<Reply> {
    const tool = this.byName.get(call.name);
    if (!tool) {
      const names = [...this.byName.keys()].join(', ');
      return {
        outcome: 'unknown_tool',
        note: `Error: there is no tool of this name. The tools are: ${names}.`,
      };
    }
    if (call.argumentsError !== undefined)
      return {
        outcome: 'arguments_invalid',
        note: `Error: the arguments could not be read: ${call.argumentsError}. Write them as one JSON object.`,
      };
    const parsed = tool.schema.safeParse(call.arguments);
    if (!parsed.success) {
      const issues = parsed.error.issues.map(
        ({ path, message }) => `${path.join('.') || '(root)'}: ${message}`,
      );
      return {
        outcome: 'arguments_invalid',
        note: `Error: the arguments are not valid. ${issues.join('; ')}. Correct them, or answer without the tool.`,
      };
    }
    const args = parsed.data;
    const timeoutMs = tool.timeoutMs ?? this.options.timeoutMs;
    const timeUp = new AbortController();
    const timer = this.clock.schedule(timeoutMs, () => timeUp.abort());
    const both = AbortSignal.any([signal, timeUp.signal]);
    try {
      const given = await new Promise<ToolOutput>((resolve, reject) => {
        both.addEventListener('abort', () => reject(both.reason), { once: true });
        both.throwIfAborted();
        Promise.resolve(tool.run(args, { tenantId, userId, language, signal: both })).then(resolve, reject);
      });
      const output = storable(given);
      return { outcome: output.passages.length > 0 ? 'success' : 'empty', output, args };
    } catch {
      signal.throwIfAborted();
      return timeUp.signal.aborted
        ? { outcome: 'timeout', note: 'Error: the tool did not answer in time.', args }
        : { outcome: 'failed', note: 'Error: the tool failed.', args };
    } finally {
      timer.cancel();
    }
  }

  /** @internal */
  resultTokensOf(name: string): number {
    return this.byName.get(name)?.maxTokens ?? this.options.resultTokens;
  }
}

/** The tool calls of one turn: their numbers, their records, and what is left of the tokens for results. */
export class ToolRounds {
  private readonly all: ToolCallOutcome[] = [];
  private rounds = 0;
  private calls = 0;
  private passages = 0;
  private tokensLeft: number;

  constructor(
    private readonly runner: ToolRunner,
    private readonly turn: ToolTurn,
    private readonly options: ToolOptions,
    private readonly clock: Clock,
    private readonly countTokens: (text: string) => number,
  ) {
    this.tokensLeft = options.allResultsTokens;
  }

  get records(): readonly ToolCallRecord[] {
    return this.all.map(({ record }) => record);
  }

  get found(): readonly FoundByTool[] {
    return this.all.flatMap(({ found }) => found);
  }

  get paths(): readonly object[] {
    return this.all.flatMap(({ paths }) => paths).slice(0, MAX_PATHS);
  }

  /** Whether a result of any use would still fit. */
  get hasRoom(): boolean {
    return this.tokensLeft >= MIN_RESULT_TOKENS;
  }

  /**
   * Runs the calls of one round, some at once, and gives what came of them in the order of the calls. Rejects with
   * the signal's reason only.
   */
  async run(
    calls: readonly ToolCall[],
    by: 'model' | 'rule',
    signal: AbortSignal,
  ): Promise<readonly ToolCallOutcome[]> {
    this.rounds += 1;
    const round = this.rounds;
    const began = calls.map((call) => {
      this.calls += 1;
      return { call, id: `call_${this.calls}`, name: clip(storable(call.name), 64) };
    });
    const replies: { reply: Reply; ms: number }[] = [];
    let next = 0;
    const worker = async () => {
      for (let at = next++; at < began.length; at = next++) {
        const { call, id, name } = began[at]!;
        this.turn.onCall({ id, name, by });
        const startedAt = this.clock.monotonic();
        const reply = await this.reply(call, at, signal);
        replies[at] = { reply, ms: Math.round((this.clock.monotonic() - startedAt) * 100) / 100 };
      }
    };
    await Promise.all(Array.from({ length: this.options.concurrency }, worker));
    // In the order of the calls, so that ids and clipping do not depend on which tool was the fastest.
    return began.map(({ call, id, name }, at) => {
      const { reply, ms } = replies[at]!;
      const told = this.tell(call.name, reply);
      const tokens = this.countTokens(told.text);
      this.tokensLeft -= tokens;
      const { outcome } = reply;
      const args = digestOf(reply.args ?? call.arguments);
      const record = { id, name, round, by, arguments: args, outcome, ms, tokens };
      this.turn.onResult(record);
      channels.tool.publish({
        tenantId: this.turn.tenantId,
        // What a model made up must not become a label.
        tool: outcome === 'unknown_tool' ? 'unknown' : name,
        by,
        outcome,
        durationMs: ms,
        tokens,
      });
      const done = { ...told, record };
      this.all.push(done);
      return done;
    });
  }

  private async reply(call: ToolCall, at: number, signal: AbortSignal): Promise<Reply> {
    const { callsPerRound } = this.options;
    if (at >= callsPerRound)
      return { outcome: 'refused', note: `Error: at most ${callsPerRound} tool calls at once are allowed.` };
    if (!this.hasRoom)
      return { outcome: 'refused', note: 'Error: there is no room for further results. Answer now.' };
    return this.runner.call(call, this.turn, signal);
  }

  /** Clips a result to its bound and to what is left, and numbers its passages. */
  private tell(tool: string, { output, note }: Reply): Omit<ToolCallOutcome, 'record'> {
    const said = note ?? output?.note;
    const found: FoundByTool[] = [];
    let left = Math.min(this.tokensLeft, this.runner.resultTokensOf(tool));
    let cut = false;
    for (const drafted of output?.passages ?? []) {
      const { passage, citation } = this.numbered(tool, drafted);
      const cost = this.cost(passage);
      const text =
        cost <= left
          ? passage.text
          : clipToTokens(passage.text, left - this.cost({ ...passage, text: '' }), this.countTokens);
      if (text === '' || (cost > left && found.length > 0)) {
        cut = true;
        break;
      }
      cut ||= cost > left;
      this.passages += 1;
      left -= Math.min(cost, left);
      found.push({ passage: { ...passage, text }, citation });
    }
    const lines = [
      ...(said ? [clip(said, MAX_NOTE_CHARS)] : []),
      ...(found.length > 0 ? [renderPassages(found.map(({ passage }) => passage))] : []),
      ...(cut ? ['(More was found and left out.)'] : []),
    ];
    return {
      text: lines.join('\n') || 'Nothing was found.',
      found,
      paths: (output?.paths ?? []).slice(0, MAX_PATHS),
    };
  }

  private numbered(tool: string, { text, title, kind = 'chunk', source = {} }: ToolPassage): FoundByTool {
    const id = `T${this.passages + 1}`;
    return {
      passage: { id, kind, text, ...(title && { title: clip(title, QUOTE_CHARS) }) },
      citation: {
        ...(JSON.stringify(source).length <= MAX_SOURCE_CHARS && source),
        id,
        kind: 'tool',
        tool,
        quote: clip(text, QUOTE_CHARS),
      },
    };
  }

  private cost(passage: ContextPassage): number {
    return this.countTokens(renderPassages([passage])) + MESSAGE_OVERHEAD;
  }
}

function digestOf(args: unknown): string {
  const json = storable(JSON.stringify(args) ?? 'null');
  if (json.length <= MAX_ARGUMENTS_CHARS) return json;
  return `sha256:${createHash('sha256').update(json).digest('hex')}`;
}
