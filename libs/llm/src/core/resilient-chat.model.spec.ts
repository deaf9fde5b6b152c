import { channels, type ModelEvent, parseTenantId } from '@sparkle/contracts';
import { SeededRandom, TestClock } from '@sparkle/contracts/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  LlmAuthFailedError,
  LlmBudgetExceededError,
  LlmContextTooLongError,
  LlmRateLimitedError,
  LlmUnavailableError,
} from '../errors.js';
import type { ChatRequest, TokenUsage } from '../ports/chat-model.port.js';
import type { AdmissionRequest, ModelAdmission } from '../ports/model-admission.port.js';
import { ScriptedChatModel, type ScriptedReply } from '../testing/scripted-chat.model.js';
import { ResilientChatModel, type ResilientChatOptions } from './resilient-chat.model.js';

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

    it('cancels the model when the reader leaves, and charges for what was sent', async () => {
      const admission = new RecordingAdmission();
      const { model, primary } = build([{ parts: ['one ', 'two ', 'three '] }], { admission });
      for await (const chunk of model.stream(request)) {
        expect(chunk.type).toBe('text');
        break;
      }
      expect(primary.requests[0]?.signal?.aborted).toBe(true);
      expect(admission.log).toEqual(['admit', 'settle', 'release']);
      expect(admission.settled[0]?.outputTokens).toBe(model.countTokens('one '));
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
      expect(admission.log).toEqual(['admit', 'release']);
    });
  });
});
