import { channels, type ModelEvent, parseTenantId } from '@sparkle/contracts';
import { SeededRandom, TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  LlmBadResponseError,
  LlmBudgetExceededError,
  LlmRateLimitedError,
  LlmUnavailableError,
} from '../errors.js';
import type { ChatChunk, ChatModel, ChatRequest, ChatResult } from '../ports/chat-model.port.js';
import type { EmbeddingModel, EmbedRequest } from '../ports/embedding-model.port.js';
import type { AdmissionRequest, ModelAdmission } from '../ports/model-admission.port.js';
import { ResilientChatModel } from './resilient-chat.model.js';
import { ResilientEmbeddingModel } from './resilient-embedding.model.js';

const tenantId = parseTenantId('acme');

const fault = fc.constantFrom('fine', 'fine', 'fine', 'unavailable', 'limited', 'bad', 'stall' as const);
type Fault = typeof fault extends fc.Arbitrary<infer T> ? T : never;

const plan = fc.record({
  way: fc.constantFrom('generate', 'stream', 'embed' as const),
  /** What each attempt comes to; the last one repeats. */
  faults: fc.array(fault, { minLength: 1, maxLength: 4 }),
  /** Fault in the middle of a stream. */
  later: fault,
  admission: fc.constantFrom('granted', 'granted', 'granted', 'refused' as const),
  settle: fc.constantFrom('booked', 'fails' as const),
  /** The reader leaves a stream after this many parts. */
  leavesAfter: fc.option(fc.nat(3)),
  /** The reader of a stream stops for longer than a stream may take. */
  pauses: fc.boolean(),
  /** What stops the call, whenever the scheduler says so. */
  stop: fc.constantFrom('nothing', 'nothing', 'caller', 'lease' as const),
});
type Plan = typeof plan extends fc.Arbitrary<infer T> ? T : never;

/** Gives and takes back; counts what each grant was told. */
class CountingAdmission implements ModelAdmission {
  readonly grants: { settled: number; released: number; order: string[]; lease: AbortController }[] = [];

  constructor(
    private readonly plan: Plan,
    private readonly step: (label: string) => Promise<void>,
  ) {}

  async admit({ signal }: AdmissionRequest) {
    await this.step('admit');
    signal?.throwIfAborted();
    if (this.plan.admission === 'refused') throw new LlmBudgetExceededError(1);
    const grant = { settled: 0, released: 0, order: [] as string[], lease: new AbortController() };
    this.grants.push(grant);
    return {
      signal: grant.lease.signal,
      settle: async () => {
        grant.settled++;
        grant.order.push('settle');
        await this.step('settle');
        if (this.plan.settle === 'fails') throw new Error('the store is down');
      },
      release: async () => {
        grant.released++;
        grant.order.push('release');
        await this.step('release');
      },
    };
  }
}

/** Comes to what its plan says, each step when the scheduler lets it. */
class ScheduledModel implements ChatModel, EmbeddingModel {
  readonly id = 'scheduled';
  readonly local = false;
  readonly dimensions = 1;
  readonly maxInputTokens = 100;
  private attempts = 0;

  constructor(
    private readonly plan: Plan,
    private readonly step: (label: string) => Promise<void>,
  ) {}

  async generate({ signal }: ChatRequest): Promise<ChatResult> {
    await this.meet(this.nextFault(), signal);
    return this.result();
  }

  async *stream({ signal }: ChatRequest): AsyncGenerator<ChatChunk, void, undefined> {
    await this.meet(this.nextFault(), signal);
    yield { type: 'text', text: 'one ' };
    await this.meet(this.plan.later, signal);
    yield { type: 'text', text: 'two' };
    yield { type: 'done', result: this.result() };
  }

  async embed({ texts, signal }: EmbedRequest): Promise<Float32Array[]> {
    await this.meet(this.nextFault(), signal);
    return texts.map(() => Float32Array.of(1));
  }

  countTokens(text: string): number {
    return text.length;
  }

  private nextFault(): Fault {
    const { faults } = this.plan;
    return faults[Math.min(this.attempts++, faults.length - 1)] ?? 'fine';
  }

  private async meet(what: Fault, signal: AbortSignal | undefined): Promise<void> {
    await this.step(`model: ${what}`);
    signal?.throwIfAborted();
    if (what === 'stall')
      await new Promise((_, reject) =>
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true }),
      );
    if (what === 'unavailable') throw new LlmUnavailableError(this.id, 'status 500');
    if (what === 'limited') throw new LlmRateLimitedError(this.id, { retryAfterMs: 100 });
    if (what === 'bad') throw new LlmBadResponseError(this.id, 'it is empty');
  }

  private result(): ChatResult {
    const usage = { inputTokens: 1, outputTokens: 1, costUsd: 0 };
    return { text: 'one two', toolCalls: [], usage, finishReason: 'stop', model: this.id };
  }
}

async function use(
  plan: Plan,
  clock: TestClock,
  model: ResilientChatModel,
  embedding: ResilientEmbeddingModel,
  signal: AbortSignal,
) {
  const request: ChatRequest = { tenantId, messages: [{ role: 'user', content: 'Why?' }], signal };
  if (plan.way === 'embed') await embedding.embed({ tenantId, texts: ['x'], signal });
  else if (plan.way === 'generate') await model.generate(request);
  else {
    let read = 0;
    for await (const _ of model.stream(request)) {
      if (read++ === plan.leavesAfter) return;
      if (plan.pauses) await clock.sleep(2000);
    }
  }
}

describe('whatever fails, whoever leaves, in whatever order', () => {
  it('each permit and each reservation comes back exactly once, settled before it is released, and no timer is left', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(plan, { minLength: 1, maxLength: 4 }),
        async (scheduler, plans) => {
          const clock = new TestClock();
          const step = async (label: string) => {
            await scheduler.schedule(Promise.resolve(), label);
          };
          const events: ModelEvent[] = [];
          const unsubscribe = channels.model.subscribe((event) => events.push({ ...event }));
          const runs = plans.map((plan) => {
            const admission = new CountingAdmission(plan, step);
            const scheduled = new ScheduledModel(plan, step);
            const options = {
              clock,
              random: new SeededRandom(1),
              admission,
              timeoutMs: 1000,
              maxStreamMs: 1500,
              maxAttempts: 3,
              breakerFailures: 2,
            };
            const caller = new AbortController();
            let over = false;
            const done = use(
              plan,
              clock,
              new ResilientChatModel(scheduled, { ...options, fallbacks: [scheduled] }),
              new ResilientEmbeddingModel(scheduled, options),
              caller.signal,
            )
              .catch(() => undefined)
              .finally(() => {
                over = true;
              });
            if (plan.stop !== 'nothing') {
              void step('stop').then(() => {
                if (plan.stop === 'caller') caller.abort(new Error('the caller left'));
                else for (const { lease } of admission.grants) lease.abort(new Error('the lease was lost'));
              });
            }
            return { admission, done, isOver: () => over };
          });
          while (runs.some(({ isOver }) => !isOver()) || scheduler.count() > 0) {
            if (scheduler.count() > 0) await scheduler.waitOne();
            else await clock.advance(50);
          }
          await Promise.all(runs.map(({ done }) => done));
          unsubscribe();
          for (const { admission } of runs) {
            for (const grant of admission.grants) {
              expect(grant.released).toBe(1);
              expect(grant.settled).toBeLessThanOrEqual(1);
              expect(grant.order.at(-1)).toBe('release');
            }
          }
          expect(clock.pendingTimers).toBe(0);
          expect(events.every(({ inputTokens, outputTokens }) => inputTokens >= 0 && outputTokens >= 0)).toBe(
            true,
          );
        },
      ),
      { numRuns: 500 },
    );
  });
});
