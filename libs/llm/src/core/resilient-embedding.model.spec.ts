import { channels, type ModelEvent, parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LlmRequestRejectedError } from '../errors.js';
import type { TokenUsage } from '../ports/chat-model.port.js';
import type { EmbeddingModel, EmbedRequest } from '../ports/embedding-model.port.js';
import type { AdmissionRequest, ModelAdmission } from '../ports/model-admission.port.js';
import { CachedEmbeddingModel } from './cached-embedding.model.js';
import { ResilientEmbeddingModel, type ResilientEmbeddingOptions } from './resilient-embedding.model.js';
import { countTokens } from './token-count.js';

const tenantId = parseTenantId('acme');
const globex = parseTenantId('globex');

class LengthModel implements EmbeddingModel {
  readonly id = 'lengths';
  readonly dimensions = 1;
  readonly maxInputTokens = 8000;
  readonly maxBatch = 3;
  readonly asked: string[][] = [];
  reports?: number;
  refused = '';

  async embed({ texts, onUsage }: EmbedRequest): Promise<Float32Array[]> {
    this.asked.push([...texts]);
    if (texts.includes(this.refused)) throw new LlmRequestRejectedError(this.id, 400);
    if (this.reports !== undefined) onUsage?.(this.reports);
    return texts.map((text) => Float32Array.of(text.length));
  }
}

class RecordingAdmission implements ModelAdmission {
  readonly asked: AdmissionRequest[] = [];
  readonly log: string[] = [];
  readonly settled: TokenUsage[] = [];

  async admit(asked: AdmissionRequest) {
    this.asked.push(asked);
    this.log.push('admit');
    return {
      settle: async (usage: TokenUsage) => {
        this.log.push('settle');
        this.settled.push(usage);
      },
      release: async () => {
        this.log.push('release');
      },
    };
  }
}

describe('ResilientEmbeddingModel', () => {
  const events: ModelEvent[] = [];
  let unsubscribe: () => void;
  beforeEach(() => {
    events.length = 0;
    unsubscribe = channels.model.subscribe((event) => events.push({ ...event }));
  });
  afterEach(() => unsubscribe());

  const build = (options: ResilientEmbeddingOptions = {}) => {
    const base = new LengthModel();
    const admission = new RecordingAdmission();
    const model = new ResilientEmbeddingModel(base, { clock: new TestClock(), admission, ...options });
    return { base, admission, model };
  };

  it('asks for admission call by call, with the tokens of that call, and settles each', async () => {
    const { base, admission, model } = build({ pricePerMillion: 2 });
    await model.embed({ tenantId, texts: ['a', 'b', 'c', 'some more words'] });
    expect(base.asked).toEqual([['a', 'b', 'c'], ['some more words']]);
    expect(admission.asked).toMatchObject([
      { tenantId: 'acme', operation: 'embed', estimatedTokens: 3 },
      { tenantId: 'acme', operation: 'embed', estimatedTokens: countTokens('some more words') },
    ]);
    expect(admission.log).toEqual(['admit', 'settle', 'release', 'admit', 'settle', 'release']);
    expect(admission.settled[0]).toEqual({ inputTokens: 3, outputTokens: 0, costUsd: 6 / 1e6 });
    expect(events).toMatchObject([
      { operation: 'embed', outcome: 'success', inputTokens: 3, costUsd: 6 / 1e6 },
      { operation: 'embed', outcome: 'success' },
    ]);
  });

  it('charges what the provider reports rather than what was counted here', async () => {
    const { base, admission, model } = build({ pricePerMillion: 1 });
    base.reports = 77;
    let told = 0;
    await model.embed({
      tenantId,
      texts: ['a'],
      onUsage: (tokens) => {
        told += tokens;
      },
    });
    expect(admission.settled).toEqual([{ inputTokens: 77, outputTokens: 0, costUsd: 77 / 1e6 }]);
    expect(told).toBe(77);
  });

  it('keeps a call within a portion of tokens, so that small budgets can be drawn on bit by bit', async () => {
    const { base, admission, model } = build();
    const long = 'word '.repeat(7000);
    await model.embed({ tenantId, texts: [long, long, long] });
    expect(base.asked.map((texts) => texts.length)).toEqual([2, 1]);
    for (const { estimatedTokens } of admission.asked) expect(estimatedTokens).toBeLessThanOrEqual(16_384);
  });

  it('refuses blank texts before anything is admitted', async () => {
    const { admission, model } = build();
    await expect(model.embed({ tenantId, texts: ['a', ' '] })).rejects.toMatchObject({
      code: 'LLM_INPUT_INVALID',
    });
    expect(admission.log).toEqual([]);
  });

  it('with a cache before it keeps the vectors of accepted texts, and tells the places of the refused ones', async () => {
    const { base, model } = build();
    const cached = new CachedEmbeddingModel(model);
    await cached.embed({ tenantId, texts: ['known'] });
    base.refused = 'evil';
    const texts = ['one', 'known', 'evil', 'three', 'evil'];
    await expect(cached.embed({ tenantId, texts })).rejects.toMatchObject({
      code: 'LLM_TEXTS_REJECTED',
      indexes: [2, 4],
      vectors: [Float32Array.of(3), Float32Array.of(5), undefined, Float32Array.of(5), undefined],
    });
    base.asked.length = 0;
    expect(await cached.embed({ tenantId, texts: ['three', 'one'] })).toHaveLength(2);
    expect(base.asked).toEqual([]);
  });

  it('with a cache before it never serves a vector to another tenant', async () => {
    const { base, model } = build();
    const cached = new CachedEmbeddingModel(model);
    await cached.embed({ tenantId, texts: ['secret'] });
    await cached.embed({ tenantId: globex, texts: ['secret'] });
    expect(base.asked).toEqual([['secret'], ['secret']]);
    expect(events.map((event) => event.tenantId)).toEqual(['acme', 'globex']);
  });
});
