import { APP_GUARD } from '@nestjs/core';
import {
  CacheService,
  MemoryBusHub,
  MemoryCacheStore,
  MemoryInvalidationBus,
  MemorySemanticStore,
  SemanticCache,
} from '@sparkle/cache';
import { SystemClock } from '@sparkle/contracts';
import { ChatOrchestrator, ConversationService } from '@sparkle/conversation';
import { AnswerService, RetrievalService, SnapshotProvider } from '@sparkle/graphrag';
import { ChatModel, type ChatRequest, LocalExtractiveChatModel } from '@sparkle/llm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Agent } from '../src/answers/agent.js';
import { AnswerPipeline } from '../src/answers/answer-pipeline.js';
import { AnswersController } from '../src/routes/answers.controller.js';
import { Alice } from './alice.guard.js';
import { type HttpApp, startHttpApp } from './http-app.js';

/** Waits, when streaming after a word, until the test lets it go on or the call is cancelled. */
class PatientModel extends LocalExtractiveChatModel {
  calls: { cancelled: boolean; goOn: () => void }[] = [];

  override async generate(request: ChatRequest) {
    await this.begin(request);
    request.signal?.throwIfAborted();
    return super.generate(request);
  }

  override async *stream(request: ChatRequest) {
    const wait = this.begin(request);
    yield { type: 'text' as const, text: 'Sugar' };
    await wait;
    request.signal?.throwIfAborted();
    yield { type: 'done' as const, result: await super.generate(request) };
  }

  private begin(request: ChatRequest): Promise<void> {
    let goOn = () => {};
    const wait = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const call = { cancelled: false, goOn };
    request.signal?.addEventListener('abort', () => {
      call.cancelled = true;
      goOn();
    });
    this.calls.push(call);
    return wait;
  }
}

/** Keeps the signals of those who ask. */
class WatchedPipeline extends AnswerPipeline {
  static signals: (AbortSignal | undefined)[] = [];

  override ask(...[question, onText, options]: Parameters<AnswerPipeline['ask']>) {
    WatchedPipeline.signals.push(options?.signal);
    return super.ask(question, onText, options);
  }
}

const passages = [{ id: 'C1', kind: 'chunk' as const, text: 'Energy is stored in sugar.', title: 'Plants' }];
const retrieval = {
  retrieve: async () => ({
    strategy: 'plain',
    route: 'fact',
    reader: 'snapshot',
    chunks: [],
    paths: [],
    linked: [],
    durationMs: 1,
    degraded: false,
    corpusVersion: 1,
    chunkOf: () => undefined,
    context: { passages, sources: new Map(), tokens: 5 },
  }),
};
const embedder = { id: 'one', dimensions: 2, embed: async () => Float32Array.of(1, 0) };

describe('a client that leaves POST /v1/answers', () => {
  const model = new PatientModel();
  const clock = new SystemClock();
  let app: HttpApp;

  beforeAll(async () => {
    const cache = new CacheService({
      store: new MemoryCacheStore(clock),
      bus: new MemoryInvalidationBus(new MemoryBusHub()),
      clock,
    });
    app = await startHttpApp({
      controllers: [AnswersController],
      providers: [
        Agent,
        AnswerService,
        { provide: AnswerPipeline, useClass: WatchedPipeline },
        { provide: APP_GUARD, useClass: Alice },
        { provide: RetrievalService, useValue: retrieval },
        { provide: SnapshotProvider, useValue: { version: async () => 1 } },
        { provide: ChatModel, useValue: model },
        {
          provide: SemanticCache,
          useValue: new SemanticCache({ cache, store: new MemorySemanticStore({ clock }), embedder, clock }),
        },
        { provide: ChatOrchestrator, useValue: {} },
        { provide: ConversationService, useValue: {} },
      ],
    });
  });
  afterAll(() => app?.close());
  beforeEach(() => {
    model.calls = [];
    WatchedPipeline.signals = [];
  });

  function ask(question: string, accept = 'application/json') {
    const client = new AbortController();
    const response = fetch(`${app.address}/v1/answers`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept, connection: 'close' },
      body: JSON.stringify({ question }),
      signal: client.signal,
    });
    response.catch(() => undefined);
    return { response, leave: () => client.abort() };
  }

  it.each(['application/json', 'text/event-stream'])('cancels the model call (%s)', async (accept) => {
    const { leave } = ask(`Where is energy stored, as ${accept}?`, accept);
    await expect.poll(() => model.calls.length).toBe(1);
    expect(model.calls[0]!.cancelled).toBe(false);
    leave();
    await expect.poll(() => model.calls[0]!.cancelled).toBe(true);
    // Nothing is left of it: who asks next gets an answer of their own.
    const next = ask(`Where is energy stored, as ${accept}?`);
    await expect.poll(() => model.calls.length).toBe(2);
    model.calls[1]!.goOn();
    expect(await (await next.response).json()).toMatchObject({ cache: 'miss' });
  });

  it('cancels nothing while another client waits for the same answer', async () => {
    const first = ask('What stores energy?', 'text/event-stream');
    await expect.poll(() => model.calls.length).toBe(1);
    const second = ask('What stores energy?');
    const third = ask('What stores energy?');
    const left = () => WatchedPipeline.signals.map((signal) => signal?.aborted);
    await expect.poll(left).toEqual([false, false, false]);
    first.leave();
    third.leave();
    await expect.poll(() => left().filter((gone) => gone).length).toBe(2);
    model.calls[0]!.goOn();
    expect((await second.response).status).toBe(200);
    expect(model.calls).toMatchObject([{ cancelled: false }]);
  });
});
