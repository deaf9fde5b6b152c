import { channels, type ModelEvent, parseTenantId } from '@sparkle/contracts';
import { SeededRandom, TestClock } from '@sparkle/contracts/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  LlmAuthFailedError,
  LlmBadResponseError,
  LlmBudgetExceededError,
  LlmContextTooLongError,
  LlmRateLimitedError,
  LlmUnavailableError,
} from '../errors.js';
import type { ChatRequest, TokenUsage } from '../ports/chat-model.port.js';
import type { AdmissionRequest, ModelAdmission } from '../ports/model-admission.port.js';
import { ScriptedChatModel, type ScriptedReply } from '../testing/scripted-chat.model.js';
import { ResilientChatModel, type ResilientChatOptions } from './resilient-chat.model.js';
import { promptTokens } from './token-price.js';

const request: ChatRequest = {
  tenantId: parseTenantId('acme'),
  messages: [{ role: 'user', content: 'Why?' }],
  maxOutputTokens: 50,
};
const down = () => new LlmUnavailableError('primary', 'status 500');

class RecordingAdmission implements ModelAdmission {
  readonly log: string[] = [];
  readonly asked: AdmissionRequest[] = [];
  readonly settled: TokenUsage[] = [];
  readonly lease = new AbortController();
  settleFails = false;

  async admit(asked: AdmissionRequest) {
    this.asked.push(asked);
    this.log.push('admit');
    return {
      signal: this.lease.signal,
      settle: async (usage: TokenUsage) => {
        this.log.push('settle');
        this.settled.push(usage);
        if (this.settleFails) throw new Error('store down');
      },
      release: async () => {
        this.log.push('release');
      },
    };
  }
}

describe('ResilientChatModel', () => {
  const events: ModelEvent[] = [];
  let clock: TestClock;
  let unsubscribe: () => void;
  beforeEach(() => {
    clock = new TestClock();
    events.length = 0;
    unsubscribe = channels.model.subscribe((event) => events.push({ ...event }));
  });
  afterEach(() => {
    unsubscribe();
    vi.useRealTimers();
  });

  const build = (replies: readonly ScriptedReply[], options: ResilientChatOptions = {}) => {
    const primary = new ScriptedChatModel('primary', ...replies);
    return {
      primary,
      model: new ResilientChatModel(primary, { clock, random: new SeededRandom(1), ...options }),
    };
  };
  /** Moves time on until `call` has settled, in steps small enough to see each delay. */
  const finish = async <T>(call: Promise<T>, stepMs = 50): Promise<T> => {
    let settled = false;
    const watched = call.finally(() => {
      settled = true;
    });
    watched.catch(() => undefined);
    while (!settled) await clock.advance(stepMs);
    return watched;
  };
  const read = async (model: ResilientChatModel, asked = request) => {
    let text = '';
    for await (const chunk of model.stream(asked)) if (chunk.type === 'text') text += chunk.text;
    return text;
  };

  it('tries again after a failure of the provider, and reports each try', async () => {
    const { model, primary } = build([down(), down(), 'fine']);
    expect((await finish(model.generate(request))).text).toBe('fine');
    expect(primary.requests).toHaveLength(3);
    expect(events.map(({ outcome }) => outcome)).toEqual(['error', 'error', 'success']);
    expect(events.at(-1)).toMatchObject({
      tenantId: 'acme',
      model: 'primary',
      operation: 'generate',
      inputTokens: 10,
    });
  });

  it('waits as long as the provider asks before it tries again', async () => {
    const { model, primary } = build([new LlmRateLimitedError('primary', { retryAfterMs: 3000 }), 'fine']);
    const call = model.generate(request);
    await clock.advance(2999);
    expect(primary.requests).toHaveLength(1);
    await clock.advance(1);
    expect((await call).text).toBe('fine');
  });

  it('goes to the fallback rather than wait longer than it may', async () => {
    const fallback = new ScriptedChatModel('fallback', 'from the fallback');
    const { model, primary } = build([new LlmRateLimitedError('primary', { retryAfterMs: 60_000 })], {
      fallbacks: [fallback],
    });
    const result = await model.generate(request);
    expect(result).toMatchObject({ text: 'from the fallback', model: 'fallback' });
    expect(primary.requests).toHaveLength(1);
  });

  it.each([new LlmAuthFailedError('primary'), new LlmContextTooLongError('primary')])(
    'does not repeat what cannot succeed: $code',
    async (error) => {
      const { model, primary } = build([error]);
      await expect(model.generate(request)).rejects.toBe(error);
      expect(primary.requests).toHaveLength(1);
    },
  );

  it('does not hide a prompt that is too long behind a fallback', async () => {
    const fallback = new ScriptedChatModel('fallback', 'x');
    const { model } = build([new LlmContextTooLongError('primary')], { fallbacks: [fallback] });
    await expect(model.generate(request)).rejects.toMatchObject({ code: 'LLM_CONTEXT_TOO_LONG' });
    expect(fallback.requests).toHaveLength(0);
  });

  it('cancels a call that takes too long and says so', async () => {
    const { model, primary } = build(['stall'], { timeoutMs: 1000 });
    const call = model.generate(request);
    const rejection = expect(call).rejects.toMatchObject({ code: 'LLM_TIMEOUT' });
    await clock.advance(1000);
    await rejection;
    expect(primary.requests[0]?.signal?.aborted).toBe(true);
    expect(events.map(({ outcome }) => outcome)).toEqual(['timeout']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('stops waiting between two tries as soon as the caller cancels', async () => {
    const { model, primary } = build([new LlmRateLimitedError('primary', { retryAfterMs: 5000 }), 'fine']);
    const controller = new AbortController();
    const reason = new Error('left');
    const rejection = expect(model.generate({ ...request, signal: controller.signal })).rejects.toBe(reason);
    await clock.advance(100);
    controller.abort(reason);
    await rejection;
    expect(primary.requests).toHaveLength(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it('stops calling a provider that keeps failing, and lets one call through later', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 0 });
    const { model, primary } = build([down(), down(), 'back'], {
      maxAttempts: 1,
      breakerFailures: 2,
      breakerHalfOpenAfterMs: 1000,
    });
    await expect(model.generate(request)).rejects.toMatchObject({ code: 'LLM_UNAVAILABLE' });
    await expect(model.generate(request)).rejects.toMatchObject({ code: 'LLM_UNAVAILABLE' });
    await expect(model.generate(request)).rejects.toMatchObject({ code: 'LLM_BREAKER_OPEN' });
    expect(primary.requests).toHaveLength(2);
    vi.setSystemTime(1000);
    expect((await model.generate(request)).text).toBe('back');
    expect(events.map(({ outcome }) => outcome)).toEqual(['error', 'error', 'breaker_open', 'success']);
  });

  it('leaves a breaker open whose test call was cancelled, and makes nobody wait for that call', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 0 });
    const { model, primary } = build([down(), 'stall', 'back'], {
      maxAttempts: 1,
      breakerFailures: 1,
      breakerHalfOpenAfterMs: 1000,
    });
    await expect(model.generate(request)).rejects.toMatchObject({ code: 'LLM_UNAVAILABLE' });
    vi.setSystemTime(1000);
    await clock.advance(1000);
    const caller = new AbortController();
    const test = model.generate({ ...request, signal: caller.signal });
    const rejection = expect(test).rejects.toThrow('left');
    await clock.advance(1);
    await expect(model.generate(request)).rejects.toMatchObject({ code: 'LLM_BREAKER_OPEN' });
    caller.abort(new Error('left'));
    await rejection;
    await expect(model.generate(request)).rejects.toMatchObject({
      code: 'LLM_BREAKER_OPEN',
      retryAfterMs: 1000,
    });
    expect(primary.requests).toHaveLength(2);
    vi.setSystemTime(2000);
    expect((await model.generate(request)).text).toBe('back');
  });

  it('does not open the breaker for limits on the rate of calls', async () => {
    const limited = new LlmRateLimitedError('primary', { retryAfterMs: 60_000 });
    const { model, primary } = build([limited, limited, limited, 'fine'], { breakerFailures: 2 });
    for (let call = 0; call < 3; call++) await model.generate(request).catch(() => undefined);
    expect((await model.generate(request)).text).toBe('fine');
    expect(primary.requests).toHaveLength(4);
  });

  describe('streaming', () => {
    it('hands a stream that fails before its first part to the fallback', async () => {
      const { model } = build([down()], {
        fallbacks: [new ScriptedChatModel('fallback', 'second')],
        maxAttempts: 1,
      });
      expect(await read(model)).toBe('second');
    });

    it('never repeats what a reader has seen', async () => {
      const fallback = new ScriptedChatModel('fallback', 'second');
      const { model, primary } = build([{ parts: ['one ', 'two '], error: down() }], {
        fallbacks: [fallback],
      });
      const seen: string[] = [];
      const reading = (async () => {
        for await (const chunk of model.stream(request)) if (chunk.type === 'text') seen.push(chunk.text);
      })();
      await expect(reading).rejects.toMatchObject({ code: 'LLM_UNAVAILABLE' });
      expect(seen).toEqual(['one ', 'two ']);
      expect(primary.requests).toHaveLength(1);
      expect(fallback.requests).toHaveLength(0);
    });

    it('opens the breaker for streams that break in the middle too', async () => {
      const { model, primary } = build([{ parts: ['one '], error: down() }], {
        breakerFailures: 1,
        maxAttempts: 1,
      });
      await expect(read(model)).rejects.toMatchObject({ code: 'LLM_UNAVAILABLE' });
      await expect(read(model)).rejects.toMatchObject({ code: 'LLM_BREAKER_OPEN' });
      expect(primary.requests).toHaveLength(1);
    });

    it('opens the breaker for a model that begins every answer and finishes none', async () => {
      const { model, primary } = build([{ parts: ['one '], error: down() }], {
        breakerFailures: 3,
        maxAttempts: 1,
      });
      for (let call = 0; call < 3; call++)
        await expect(read(model)).rejects.toMatchObject({ code: 'LLM_UNAVAILABLE' });
      await expect(read(model)).rejects.toMatchObject({ code: 'LLM_BREAKER_OPEN' });
      expect(primary.requests).toHaveLength(3);
    });

    it('says so when an answer comes from a fallback, and not otherwise', async () => {
      const { model } = build([down(), 'fine'], {
        fallbacks: [new ScriptedChatModel('fallback', 'second')],
        maxAttempts: 1,
      });
      const results: unknown[] = [];
      for (let call = 0; call < 2; call++)
        for await (const chunk of model.stream(request))
          if (chunk.type === 'done') results.push([chunk.result.model, chunk.result.fallback]);
      expect(results).toEqual([
        ['fallback', true],
        ['primary', undefined],
      ]);
    });

    it('takes a stream that ends without a result for a failure, not for a short answer', async () => {
      const { model } = build([{ parts: ['one '], end: false }], { maxAttempts: 1 });
      await expect(read(model)).rejects.toMatchObject({ code: 'LLM_BAD_RESPONSE' });
    });

    it('cancels the model when the reader leaves, and charges for what was sent', async () => {
      const admission = new RecordingAdmission();
      const { model, primary } = build([{ parts: ['one ', 'two ', 'three '] }], { admission });
      primary.price = { inputPerMillion: 0, outputPerMillion: 1e6 };
      for await (const chunk of model.stream(request)) {
        expect(chunk.type).toBe('text');
        break;
      }
      expect(primary.requests[0]?.signal?.aborted).toBe(true);
      expect(admission.log).toEqual(['admit', 'settle', 'release']);
      const outputTokens = model.countTokens('one ');
      expect(admission.settled[0]).toMatchObject({ outputTokens, costUsd: outputTokens });
      expect(events.at(-1)).toMatchObject({ operation: 'stream', outcome: 'cancelled' });
    });
  });

  describe('admission', () => {
    it('is asked for the prompt and the longest answer, and settled with what was used', async () => {
      const admission = new RecordingAdmission();
      const { model } = build(['fine'], { admission });
      const { usage } = await model.generate(request);
      expect(admission.asked[0]).toMatchObject({
        tenantId: 'acme',
        estimatedTokens: model.countTokens('Why?') + 4 + 50,
      });
      expect(admission.settled).toEqual([usage]);
      expect(admission.log).toEqual(['admit', 'settle', 'release']);
    });

    it('that refuses stops the call before it is made', async () => {
      const refusal = new LlmBudgetExceededError(100);
      const { model, primary } = build(['fine'], { admission: { admit: () => Promise.reject(refusal) } });
      await expect(model.generate(request)).rejects.toBe(refusal);
      await expect(read(model)).rejects.toBe(refusal);
      expect(primary.requests).toHaveLength(0);
    });

    it('is released, and not charged, when the call fails', async () => {
      const admission = new RecordingAdmission();
      const { model } = build([down()], { admission, maxAttempts: 1 });
      await expect(model.generate(request)).rejects.toMatchObject({ code: 'LLM_UNAVAILABLE' });
      expect(admission.log).toEqual(['admit', 'release']);
    });

    it('that cannot be booked does not cost the answer', async () => {
      const admission = new RecordingAdmission();
      admission.settleFails = true;
      const { model } = build(['fine'], { admission });
      expect((await model.generate(request)).text).toBe('fine');
    });

    it('that is lost stops the call', async () => {
      const admission = new RecordingAdmission();
      const { model } = build(['stall'], { admission });
      const reason = new Error('lease lost');
      const rejection = expect(model.generate(request)).rejects.toBe(reason);
      await clock.advance(1);
      admission.lease.abort(reason);
      await rejection;
      expect(admission.log).toEqual(['admit', 'settle', 'release']);
    });

    it('is charged for the prompt of a call that was cancelled while the model worked on it, and only then', async () => {
      const admission = new RecordingAdmission();
      const { model, primary } = build(['stall', down(), 'fine'], { admission, maxAttempts: 2 });
      primary.price = { inputPerMillion: 100, outputPerMillion: 0 };
      const caller = new AbortController();
      const call = model.generate({ ...request, signal: caller.signal });
      const rejection = expect(call).rejects.toThrow('left');
      await clock.advance(1);
      caller.abort(new Error('left'));
      await rejection;
      const tokens = model.countTokens('Why?') + 4;
      expect(admission.settled).toEqual([
        { inputTokens: tokens, outputTokens: 0, costUsd: (tokens * 100) / 1e6 },
      ]);
      expect(events.at(-1)).toMatchObject({ outcome: 'cancelled', inputTokens: tokens });
      await finish(model.generate(request));
      expect(admission.settled.at(-1)).toMatchObject({ inputTokens: 10 });
    });

    it('is settled with the attempts that came to nothing beside the one that answered', async () => {
      const admission = new RecordingAdmission();
      const { model } = build([new LlmBadResponseError('primary', 'it is empty'), 'fine'], { admission });
      const { usage } = await finish(model.generate(request));
      const tokens = model.countTokens('Why?') + 4;
      expect(usage.inputTokens).toBe(10);
      expect(admission.settled[0]?.inputTokens).toBe(10 + tokens);
    });

    it('is given back, once, when the reader of a stream neither reads on nor leaves', async () => {
      const admission = new RecordingAdmission();
      const { model, primary } = build([{ parts: ['one ', 'two ', 'three '] }], {
        admission,
        maxStreamMs: 5000,
      });
      const iterator = model.stream(request)[Symbol.asyncIterator]();
      await iterator.next();
      await clock.advance(5000);
      expect(admission.log).toEqual(['admit', 'settle', 'release']);
      expect(primary.requests[0]?.signal?.aborted).toBe(true);
      expect(events).toMatchObject([{ operation: 'stream', outcome: 'timeout' }]);
      await expect(iterator.next()).rejects.toMatchObject({ code: 'LLM_TIMEOUT' });
      expect(admission.log).toHaveLength(3);
      expect(events).toHaveLength(1);
    });
  });

  describe('a window of tokens', () => {
    it('that the prompt and the longest answer do not fit refuses before anything is admitted or sent', async () => {
      const admission = new RecordingAdmission();
      const primary = new ScriptedChatModel('primary', 'fine');
      primary.contextTokens = 54;
      const model = new ResilientChatModel(primary, { clock, admission });
      const tools = [{ name: 'search', description: 'Finds things', parameters: { type: 'object' } }];
      const tokens = promptTokens(model, request);
      expect(model.contextTokens).toBe(54);
      expect(tokens + 50).toBeGreaterThan(54);
      await expect(model.generate(request)).rejects.toMatchObject({ code: 'LLM_CONTEXT_TOO_LONG' });
      await expect(read(model)).rejects.toMatchObject({ code: 'LLM_CONTEXT_TOO_LONG' });
      const short = { ...request, maxOutputTokens: 54 - tokens };
      await expect(model.generate({ ...short, tools })).rejects.toMatchObject({
        code: 'LLM_CONTEXT_TOO_LONG',
      });
      expect(admission.log).toEqual([]);
      expect((await model.generate(short)).text).toBe('fine');
    });

    it('that is too small leaves a fallback out', async () => {
      const small = new ScriptedChatModel('small', 'from the small one');
      small.contextTokens = 10;
      const large = new ScriptedChatModel('large', 'from the large one');
      const { model } = build([down()], { fallbacks: [small, large], maxAttempts: 1 });
      expect(await model.generate(request)).toMatchObject({ model: 'large', fallback: true });
      expect(small.requests).toHaveLength(0);
    });
  });
});
