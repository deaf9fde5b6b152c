import type { TenantId } from '@sparkle/contracts';
import type { TestDatabase } from '@sparkle/database/testing';
import type { EmbeddingModel, EmbedRequest } from '@sparkle/llm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { analyse } from '../index/analyse.js';
import { denseShare, USUAL_DENSE_SHARE } from '../retrieve/embedding-strength.js';
import { createGraphragDatabase, createTestGraphragOn } from '../testing/test-graphrag.js';

const DIMENSIONS = 512;

/** Knows of each text which crop it is about, by one word that keywords would have to share; sees nothing else. */
class CropEmbeddingModel implements EmbeddingModel {
  readonly dimensions = DIMENSIONS;
  readonly maxInputTokens = 100_000;
  calls = 0;

  constructor(
    readonly id: string,
    /** False embeds every text alike. */
    private readonly understands: boolean,
  ) {}

  async embed({ texts }: EmbedRequest): Promise<Float32Array[]> {
    this.calls += 1;
    return texts.map((text) => {
      const vector = new Float32Array(DIMENSIONS).fill(0.01);
      const about = analyse(text).find((term) => /^crop\p{L}+$/u.test(term));
      if (this.understands && about) vector[CROPS.indexOf(about)] = 10;
      const norm = Math.hypot(...vector);
      return vector.map((value) => value / norm);
    });
  }
}

const LETTERS = 'bcdfghjklm';
const CROPS = Array.from(
  { length: 160 },
  (_, at) => `crop${[...String(at).padStart(3, '0')].map((digit) => LETTERS[Number(digit)]).join('u')}a`,
);

/** One passage per crop; the sentence in the middle is what a probe is made of. */
function passage(crop: string, at: number): { title: string; content: string } {
  const middle = `Farmers water ${crop} fields early and harvest them before autumn storms arrive.`;
  return {
    title: `Field notes ${at}`,
    content: `It grows on plot ${at}. ${middle} Plot ${at} rests in winter.`,
  };
}

let test: TestDatabase;
const tenants = new Map<string, TenantId>();
beforeAll(async () => {
  test = await createGraphragDatabase();
}, 60_000);
afterAll(() => test.drop());

async function ingest(name: string, embeddings: EmbeddingModel, from: number, to: number) {
  const tenantId = tenants.get(name) ?? (await test.createTenant(name));
  tenants.set(name, tenantId);
  const graphrag = createTestGraphragOn(test, { embeddings });
  const uploads = CROPS.slice(from, to).map((crop, at) => ({
    userId: 'u',
    format: 'text',
    ...passage(crop, from + at),
  }));
  const { failures } = await graphrag.ingestion.ingestMany(tenantId, uploads);
  expect(failures).toEqual([]);
  const version = await graphrag.snapshots.version(tenantId);
  return {
    tenantId,
    strength: await graphrag.strengths.of(tenantId, version),
    strengths: graphrag.strengths,
  };
}

describe('the strength of the embedding model', () => {
  it('is not measured while there are few passages', async () => {
    const { strength } = await ingest('few', new CropEmbeddingModel('oracle', true), 0, 20);
    expect(strength).toBeUndefined();
    expect(denseShare(strength)).toBe(USUAL_DENSE_SHARE);
  });

  it('gives a model that finds its passages more weight than one that does not', async () => {
    const strong = await ingest('strong', new CropEmbeddingModel('oracle', true), 0, 80);
    expect(strong.strength!.samples).toBeGreaterThanOrEqual(16);
    expect(strong.strength!.denseRank).toBeGreaterThan(0.9);
    expect(denseShare(strong.strength)).toBeGreaterThan(0.6);
    const weak = await ingest('weak', new CropEmbeddingModel('blind', false), 0, 80);
    expect(weak.strength!.denseRank).toBeLessThan(0.3);
    expect(denseShare(weak.strength)).toBe(USUAL_DENSE_SHARE);
  });

  it('is measured again once the passages have doubled, not before', async () => {
    const model = new CropEmbeddingModel('oracle', true);
    const first = await ingest('growing', model, 0, 70);
    const measuredAt = first.strength!.passages;
    expect(await first.strengths.refresh(first.tenantId)).toBe(false);
    const later = await ingest('growing', model, 70, 160);
    expect(later.strength!.passages).toBeGreaterThanOrEqual(2 * measuredAt);
  });

  it('belongs to one model and one tenant', async () => {
    const { tenantId } = await ingest('owner', new CropEmbeddingModel('oracle', true), 0, 80);
    const other = createTestGraphragOn(test, { embeddings: new CropEmbeddingModel('another', true) });
    expect(await other.strengths.of(tenantId, 1)).toBeUndefined();
    const stranger = await test.createTenant('stranger');
    const seen = await test.database.withTenant(stranger, (sql) =>
      sql.query('SELECT tenant_id FROM embedding_strengths'),
    );
    expect(seen).toEqual([]);
    const same = createTestGraphragOn(test, { embeddings: new CropEmbeddingModel('oracle', true) });
    expect(await same.strengths.of(stranger, 1)).toBeUndefined();
  });
});
