import { parseTenantId } from '@sparkle/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EmbeddingModel } from '../ports/embedding-model.port.js';

export interface EmbeddingModelSubject {
  readonly model: EmbeddingModel;
  close(): Promise<void>;
}

/** Every guarantee of the {@link EmbeddingModel} port; run it against each adapter. */
export function embeddingModelContract(name: string, create: () => Promise<EmbeddingModelSubject>): void {
  describe(`${name} keeps the embedding model contract`, () => {
    const tenantId = parseTenantId('contract');
    let subject: EmbeddingModelSubject;
    beforeAll(async () => {
      subject = await create();
    });
    afterAll(() => subject.close());

    const embed = (texts: readonly string[], signal?: AbortSignal) =>
      subject.model.embed({ tenantId, texts, ...(signal && { signal }) });

    it('gives one vector of norm 1 and the stated length per text, in order', async () => {
      const texts = ['The cat sleeps.', '机器学习', 'x', 'The cat sleeps.'];
      const vectors = await embed(texts);
      expect(vectors).toHaveLength(4);
      for (const vector of vectors) {
        expect(vector).toBeInstanceOf(Float32Array);
        expect(vector).toHaveLength(subject.model.dimensions);
        expect(Math.hypot(...vector)).toBeCloseTo(1, 4);
      }
      expect(similarity(vectors[0], vectors[3])).toBeCloseTo(1, 5);
      expect(similarity(vectors[0], vectors[1])).toBeLessThan(0.9);
    });

    it('gives a text the same vector alone and in a batch', async () => {
      const texts = Array.from(
        { length: 40 },
        (_, index) => `Sentence number ${index} about topic ${index % 7}.`,
      );
      const batch = await embed(texts);
      const [alone] = await embed([texts[23] as string]);
      expect(similarity(batch[23], alone)).toBeCloseTo(1, 4);
    });

    it('gives no vectors for no texts', async () => {
      expect(await embed([])).toEqual([]);
    });

    it('takes a text far longer than its limit', async () => {
      const [vector] = await embed(['neural networks learn '.repeat(5000)]);
      expect(vector).toHaveLength(subject.model.dimensions);
    });

    it('refuses a blank text and names its place', async () => {
      await expect(embed(['fine', ' \n'])).rejects.toMatchObject({
        code: 'LLM_INPUT_INVALID',
        message: expect.stringContaining('texts[1]'),
      });
    });

    it('rejects with the reason of a signal that has aborted', async () => {
      const reason = new Error('gone');
      await expect(embed(['x'], AbortSignal.abort(reason))).rejects.toBe(reason);
    });

    it('rejects with the reason of a signal that aborts during the call', async () => {
      const controller = new AbortController();
      const reason = new Error('left');
      const call = embed(
        Array.from({ length: 200 }, (_, index) => `A passage about subject ${index}.`),
        controller.signal,
      );
      setImmediate(() => controller.abort(reason));
      await expect(call).rejects.toBe(reason);
      expect(await embed(['still works'])).toHaveLength(1);
    });
  });
}

function similarity(a: Float32Array | undefined, b: Float32Array | undefined): number {
  if (!a || !b) throw new Error('A vector is missing.');
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}
