import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseTenantId } from '@sparkle/contracts';
import { afterAll, describe, expect, it } from 'vitest';
import { embeddingModelContract } from '../../testing/embedding-model.contract.js';
import { LocalEmbeddingModel } from './local-embedding.model.js';

const tenantId = parseTenantId('acme');

embeddingModelContract('LocalEmbeddingModel', async () => {
  const model = new LocalEmbeddingModel();
  return { model, close: () => model.close() };
});

describe('LocalEmbeddingModel', () => {
  const model = new LocalEmbeddingModel();
  afterAll(() => model.close());

  const similarity = async (a: string, b: string) => {
    const [left, right] = await model.embed({ tenantId, texts: [a, b] });
    return (left as Float32Array).reduce((sum, value, index) => sum + value * (right?.[index] ?? 0), 0);
  };

  it('puts a paraphrase above its threshold and another subject far below', async () => {
    expect(await similarity('How do I learn to swim?', 'How can I learn swimming?')).toBeGreaterThan(
      model.semanticThreshold,
    );
    expect(await similarity('How do I learn to swim?', 'What is the capital of France?')).toBeLessThan(0.6);
  });

  it('tells Chinese texts apart, which the encoder alone cannot', async () => {
    const close = await similarity('什么是监督学习？', '监督学习是什么？');
    const far = await similarity('什么是监督学习？', '今天天气怎么样？');
    expect(close).toBeGreaterThan(0.75);
    expect(far).toBeLessThan(0.3);
  });

  it('weighs both scripts of a mixed text', async () => {
    const both = '什么是 gradient descent 算法？';
    expect(await similarity(both, '什么是算法？')).toBeGreaterThan(await similarity(both, '天气很好'));
    expect(await similarity(both, 'gradient descent')).toBeGreaterThan(
      await similarity(both, 'blue bananas'),
    );
  });

  it('leaves the event loop free while it computes', async () => {
    await model.embed({ tenantId, texts: ['warm'] });
    const delay = monitorEventLoopDelay({ resolution: 1 });
    let turns = 0;
    let running = true;
    const spin = () => {
      turns++;
      if (running) setImmediate(spin);
    };
    delay.enable();
    setImmediate(spin);
    await model.embed({
      tenantId,
      texts: Array.from({ length: 8 }, (_, n) => `Passage ${n} on rivers. `.repeat(40)),
    });
    running = false;
    delay.disable();
    expect(turns).toBeGreaterThan(100);
  });

  it('serves a short call while a long one is under way', async () => {
    const finished: string[] = [];
    const long = model
      .embed({
        tenantId,
        texts: Array.from({ length: 60 }, (_, n) => `Long passage ${n} on stars. `.repeat(30)),
      })
      .then(() => finished.push('long'));
    const short = model.embed({ tenantId, texts: ['short'] }).then(() => finished.push('short'));
    await Promise.all([long, short]);
    expect(finished).toEqual(['short', 'long']);
  });

  it('refuses calls once closed', async () => {
    const closed = new LocalEmbeddingModel();
    await closed.close();
    await expect(closed.embed({ tenantId, texts: ['x'] })).rejects.toMatchObject({ code: 'LLM_UNAVAILABLE' });
  });
});
