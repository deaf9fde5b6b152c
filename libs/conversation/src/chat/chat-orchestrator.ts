import { randomUUID } from 'node:crypto';
import { Inject, Injectable, Optional } from '@nestjs/common';
import {
  Clock,
  channels,
  isSparkleError,
  SystemClock,
  TenantDatabase,
  type TenantId,
} from '@sparkle/contracts';
import {
  answerPrompt,
  type ChatMessage,
  ChatModel,
  type ChatResult,
  type ContextPassage,
  checkCitations,
  isUnsupportedAnswer,
  type TokenUsage,
} from '@sparkle/llm';
import { CONVERSATION_OPTIONS, type ConversationOptions } from '../conversation.options.js';
import { checkContent, checkIdempotencyKey, withoutClaim } from '../conversation.service.js';
import { AnswerEmptyError, TurnCancelledError, TurnLostError, TurnTimeoutError } from '../errors.js';
import { MESSAGE_OVERHEAD } from '../memory/budget.js';
import {
  type MemoryContext,
  MemoryService,
  memoryMetadata,
  memoryPassages,
} from '../memory/memory.service.js';
import { halfWindow, needsSummary } from '../memory/strategy.js';
import type { AnswerMetadata, Message, Turn } from '../model.js';
import { Admission, type AdmissionTicket } from '../ports/admission.port.js';
import { type Citation, NoRetriever, type Retrieved, Retriever } from '../ports/retriever.port.js';
import { SummaryRequests } from '../ports/summary-requests.port.js';
import { clip, supportingSentence, wellFormed } from '../text.js';
import { readAnswerMetadata } from './answer-metadata.js';
import { type PreviousTurn, type StandaloneQuestion, standaloneQuestion } from './follow-up.js';
import { HandOff } from './hand-off.js';
import { type ActiveTurnState, TurnMachine, type TurnState } from './state-machine.js';
import { type AnsweredTurn, type Claim, TurnLog } from './turn-log.js';

export interface TurnRequest {
  readonly tenantId: TenantId;
  readonly userId: string;
  readonly conversationId: string;
  /** 1 to `maxMessageChars` characters. */
  readonly content: string;
  /** A retry with the same key gets the same turn. Default: a key of its own, so that nothing is a retry. */
  readonly idempotencyKey?: string;
  /** Cancels the turn, and the model call with it. */
  readonly signal?: AbortSignal;
}

/** What a streamed turn yields: each state it enters, text as it is written, and the whole turn at the end. */
export type TurnEvent =
  | { readonly type: 'state'; readonly state: TurnState; readonly ms: number }
  | { readonly type: 'delta'; readonly text: string }
  | { readonly type: 'turn'; readonly turn: Turn };

interface Prepared {
  readonly memory: MemoryContext;
  readonly retrieved: Retrieved;
  readonly standalone: StandaloneQuestion;
  readonly history: readonly ChatMessage[];
  /** Memory the model may cite: the summary, recalled messages, and what the user stated recently. */
  readonly remembered: readonly ContextPassage[];
  /** What retrieval found, as far as the budget goes. */
  readonly found: readonly ContextPassage[];
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
  ticket?: AdmissionTicket | undefined;
  claim?: Claim;
  partial: string;
  result?: ChatResult;
  /** What a model call cost that did not come to its end, as far as is known. */
  unfinished?: TokenUsage;
  memory?: MemoryContext;
  over: boolean;
}

/**
 * Answers messages: received → admitted → recalled → retrieved → answered → persisted.
 *
 * The user message is stored before any model is called. Whatever happens after that, a retry with the same
 * key finds it: it gets the stored answer, or is refused while the first request is at work, or makes the
 * answer that a crash, a failure or a cancellation left out.
 */
@Injectable()
export class ChatOrchestrator {
  private readonly log: TurnLog;

  constructor(
    @Inject(TenantDatabase) database: TenantDatabase,
    @Inject(ChatModel) private readonly model: ChatModel,
    @Inject(MemoryService) private readonly memory: MemoryService,
    @Inject(CONVERSATION_OPTIONS) private readonly options: ConversationOptions,
    @Optional() @Inject(Clock) private readonly clock: Clock = new SystemClock(),
    @Optional() @Inject(Retriever) private readonly retriever: Retriever = new NoRetriever(),
    @Optional() @Inject(Admission) private readonly admission?: Admission,
    @Optional() @Inject(SummaryRequests) private readonly summaryRequests?: SummaryRequests,
  ) {
    this.log = new TurnLog(database, options.turn.leaseMs);
  }

  /**
   * Answers one message.
   *
   * @throws ConversationNotFoundError, MessageEmptyError, MessageTooLongError, MessageInvalidError,
   *   IdempotencyKeyInvalidError, IdempotencyKeyReusedError before anything is stored
   * @throws MessageInProgressError while another request answers the same key
   * @throws TurnTimeoutError, TurnCancelledError, TurnLostError, AnswerEmptyError, or what admission,
   *   retrieval or the model threw; all but admission's leave the message stored for a retry
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
    return {
      request: { ...request, content, key },
      machine: new TurnMachine(this.clock),
      startedAt: this.clock.monotonic(),
      stop: new AbortController(),
      emit,
      streams,
      partial: '',
      over: false,
    };
  }

  private async run(run: Run): Promise<Turn> {
    const leave = () => run.stop.abort(new TurnCancelledError({ cause: run.request.signal?.reason }));
    if (run.request.signal?.aborted) leave();
    run.request.signal?.addEventListener('abort', leave, { once: true });
    let heartbeat: { stop(): void } | undefined;
    try {
      const answered = await this.admit(run);
      if (answered) return this.replay(run, answered);
      heartbeat = this.beat(run);
      return await this.answer(run);
    } catch (error) {
      throw await this.fail(run, error);
    } finally {
      run.over = true;
      heartbeat?.stop();
      run.request.signal?.removeEventListener('abort', leave);
      await this.settle(run.ticket, run.result?.usage ?? run.unfinished);
    }
  }

  /** received → admitted. Gives the stored turn when there is one. */
  private async admit(run: Run): Promise<AnsweredTurn | undefined> {
    const { request } = run;
    const { contextTokens, maxOutputTokens } = this.options.turn;
    const tokens = this.model.countTokens(request.content);
    const outcome = await this.within(
      run,
      async (signal) => {
        const answered = await this.log.find(request);
        if (answered) return answered;
        signal.throwIfAborted();
        const ticket = await this.admission?.admit({
          tenantId: request.tenantId,
          userId: request.userId,
          conversationId: request.conversationId,
          estimatedTokens: contextTokens + tokens + maxOutputTokens,
          signal,
        });
        if (run.over) await this.settle(ticket);
        else run.ticket = ticket;
        signal.throwIfAborted();
        return this.log.open(request, tokens);
      },
      (late) => {
        if (!('id' in late)) return;
        const state = run.machine.state === 'cancelled' ? 'cancelled' : 'failed';
        void this.release(run, late, { state, trace: run.machine.trace });
      },
    );
    if (!('id' in outcome)) return outcome;
    run.claim = outcome;
    this.advance(run, 'admitted');
    return undefined;
  }

  private replay(run: Run, { question, reply }: AnsweredTurn): Turn {
    return toTurn(run.request.conversationId, question, reply, readAnswerMetadata(reply.metadata), true);
  }

  private async answer(run: Run): Promise<Turn> {
    const { request } = run;
    const { tenantId, conversationId, content } = request;
    const { turn } = this.options;
    const question = run.claim!.question;

    const memory = await this.within(run, (signal) =>
      this.memory.assemble({
        tenantId,
        conversationId,
        question: content,
        tokenBudget: turn.memoryTokens,
        beforeSeq: question.seq,
        signal,
      }),
    );
    run.memory = memory;
    this.advance(run, 'recalled');

    const standalone = standaloneQuestion(content, previousTurn(memory));
    const history = chatHistory(memory.messages);
    const { cited, shown } = memoryPassages(memory);
    // What the user stated recently stands in the history, too; it is paid for twice.
    const budget = turn.contextTokens - memory.tokens - this.cost(shown);
    const retrieved = await this.within(run, (signal) =>
      this.retriever.retrieve({
        tenantId,
        question: standalone.query,
        history,
        tokenBudget: Math.max(0, budget),
        signal,
      }),
    );
    const prepared: Prepared = {
      memory,
      retrieved,
      standalone,
      history,
      remembered: [...cited, ...shown],
      found: this.fitting(retrieved.passages, budget),
    };
    this.advance(run, 'retrieved');

    const result = await this.within(run, (signal) => this.generate(run, prepared, signal));
    const known = [...prepared.remembered, ...prepared.found].map(({ id }) => id);
    const { text, cited: citedIds } = checkCitations(wellFormed(result.text.replaceAll('\0', '')), known);
    run.result = result;
    if (text.trim() === '') throw new AnswerEmptyError();
    this.advance(run, 'answered');

    const metadata = this.answerMetadata(run, prepared, { ...result, text }, citedIds);
    const reply = await this.within(run, () =>
      this.log.answer(request, run.claim!, {
        content: text,
        metadata: { ...metadata },
        tokens: this.model.countTokens(text),
        record: { state: 'answered' },
      }),
    );
    this.advance(run, 'persisted');
    this.publish(run, memory.degraded ? 'degraded' : 'success');
    this.requestSummary(run, memory, reply);
    return toTurn(conversationId, question, reply, { ...metadata, trace: run.machine.trace }, false);
  }

  private async generate(run: Run, prepared: Prepared, signal: AbortSignal): Promise<ChatResult> {
    const { request } = run;
    const { maxOutputTokens, temperature } = this.options.turn;
    // A model that composes from passages alone does not read the history a follow-up refers to.
    const question = this.model.local ? prepared.standalone.query : request.content;
    const passages = [...prepared.remembered, ...prepared.found];
    const call = {
      tenantId: request.tenantId,
      messages: answerPrompt.render({ question, passages, history: prepared.history }),
      context: passages,
      task: 'answer' as const,
      maxOutputTokens,
      temperature,
      signal,
    };
    try {
      if (!run.streams) return await this.model.generate(call);
      for await (const chunk of this.model.stream(call)) {
        signal.throwIfAborted();
        if (chunk.type === 'done') return chunk.result;
        run.partial += chunk.text;
        run.emit({ type: 'delta', text: chunk.text });
      }
      throw new AnswerEmptyError();
    } finally {
      // The stage was given up while the model was at work: its prompt has to be paid for all the same.
      if (signal.aborted) run.unfinished = this.spent(call.messages, run.partial);
    }
  }

  private spent(prompt: readonly ChatMessage[], written: string): TokenUsage {
    const inputTokens = prompt.reduce(
      (sum, { content }) => sum + this.model.countTokens(content) + MESSAGE_OVERHEAD,
      0,
    );
    return { inputTokens, outputTokens: this.model.countTokens(written), costUsd: 0 };
  }

  private answerMetadata(
    run: Run,
    { memory, retrieved, standalone, remembered, found }: Prepared,
    result: ChatResult,
    cited: readonly string[],
  ): AnswerMetadata {
    const ofMemory = remembered.filter(({ id }) => cited.includes(id));
    const memoryIds = new Set(ofMemory.map(({ id }) => id));
    const fromMemory: readonly Citation[] = ofMemory.map(({ id, kind, text }) => ({
      id,
      kind,
      ...(kind === 'message' && { seq: Number(id.slice(1)) }),
      quote: clip(supportingSentence(text, result.text), 200),
    }));
    const citations = [
      ...retrieved.resolveCitations(cited.filter((id) => !memoryIds.has(id))),
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
      supported: citations.length > 0 && !isUnsupportedAnswer(result.text),
      paths: retrieved.paths,
      usage: result.usage,
      model: result.model,
      finishReason: result.finishReason,
      trace: run.machine.trace,
    };
  }

  /** The first passages that fit; a retriever that overspends does not overflow the prompt. */
  private fitting(passages: readonly ContextPassage[], budget: number): readonly ContextPassage[] {
    let left = budget;
    return passages.filter((passage) => {
      const cost = this.cost([passage]);
      if (cost > left) return false;
      left -= cost;
      return true;
    });
  }

  private cost(passages: readonly ContextPassage[]): number {
    return passages.reduce(
      (sum, { title, text }) =>
        sum + this.model.countTokens(title ? `${title}: ${text}` : text) + MESSAGE_OVERHEAD,
      0,
    );
  }

  private advance(run: Run, to: TurnState): void {
    const { ms } = run.machine.advance(to);
    run.emit({ type: 'state', state: to, ms });
  }

  /**
   * Runs one stage within its state's budget. A complete answer is stored even when its caller has left.
   * @param late gets the stage's value when it comes after the budget or the cancellation.
   */
  private async within<T>(
    run: Run,
    stage: (signal: AbortSignal) => Promise<T>,
    late?: (value: T) => void,
  ): Promise<T> {
    const state = run.machine.state as ActiveTurnState;
    const budgetMs = this.options.turn.budgetsMs[state];
    const controller = new AbortController();
    const { signal } = controller;
    const timer = this.clock.schedule(budgetMs, () =>
      controller.abort(new TurnTimeoutError(state, budgetMs)),
    );
    const onStop = () => controller.abort(run.stop.signal.reason);
    if (state !== 'answered') {
      if (run.stop.signal.aborted) onStop();
      else run.stop.signal.addEventListener('abort', onStop, { once: true });
    }
    try {
      signal.throwIfAborted();
      return await new Promise<T>((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        stage(signal).then((value) => {
          if (signal.aborted) late?.(value);
          resolve(value);
        }, reject);
      });
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      timer.cancel();
      run.stop.signal.removeEventListener('abort', onStop);
    }
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
      if (held === false || this.clock.monotonic() - renewedAt >= leaseMs)
        run.stop.abort(new TurnLostError());
      else timer = this.clock.schedule(leaseMs / 3, () => void renew());
    };
    return {
      stop: () => {
        stopped = true;
        timer.cancel();
      },
    };
  }

  /** Moves to a final state, leaves the message free for a retry, and gives the error to throw. */
  private async fail(run: Run, error: unknown): Promise<unknown> {
    const { machine, claim } = run;
    const cancelled = error instanceof TurnCancelledError;
    if (!machine.final) this.advance(run, cancelled ? 'cancelled' : 'failed');
    if (claim || error instanceof TurnTimeoutError) this.publish(run, cancelled ? 'cancelled' : 'failed');
    if (!claim || error instanceof TurnLostError) return error;
    const trace = machine.trace;
    if (!cancelled) {
      const code = isSparkleError(error) ? error.code : 'INTERNAL';
      await this.release(run, claim, { state: 'failed', code, trace });
      return error;
    }
    const content = wellFormed(run.partial.replaceAll('\0', ''));
    if (content.trim() === '') {
      await this.release(run, claim, { state: 'cancelled', trace });
      return error;
    }
    await this.log
      .answer(run.request, claim, {
        content,
        metadata: { replyTo: claim.question.seq, cancelled: true, trace },
        tokens: this.model.countTokens(content),
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
      ...(run.memory && { strategy: run.memory.strategy }),
      outcome,
      durationMs: this.clock.monotonic() - run.startedAt,
    });
  }
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

/**
 * Recent messages as the model reads them, user and assistant in turns: many chat templates refuse anything
 * else, and a question that failed or is still being answered has no answer to show.
 */
export function chatHistory(messages: MemoryContext['messages']): readonly ChatMessage[] {
  const history: ChatMessage[] = [];
  const push = (role: 'user' | 'assistant', content: string) => {
    const previous = history.at(-1)?.role ?? 'assistant';
    if (previous === role)
      history.push(
        role === 'user'
          ? { role: 'assistant', content: '(No answer was given.)' }
          : { role: 'user', content: '(Earlier message.)' },
      );
    history.push({ role, content });
  };
  for (const { role, text } of messages) if (role !== 'tool') push(role, text);
  if (history.at(-1)?.role === 'user') history.push({ role: 'assistant', content: '(No answer was given.)' });
  return history;
}

/** What the newest answered turn in memory was about, or else its newest question. */
function previousTurn(memory: MemoryContext): PreviousTurn | undefined {
  for (const message of [...memory.messages].reverse()) {
    if (message.role === 'user') return { query: message.text, linked: [] };
    if (message.role !== 'assistant' || message.metadata.cancelled === true) continue;
    const { retrieval } = readAnswerMetadata(message.metadata);
    if (retrieval.query !== '' || retrieval.linked.length > 0) return retrieval;
  }
  return undefined;
}
