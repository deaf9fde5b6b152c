import { parseTenantId } from '@sparkle/contracts';
import { describe, expect, it } from 'vitest';
import type { EmbeddingModel, EmbedRequest } from '../ports/embedding-model.port.js';
import { CachedEmbeddingModel } from './cached-embedding.model.js';

const acme = parseTenantId('acme');
const globex = parseTenantId('globex');

class CountingModel implements EmbeddingModel {
  readonly id = 'counting';
  readonly dimensions = 1;
  readonly maxInputTokens = 10;
  readonly asked: string[][] = [];
  failing = false;

  async embed({ texts }: EmbedRequest): Promise<Float32Array[]> {
    this.asked.push([...texts]);
    if (this.failing) throw new Error('down');
    return texts.map((text) => Float32Array.of(text.length));
  }
}

describe('CachedEmbeddingModel', () => {
  it('asks for each distinct text once and keeps the order', async () => {
    const model = new CountingModel();
    const cached = new CachedEmbeddingModel(model);
    await cached.embed({ tenantId: acme, texts: ['bb'] });
    const vectors = await cached.embed({ tenantId: acme, texts: ['a', 'bb', 'a', 'ccc'] });
    expect(vectors.map(([value]) => value)).toEqual([1, 2, 1, 3]);
    expect(model.asked).toEqual([['bb'], ['a', 'ccc']]);
  });

  it('shares nothing between tenants', async () => {
    const model = new CountingModel();
    const cached = new CachedEmbeddingModel(model);
    await cached.embed({ tenantId: acme, texts: ['a'] });
    await cached.embed({ tenantId: globex, texts: ['a'] });
    expect(model.asked).toHaveLength(2);
  });

  it('drops the least recently used vector beyond its bound', async () => {
    const model = new CountingModel();
    const cached = new CachedEmbeddingModel(model, { maxEntries: 2 });
    await cached.embed({ tenantId: acme, texts: ['a', 'bb'] });
    await cached.embed({ tenantId: acme, texts: ['a'] });
    await cached.embed({ tenantId: acme, texts: ['ccc'] });
    expect(cached.size).toBe(2);
    await cached.embed({ tenantId: acme, texts: ['a'] });
    await cached.embed({ tenantId: acme, texts: ['bb'] });
    expect(model.asked).toEqual([['a', 'bb'], ['ccc'], ['bb']]);
  });

  it('keeps nothing of a failed call', async () => {
    const model = new CountingModel();
    const cached = new CachedEmbeddingModel(model);
    model.failing = true;
    await expect(cached.embed({ tenantId: acme, texts: ['a'] })).rejects.toThrow('down');
    model.failing = false;
    expect(await cached.embed({ tenantId: acme, texts: ['a'] })).toEqual([Float32Array.of(1)]);
  });

  it('is not harmed by a caller that changes a vector', async () => {
    const cached = new CachedEmbeddingModel(new CountingModel());
    const [first] = await cached.embed({ tenantId: acme, texts: ['a'] });
    first?.fill(99);
    expect(await cached.embed({ tenantId: acme, texts: ['a'] })).toEqual([Float32Array.of(1)]);
  });
});
