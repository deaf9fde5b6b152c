import { randomUUID } from 'node:crypto';
import { Inject, Injectable, Optional } from '@nestjs/common';
import { Clock, channels, isSparkleError, SystemClock, TenantDatabase } from '@sparkle/contracts';
import {
  answerPrompt,
  type ChatMessage,
  ChatModel,
  type ChatRequest,
  type ChatResult,
  type ContextPassage,
  checkCitations,
  isLlmError,
  isUnsupportedAnswer,
  type TokenUsage,
  type ToolCall,
} from '@sparkle/llm';
import { CONVERSATION_OPTIONS, type ConversationOptions } from '../conversation.options.js';
import { checkContent, checkIdempotencyKey, withoutClaim } from '../conversation.service.js';
import {
  AnswerEmptyError,
  ConversationNotFoundError,
  TurnCancelledError,
  TurnLostError,
  TurnTimeoutError,
} from '../errors.js';
import {
  type MemoryContext,
  MemoryService,
  memoryMetadata,
  memoryPassages,
} from '../memory/memory.service.js';
import { halfWindow, needsSummary } from '../memory/strategy.js';
import type { AnswerMetadata, Message, ModelCallRecord, Turn } from '../model.js';
import { Admission, type AdmissionTicket } from '../ports/admission.port.js';
import { type Citation, NoRetriever, Retriever } from '../ports/retriever.port.js';
import { SummaryRequests } from '../ports/summary-requests.port.js';
import { Tools } from '../ports/tool.port.js';
import { clip, supportingSentence, wellFormed } from '../text.js';
import { readAnswerMetadata } from './answer-metadata.js';
import { standaloneQuestion } from './follow-up.js';
import { HandOff } from './hand-off.js';
import {
  chatHistory,
  fittingPassages,
  passageTokens,
  previousTurn,
  promptTokens,
  shorten,
} from './prepare-prompt.js';
import { withinStage } from './stage-time.js';
import {
  type ActiveTurnState,
  isFinal,
  type TurnCause,
  TurnMachine,
  type TurnOutcome,
} from './state-machine.js';
import { toolRules } from './tool-rules.v1.js';
import { type ToolRounds, ToolRunner } from './tool-runner.js';
import type { Prepared, TurnEvent, TurnRequest } from './turn.js';
import { type AnsweredTurn, type Claim, TurnLog } from './turn-log.js';

/** Tool calls of one round that are answered at all; a model that makes more is not shown the rest. */
const MAX_ANSWERED_CALLS = 16;

/** An answer before it is stored. */
interface DraftedAnswer {
  readonly text: string;
  /** Ids of what it cites and was given. */
  readonly cited: readonly string[];
  readonly model: string;
  readonly finishReason: string;
  readonly fallback: boolean;
}

/** What the stages of one turn share. */
interface Run {
  readonly request: TurnRequest & { readonly key: string };
  readonly machine: TurnMachine;
  readonly startedAt: number;
  /** Aborts when the caller leaves or the claim is lost. */
  readonly stop: AbortController;
  readonly emit: (event: TurnEvent) => void;
  readonly streams: boolean;
  readonly tools: ToolRounds;
  /** Calls for the next visit of `tool`, and who made them. */
  calls: readonly ToolCall[];
  calledBy: 'model' | 'rule';
  /** Earlier rounds of tools as the model is shown them. */
  readonly exchange: ChatMessage[];
  readonly modelCalls: ModelCallRecord[];
  /** What all model calls cost together, those included that were given up. */
  usage?: TokenUsage;
  ticket?: AdmissionTicket | undefined;
  claim?: Claim;
  prepared?: Prepared;
  shortened: boolean;
  /** Text the caller has seen. */
  written: string;
  answer?: DraftedAnswer;
  turn?: Turn;
  over: boolean;
}

type Stages = {
  readonly [State in ActiveTurnState]: (run: Run, signal: AbortSignal) => Promise<TurnOutcome<State>>;
};

/**
 * Answers messages. Each turn walks through the states of {@link TURN_MACHINE}: what a state's stage comes to decides
 * which one follows.
 *
 * The user message is stored before any model is called. Whatever happens after that, a retry with the same
 * key finds it: it gets the stored answer, or is refused while the first request is at work, or makes the
 * answer that a crash, a failure or a cancellation left out.
 */
@Injectable()
export class ChatOrchestrator {
  private readonly log: TurnLog;
  private readonly tools: ToolRunner;
  private readonly stages: Stages = {
    received: (run, signal) => this.receive(run, signal),
    admitted: (run, signal) => this.remember(run, signal),
    recalled: (run, signal) => this.retrieve(run, signal),
    retrieved: (run) => this.decide(run),
    tool: (run, signal) => this.useTools(run, signal),
    model: (run, signal) => this.callModel(run, signal),
    answered: (run) => this.store(run),
  };
  private readonly countTokens = (text: string) => this.model.countTokens(text);

  constructor(
    @Inject(TenantDatabase) database: TenantDatabase,
    @Inject(ChatModel) private readonly model: ChatModel,
    @Inject(MemoryService) private readonly memory: MemoryService,
    @Inject(CONVERSATION_OPTIONS) private readonly options: ConversationOptions,
    @Optional() @Inject(Clock) private readonly clock: Clock = new SystemClock(),
    @Optional() @Inject(Retriever) private readonly retriever: Retriever = new NoRetriever(),
    @Optional() @Inject(Admission) private readonly admission?: Admission,
    @Optional() @Inject(SummaryRequests) private readonly summaryRequests?: SummaryRequests,
    @Optional() @Inject(Tools) tools: Tools = [],
  ) {
    this.log = new TurnLog(database, options.turn.leaseMs);
    this.tools = new ToolRunner(tools, options.turn.tools, this.clock, this.countTokens);
  }

  /**
   * Answers one message.
   *
   * @throws ConversationNotFoundError, MessageEmptyError, MessageTooLongError, MessageInvalidError,
   *   IdempotencyKeyInvalidError, IdempotencyKeyReusedError before anything is stored
   * @throws MessageInProgressError while another request answers the same key
   * @throws TurnTimeoutError, TurnCancelledError, TurnLostError, AnswerEmptyError, or what admission,
   *   retrieval or the model threw; all but admission's leave the message stored for a retry
   * @throws ConversationNotFoundError also when the conversation was deleted meanwhile
   */
  async reply(request: TurnRequest): Promise<Turn> {
    return this.run(this.begin(request, false, () => undefined));
  }

  /**
   * The same, as it happens. Leaving the loop cancels the turn. A turn does not wait for its reader: text that
   * piled up arrives as one delta. Throws what {@link reply} throws.
   */
  replyStream(request: TurnRequest): AsyncIterableIterator<TurnEvent> {
    const queue = new HandOff<TurnEvent>((earlier, later) =>
      earlier.type === 'delta' && later.type === 'delta'
        ? { type: 'delta', text: earlier.text + later.text }
        : undefined,
    );
    let run: Run | undefined;
    let done: Promise<void> | undefined;
    const start = () => {
      done ??= (async () => {
        try {
          run = this.begin(request, true, (event) => queue.push(event));
          queue.push({ type: 'turn', turn: await this.run(run) });
          queue.end();
        } catch (error) {
          queue.end({ error });
        }
      })();
      return done;
    };
    return {
      [Symbol.asyncIterator]() {
        return this;
      },
      next: () => {
        void start();
        return queue.next();
      },
      return: async () => {
        queue.close();
        done ??= Promise.resolve();
        run?.stop.abort(new TurnCancelledError());
        await done;
        return { done: true, value: undefined };
      },
    };
  }

  private begin(request: TurnRequest, streams: boolean, emit: (event: TurnEvent) => void): Run {
    const content = checkContent(request.content, this.options.maxMessageChars);
    const key =
      request.idempotencyKey === undefined ? randomUUID() : checkIdempotencyKey(request.idempotencyKey);
    const { tenantId, userId } = request;
    return {
      request: { ...request, content, key },
      machine: new TurnMachine(this.clock, { tools_called: this.options.turn.tools.rounds }),
      startedAt: this.clock.monotonic(),
      stop: new AbortController(),
      emit,
      streams,
      tools: this.tools.turn({
        tenantId,
        userId,
        language: /\p{Script=Han}/u.test(content) ? 'zh' : 'en',
        onCall: (call) => emit({ type: 'tool_call', ...call }),
        onResult: ({ id, name, outcome, ms, tokens }) =>
          emit({ type: 'tool_result', id, name, outcome, ms, tokens }),
      }),
      calls: [],
      calledBy: 'model',
      exchange: [],
      modelCalls: [],
      shortened: false,
      written: '',
      over: false,
    };
  }

  /** Runs the machine until it stands still. */
  private async run(run: Run): Promise<Turn> {
    const leave = () => run.stop.abort(new TurnCancelledError({ cause: run.request.signal?.reason }));
    if (run.request.signal?.aborted) leave();
    run.request.signal?.addEventListener('abort', leave, { once: true });
    let heartbeat: { stop(): void } | undefined;
    try {
      for (let { state } = run.machine; !isFinal(state); { state } = run.machine) {
        this.advance(run, await this.work(run, state));
        if (run.claim) heartbeat ??= this.beat(run);
      }
      return run.turn!;
    } catch (error) {
      throw await this.fail(run, error);
    } finally {
      run.over = true;
      heartbeat?.stop();
      run.request.signal?.removeEventListener('abort', leave);
      await this.settle(run.ticket, run.usage);
    }
  }

  /** What a state's work comes to, within its time. A complete answer is stored even when its caller has left. */
  private work(run: Run, state: ActiveTurnState): Promise<TurnOutcome> {
    const { budgetsMs, totalMs } = this.options.turn;
    const bounds = { state, budgetMs: budgetsMs[state] };
    const stoppable = { turn: { deadline: run.startedAt + totalMs, totalMs }, stop: run.stop.signal };
    return withinStage(this.clock, state === 'answered' ? bounds : { ...bounds, ...stoppable }, (signal) =>
      this.stages[state](run, signal),
    );
  }

  private async receive(run: Run, signal: AbortSignal): Promise<TurnOutcome<'received'>> {
    const { request } = run;
    const { tenantId, userId, conversationId } = request;
    const tokens = this.countTokens(request.content);
    const onRecord = await this.log.find(request);
    if (onRecord) return this.replay(run, onRecord);
    signal.throwIfAborted();
    const ticket = await this.admission?.admit({
      tenantId,
      userId,
      conversationId,
      estimatedTokens: this.estimate(tokens),
      signal,
    });
    if (run.over) await this.settle(ticket);
    else run.ticket = ticket;
    signal.throwIfAborted();
    const opened = await this.log.open(request, tokens);
    if (!('id' in opened)) return this.replay(run, opened);
    if (signal.aborted) {
      // The turn was given up while the claim was made: it must not hold up a retry.
      const state = run.machine.state === 'cancelled' ? 'cancelled' : 'failed';
      await this.release(run, opened, { state, trace: run.machine.trace });
      throw signal.reason;
    }
    run.claim = opened;
    return 'message_stored';
  }

  /** Upper estimate of a turn's tokens: one model call, or all that tools allow. */
  private estimate(questionTokens: number): number {
    const { contextTokens, maxOutputTokens, tools } = this.options.turn;
    const once = contextTokens + questionTokens + maxOutputTokens;
    return this.offersTools ? Math.max(once, tools.turnTokens) : once;
  }

  private replay(run: Run, { question, reply }: AnsweredTurn): 'answer_on_record' {
    const { conversationId } = run.request;
    run.turn = toTurn(conversationId, question, reply, readAnswerMetadata(reply.metadata), true);
    return 'answer_on_record';
  }

  private async remember(run: Run, signal: AbortSignal): Promise<TurnOutcome<'admitted'>> {
    const { tenantId, conversationId, content } = run.request;
    const memory = await this.memory.assemble({
      tenantId,
      conversationId,
      question: content,
      tokenBudget: this.options.turn.memoryTokens,
      beforeSeq: run.claim!.question.seq,
      signal,
    });
    const { cited, shown } = memoryPassages(memory);
    run.prepared = {
      memory,
      standalone: standaloneQuestion(content, previousTurn(memory)),
      history: chatHistory(memory.messages),
      remembered: [...cited, ...shown],
      retrieved: await new NoRetriever().retrieve(),
      found: [],
    };
    return 'memory_assembled';
  }

  private async retrieve(run: Run, signal: AbortSignal): Promise<TurnOutcome<'recalled'>> {
    const prepared = run.prepared!;
    const { memory, standalone, history } = prepared;
    const { shown } = memoryPassages(memory);
    // What the user stated recently stands in the history, too; it is paid for twice.
    const budget = this.options.turn.contextTokens - memory.tokens - passageTokens(shown, this.countTokens);
    const retrieved = await this.retriever.retrieve({
      tenantId: run.request.tenantId,
      question: standalone.query,
      history,
      tokenBudget: Math.max(0, budget),
      signal,
    });
    const found = fittingPassages(retrieved.passages, budget, this.countTokens);
    run.prepared = { ...prepared, retrieved, found };
    return 'passages_retrieved';
  }

  /** A model that cannot call tools gets help from rules: a question that is plainly a tool's goes to it. */
  private async decide(run: Run): Promise<TurnOutcome<'retrieved'>> {
    if (!this.model.local || this.options.turn.tools.rounds === 0) return 'prompt_ready';
    const call = this.tools.ruled(run.request.content, run.prepared!.standalone.appended);
    if (!call) return 'prompt_ready';
    run.calls = [call];
    run.calledBy = 'rule';
    return 'rule_names_tool';
  }

  private async useTools(run: Run, signal: AbortSignal): Promise<TurnOutcome<'tool'>> {
    const done = await run.tools.run(run.calls, run.calledBy, signal);
    if (run.calledBy === 'model') {
      done.forEach(({ text }, at) => {
        run.exchange.push({ role: 'tool', toolCallId: run.calls[at]!.id, content: text });
      });
      return 'results_ready';
    }
    const [only] = done;
    if (only?.record.outcome !== 'success') return 'results_ready';
    const text = only.found.map(({ passage }) => `${passage.text} [${passage.id}]`).join('\n');
    this.write(run, text);
    this.draft(run, { model: `tool:${only.record.name}`, finishReason: 'stop', fallback: false });
    return 'tool_answers';
  }

  private async callModel(run: Run, signal: AbortSignal): Promise<TurnOutcome<'model'>> {
    const shownBefore = run.written;
    const call = this.modelRequest(run, signal);
    const startedAt = this.clock.monotonic();
    // Given up while the model is at work: its prompt has to be paid for all the same.
    const giveUp = () => this.charge(run, this.spent(call.messages, run.written.slice(shownBefore.length)));
    signal.addEventListener('abort', giveUp, { once: true });
    let result: ChatResult;
    try {
      result = await this.generate(run, call);
    } catch (error) {
      const tooLong = isLlmError(error) && error.code === 'LLM_CONTEXT_TOO_LONG';
      if (!tooLong || run.written !== shownBefore || !run.machine.can('prompt_too_long')) throw error;
      run.prepared = shorten(run.prepared!, this.countTokens);
      run.shortened = true;
      return 'prompt_too_long';
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
    signal.throwIfAborted();
    this.charge(run, result.usage);
    const { model, finishReason, usage } = result;
    const ms = Math.round((this.clock.monotonic() - startedAt) * 100) / 100;
    run.modelCalls.push({ model, ms, finishReason, ...usage });
    const calls = call.toolChoice === 'auto' ? result.toolCalls.slice(0, MAX_ANSWERED_CALLS) : [];
    if (calls.length > 0) {
      run.exchange.push({ role: 'assistant', content: result.text, toolCalls: calls });
      run.calls = calls;
      run.calledBy = 'model';
      return 'tools_called';
    }
    this.draft(run, { model, finishReason, fallback: result.fallback === true });
    return 'text_complete';
  }

  private modelRequest(run: Run, signal: AbortSignal): ChatRequest {
    const { tenantId, content } = run.request;
    const { maxOutputTokens, temperature } = this.options.turn;
    const { standalone, history } = run.prepared!;
    // A model that composes from passages alone does not read the history a follow-up refers to.
    const question = this.model.local ? standalone.query : content;
    const passages = this.givenPassages(run.prepared!);
    const prompt = answerPrompt.render({ question, passages, history });
    const messages = [...(this.offersTools ? withToolRules(prompt) : prompt), ...run.exchange];
    return {
      tenantId,
      messages,
      context: [...passages, ...run.tools.found.map(({ passage }) => passage)],
      task: 'answer',
      maxOutputTokens,
      temperature,
      signal,
      ...(this.offersTools && {
        tools: this.tools.definitions,
        toolChoice: this.mayCallTools(run, messages) ? 'auto' : 'none',
      }),
    };
  }

  private get offersTools(): boolean {
    return !this.model.local && this.options.turn.tools.rounds > 0 && this.tools.definitions.length > 0;
  }

  /** Whether a round is left, its results have room, and the turn's tokens last for this call and one more. */
  private mayCallTools(run: Run, messages: readonly ChatMessage[]): boolean {
    const { tools, maxOutputTokens } = this.options.turn;
    const { inputTokens = 0, outputTokens = 0 } = run.usage ?? {};
    const call = promptTokens(messages, this.countTokens) + maxOutputTokens;
    return (
      run.machine.can('tools_called') &&
      run.tools.hasRoom &&
      inputTokens + outputTokens + 2 * call <= tools.turnTokens
    );
  }

  private givenPassages({ remembered, found }: Prepared): readonly ContextPassage[] {
    return [...remembered, ...found];
  }

  private async generate(run: Run, call: ChatRequest): Promise<ChatResult> {
    const separator = run.written === '' ? '' : '\n\n';
    if (!run.streams) {
      const result = await this.model.generate(call);
      if (result.text !== '') this.write(run, separator + result.text);
      return result;
    }
    let begun = false;
    for await (const chunk of this.model.stream(call)) {
      call.signal?.throwIfAborted();
      if (chunk.type === 'done') return chunk.result;
      this.write(run, begun ? chunk.text : separator + chunk.text);
      begun = true;
    }
    throw new AnswerEmptyError();
  }

  private write(run: Run, text: string): void {
    run.written += text;
    run.emit({ type: 'delta', text });
  }

  /** @throws AnswerEmptyError */
  private draft(run: Run, by: Omit<DraftedAnswer, 'text' | 'cited'>): void {
    const given = this.givenPassages(run.prepared!).map(({ id }) => id);
    const found = run.tools.found.map(({ passage }) => passage.id);
    const written = wellFormed(run.written.replaceAll('\0', ''));
    const { text, cited } = checkCitations(written, [...given, ...found]);
    if (text.trim() === '') throw new AnswerEmptyError();
    run.answer = { ...by, text, cited };
  }

  private async store(run: Run): Promise<TurnOutcome<'answered'>> {
    const { request, claim } = run;
    const { text } = run.answer!;
    const metadata = this.answerMetadata(run, run.prepared!, run.answer!);
    const reply = await this.log.answer(request, claim!, {
      content: text,
      metadata: { ...metadata },
      tokens: this.countTokens(text),
      record: { state: 'answered' },
    });
    run.turn = toTurn(request.conversationId, claim!.question, reply, metadata, false);
    this.requestSummary(run, run.prepared!.memory, reply);
    return 'answer_stored';
  }

  private charge(run: Run, { inputTokens, outputTokens, costUsd }: TokenUsage): void {
    const before = run.usage ?? { inputTokens: 0, outputTokens: 0, costUsd: 0 };
    run.usage = {
      inputTokens: before.inputTokens + inputTokens,
      outputTokens: before.outputTokens + outputTokens,
      costUsd: before.costUsd + costUsd,
    };
  }

  private spent(prompt: readonly ChatMessage[], written: string): TokenUsage {
    const { inputPerMillion, outputPerMillion } = this.model.price ?? {
      inputPerMillion: 0,
      outputPerMillion: 0,
    };
    const inputTokens = promptTokens(prompt, this.countTokens);
    const outputTokens = this.countTokens(written);
    const costUsd = (inputTokens * inputPerMillion + outputTokens * outputPerMillion) / 1_000_000;
    return { inputTokens, outputTokens, costUsd };
  }

  private answerMetadata(run: Run, prepared: Prepared, answer: DraftedAnswer): AnswerMetadata {
    const { memory, retrieved, standalone, remembered, found } = prepared;
    const citedOf = (passages: readonly ContextPassage[]) =>
      passages.filter(({ id }) => answer.cited.includes(id));
    const fromMemory: readonly Citation[] = citedOf(remembered).map(({ id, kind, text }) => ({
      id,
      kind,
      ...(kind === 'message' && { seq: Number(id.slice(1)) }),
      quote: clip(supportingSentence(text, answer.text), 200),
    }));
    const fromTools = run.tools.found
      .filter(({ passage }) => answer.cited.includes(passage.id))
      .map(({ citation }) => citation);
    const citations = [
      ...retrieved.resolveCitations(citedOf(found).map(({ id }) => id)),
      ...fromTools,
      ...fromMemory,
    ];
    return {
      replyTo: run.claim!.question.seq,
      memory: memoryMetadata(memory),
      retrieval: {
        strategy: retrieved.strategy,
        durationMs: retrieved.durationMs,
        passages: found.length,
        query: standalone.query,
        appended: standalone.appended,
        linked: retrieved.linked.map(({ id, name }) => ({ id, name })),
      },
      citations,
      supported: citations.length > 0 && !isUnsupportedAnswer(answer.text),
      paths: [...retrieved.paths, ...run.tools.paths],
      tools: run.tools.records,
      usage: run.usage ?? { inputTokens: 0, outputTokens: 0, costUsd: 0 },
      modelCalls: run.modelCalls,
      model: answer.model,
      finishReason: answer.finishReason,
      fallback: answer.fallback,
      shortened: run.shortened,
      trace: run.machine.trace,
    };
  }

  private advance(run: Run, cause: TurnCause): void {
    const { to, ms } = run.machine.advance(cause);
    if (run.turn && to === 'persisted' && cause === 'answer_stored') {
      run.turn = { ...run.turn, trace: run.machine.trace };
      const degraded = run.turn.memory.degraded || run.shortened || run.turn.fallback;
      this.publish(run, degraded ? 'degraded' : 'success');
    }
    run.emit({ type: 'state', state: to, ms });
  }

  /** Keeps the claim alive while the turn runs; losing it stops the turn. */
  private beat(run: Run): { stop(): void } {
    const { leaseMs } = this.options.turn;
    let renewedAt = this.clock.monotonic();
    let timer = this.clock.schedule(leaseMs / 3, () => void renew());
    let stopped = false;
    const renew = async () => {
      const askedAt = this.clock.monotonic();
      const held = await this.log.renew(run.request, run.claim!).catch(() => undefined);
      if (stopped) return;
      if (held) renewedAt = askedAt;
      if (held === false) run.stop.abort(await this.reasonOfLoss(run));
      else if (this.clock.monotonic() - renewedAt >= leaseMs) run.stop.abort(new TurnLostError());
      else timer = this.clock.schedule(leaseMs / 3, () => void renew());
    };
    return {
      stop: () => {
        stopped = true;
        timer.cancel();
      },
    };
  }

  /** A claim is gone because a retry took it over, or because the whole conversation was deleted. */
  private async reasonOfLoss(run: Run): Promise<Error> {
    try {
      await this.log.find(run.request);
    } catch (error) {
      if (error instanceof ConversationNotFoundError) return error;
    }
    return new TurnLostError();
  }

  /** Moves to a final state, leaves the message free for a retry, and gives the error to throw. */
  private async fail(run: Run, error: unknown): Promise<unknown> {
    const { machine, claim } = run;
    const cancelled = error instanceof TurnCancelledError;
    if (!machine.final) this.advance(run, cancelled ? 'cancelled' : 'failed');
    if (claim || error instanceof TurnTimeoutError) this.publish(run, cancelled ? 'cancelled' : 'failed');
    if (!claim || error instanceof TurnLostError || error instanceof ConversationNotFoundError) return error;
    const trace = machine.trace;
    if (!cancelled) {
      const code = isSparkleError(error) ? error.code : 'INTERNAL';
      await this.release(run, claim, { state: 'failed', code, trace });
      return error;
    }
    const content = wellFormed(run.written.replaceAll('\0', ''));
    if (content.trim() === '') {
      await this.release(run, claim, { state: 'cancelled', trace });
      return error;
    }
    await this.log
      .answer(run.request, claim, {
        content,
        metadata: { replyTo: claim.question.seq, cancelled: true, tools: run.tools.records, trace },
        tokens: this.countTokens(content),
        record: { state: 'cancelled' },
      })
      .catch(() => undefined);
    return error;
  }

  /** Best effort: a claim that cannot be released ends with its lease. */
  private async release(run: Run, claim: Claim, record: Parameters<TurnLog['end']>[2]): Promise<void> {
    await this.log.end(run.request, claim, record).catch(() => undefined);
  }

  /** A ticket that cannot be settled expires by itself; the answer is not lost over it. */
  private async settle(ticket: AdmissionTicket | undefined, usage?: TokenUsage): Promise<void> {
    await ticket?.settle(usage).catch(() => undefined);
  }

  /** Not waited for. A request that gets lost is made again by the next turn. */
  private requestSummary(run: Run, memory: MemoryContext, reply: Message): void {
    const { memory: window, summaries } = this.options;
    const summarisedTo = memory.knownSummarisedTo;
    const state = { messageCount: reply.seq, summarisedTo };
    if (!this.summaryRequests || !needsSummary(state, window, summaries.backlog)) return;
    const outside = reply.seq - halfWindow(window) - summarisedTo;
    // In steps of a whole backlog, so that turns at the same time ask for the same thing.
    const upToSeq = summarisedTo + Math.floor(outside / summaries.backlog) * summaries.backlog;
    const { tenantId, conversationId } = run.request;
    void this.summaryRequests.request({ tenantId, conversationId, upToSeq }).catch(() => {
      channels.conversation.publish({
        tenantId,
        kind: 'summary',
        strategy: 'request',
        outcome: 'failed',
        durationMs: 0,
      });
    });
  }

  private publish(run: Run, outcome: 'success' | 'degraded' | 'cancelled' | 'failed'): void {
    channels.conversation.publish({
      tenantId: run.request.tenantId,
      kind: 'turn',
      ...(run.prepared && { strategy: run.prepared.memory.strategy }),
      outcome,
      durationMs: this.clock.monotonic() - run.startedAt,
    });
  }
}

/** The rules for tools stand in the first system message: many chat templates take no second one. */
function withToolRules([system, ...others]: readonly ChatMessage[]): readonly ChatMessage[] {
  const [rules] = toolRules.render(undefined);
  return [{ ...system!, content: `${system!.content}\n\n${rules!.content}` }, ...others];
}

function toTurn(
  conversationId: string,
  question: Message,
  reply: Message,
  metadata: AnswerMetadata,
  replayed: boolean,
): Turn {
  return {
    ...metadata,
    conversationId,
    question: withoutClaim(question),
    reply,
    answer: reply.content,
    replayed,
  };
}
