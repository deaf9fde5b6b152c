import { Inject, Injectable } from '@nestjs/common';
import { TenantDatabase, type TenantId } from '@sparkle/contracts';
import { EmbeddingModel, isLlmError } from '@sparkle/llm';
import {
  countPublished,
  readEmbeddingStrength,
  samplePassages,
  writeEmbeddingStrength,
} from '../adapters/postgres/embedding-strength.store.js';
import { TransactionVectorIndex } from '../adapters/postgres/pg-vector-index.js';
import { SqlGraphReader } from '../adapters/postgres/sql-graph-reader.js';
import { GraphragOptions } from '../graphrag.options.js';
import { type EmbeddingStrength, measureStrength, probeOf } from '../retrieve/embedding-strength.js';

/** Passages that probes are made from. */
const SAMPLED_PASSAGES = 64;
/** Before there are so many passages, every search finds everything. */
const LEAST_PASSAGES = 64;
const REMEMBERED_TENANTS = 1000;

/**
 * Knows how far the embedding model can be relied on for each tenant's texts. Ingestion has it measured once there
 * are enough passages, and again each time their number has doubled, so that it costs a fixed part of ingestion.
 */
@Injectable()
export class EmbeddingStrengthService {
  private readonly known = new Map<TenantId, { version: number; strength: EmbeddingStrength | undefined }>();

  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(EmbeddingModel) private readonly embeddings: EmbeddingModel,
    @Inject(GraphragOptions) private readonly options: GraphragOptions,
  ) {}

  /** The last measurement for the tenant's texts and the model at hand; remembered per corpus version. */
  async of(tenantId: TenantId, version: number): Promise<EmbeddingStrength | undefined> {
    const known = this.known.get(tenantId);
    if (known?.version === version) return known.strength;
    const strength = await this.database.withTenant(tenantId, (sql) =>
      readEmbeddingStrength(sql, tenantId, this.embeddings.id),
    );
    this.known.delete(tenantId);
    this.known.set(tenantId, { version, strength });
    if (this.known.size > REMEMBERED_TENANTS) this.known.delete(this.known.keys().next().value!);
    return strength;
  }

  /**
   * Measures when it is due. A model that fails now leaves things as they were: the next document asks again.
   * Resolves to whether it measured.
   */
  async refresh(tenantId: TenantId, signal?: AbortSignal): Promise<boolean> {
    const { passages, due, probes } = await this.database.withTenant(tenantId, async (sql) => {
      const last = await readEmbeddingStrength(sql, tenantId, this.embeddings.id);
      const from = last ? 2 * last.passages : LEAST_PASSAGES;
      const passages = await countPublished(sql, tenantId, from);
      const due = passages >= from;
      const sample = due ? await samplePassages(sql, tenantId, SAMPLED_PASSAGES) : [];
      return { passages, due, probes: sample.flatMap(({ id, text }) => probeOf(id, text) ?? []) };
    });
    if (!due) return false;
    const vectors = await this.embed(
      tenantId,
      probes.map(({ question }) => question),
      signal,
    );
    if (!vectors) return false;
    await this.database.withTenant(tenantId, async (sql) => {
      const { reader } = await SqlGraphReader.open(sql, tenantId);
      const index = new TransactionVectorIndex(sql, tenantId, this.options.efSearch);
      const measured = await measureStrength(probes, vectors, reader, index);
      await writeEmbeddingStrength(sql, tenantId, this.embeddings.id, { ...measured, passages });
    });
    this.known.delete(tenantId);
    return true;
  }

  private async embed(
    tenantId: TenantId,
    texts: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<readonly Float32Array[] | undefined> {
    if (texts.length === 0) return [];
    try {
      return await this.embeddings.embed({ tenantId, texts, ...(signal && { signal }) });
    } catch (error) {
      if (signal?.aborted || !isLlmError(error)) throw error;
      return undefined;
    }
  }
}
