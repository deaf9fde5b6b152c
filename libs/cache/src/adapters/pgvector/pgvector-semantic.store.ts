import type { SqlClient, TenantDatabase, TenantId } from '@sparkle/contracts';
import { z } from 'zod';
import { CacheStoreError } from '../../errors.js';
import type {
  PurgeMark,
  SemanticCandidate,
  SemanticEntry,
  SemanticEntryToStore,
  SemanticPartition,
  SemanticStore,
  StoredSemanticEntry,
  Tightening,
} from '../../ports/semantic-store.port.js';

const entryRow = z.object({
  id: z.string(),
  question: z.string(),
  answer: z.string(),
  threshold: z.number(),
  document_ids: z.array(z.string()),
  remaining_ms: z.coerce.number(),
});
const storedRow = z.object({ id: z.string(), threshold: z.number() });
const candidateRow = entryRow.extend({ similarity: z.coerce.number() });

const COLUMNS = `id, question, answer, threshold, document_ids,
  extract(epoch FROM expires_at - now()) * 1000 AS remaining_ms`;
const ALIVE = 'tenant_id = $1 AND partition_digest = $2 AND answer IS NOT NULL AND expires_at > now()';
/** Purges of a tenant take it alone, storing takes it together: neither misses the other. Freed on commit. */
const PURGE_LOCK = "hashtextextended('sparkle-semantic-purge:' || $1, 0)";
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Answers in PostgreSQL with pgvector ≥ 0.8, in the table of `semanticCacheMigration`. The search is an HNSW
 * search inside one partition: the partition is part of the query, and the index is scanned on until enough rows
 * of it are found (`hnsw.iterative_scan`). Small partitions are read whole through the primary key. Expiry follows
 * the database's clock.
 */
export class PgvectorSemanticStore implements SemanticStore {
  /** @param efSearch breadth of the index search, 1–1000. Default 80. */
  constructor(
    private readonly database: TenantDatabase,
    private readonly efSearch = 80,
  ) {}

  async findExact(partition: SemanticPartition, canonicalHash: string): Promise<SemanticEntry | undefined> {
    const [row] = await this.database.withTenant(partition.tenantId, (sql) =>
      sql.query(`SELECT ${COLUMNS} FROM semantic_cache_entries WHERE ${ALIVE} AND canonical_hash = $3`, [
        partition.tenantId,
        partition.digest,
        canonicalHash,
      ]),
    );
    return row && toEntry(parse(entryRow, row));
  }

  async search(
    partition: SemanticPartition,
    embedding: Float32Array,
    limit: number,
  ): Promise<SemanticCandidate[]> {
    const rows = await this.database.withTenant(partition.tenantId, async (sql) => {
      await sql.query(
        "SELECT set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', $1, true)",
        [String(this.efSearch)],
      );
      return sql.query(
        `SELECT ${COLUMNS}, 1 - (embedding <=> $3::vector) AS similarity FROM semantic_cache_entries
          WHERE ${ALIVE} ORDER BY embedding <=> $3::vector LIMIT $4`,
        [partition.tenantId, partition.digest, toVector(embedding), limit],
      );
    });
    return rows.map((row) => {
      const parsed = parse(candidateRow, row);
      return { ...toEntry(parsed), similarity: parsed.similarity };
    });
  }

  async purgeMark(tenantId: TenantId): Promise<PurgeMark> {
    const [row] = await this.database.withTenant(tenantId, (sql) =>
      sql.query(
        'SELECT coalesce(max(mark), 0)::text AS mark FROM semantic_cache_purges WHERE tenant_id = $1',
        [tenantId],
      ),
    );
    return parse(z.object({ mark: z.string() }), row).mark;
  }

  async store(
    partition: SemanticPartition,
    entry: SemanticEntryToStore,
  ): Promise<StoredSemanticEntry | undefined> {
    const [row] = await this.database.withTenant(partition.tenantId, async (sql) => {
      if (
        entry.asOf !== undefined &&
        (await isOutdated(sql, partition.tenantId, entry.documentIds, entry.asOf))
      )
        return [];
      return sql.query(
        `INSERT INTO semantic_cache_entries AS held
            (tenant_id, partition_digest, canonical_hash, question, embedding, answer, threshold, document_ids,
             expires_at)
          VALUES ($1, $2, $3, $4, $5::vector, $6, $7, $8, now() + $9 * interval '1 millisecond')
          ON CONFLICT (tenant_id, partition_digest, canonical_hash) DO UPDATE SET
            question = excluded.question, embedding = excluded.embedding, answer = excluded.answer,
            threshold = CASE WHEN held.expires_at > now()
              THEN greatest(held.threshold, excluded.threshold) ELSE excluded.threshold END,
            document_ids = excluded.document_ids, created_at = now(), expires_at = excluded.expires_at
          RETURNING id, threshold`,
        [
          partition.tenantId,
          partition.digest,
          entry.canonicalHash,
          entry.question,
          toVector(entry.embedding),
          entry.answer,
          entry.threshold,
          entry.documentIds,
          entry.ttlMs,
        ],
      );
    });
    return row && parse(storedRow, row);
  }

  async evictAndTighten(
    tenantId: TenantId,
    id: string,
    { by, above }: Tightening,
    keepMs: number,
  ): Promise<boolean> {
    if (!UUID.test(id)) return false;
    const evicted = await this.count(
      tenantId,
      `UPDATE semantic_cache_entries SET answer = NULL, expires_at = now() + $5 * interval '1 millisecond',
          threshold = least(1, greatest(threshold, $3) + $4)
        WHERE tenant_id = $1 AND id = $2 AND expires_at > now() RETURNING 1 AS one`,
      [tenantId, id, above, by, keepMs],
    );
    return evicted > 0;
  }

  async purgeByDocument(tenantId: TenantId, documentId: string): Promise<number> {
    const rows = await this.database.withTenant(tenantId, async (sql) => {
      await sql.query(`SELECT pg_advisory_xact_lock(${PURGE_LOCK})`, [tenantId]);
      await sql.query(
        `INSERT INTO semantic_cache_purges (tenant_id, document_id, mark, expires_at)
          VALUES ($1, $2, nextval('semantic_cache_purge_marks'), now() + interval '24 hours')
          ON CONFLICT (tenant_id, document_id)
          DO UPDATE SET mark = excluded.mark, expires_at = excluded.expires_at`,
        [tenantId, documentId],
      );
      return sql.query(
        'DELETE FROM semantic_cache_entries WHERE tenant_id = $1 AND document_ids @> ARRAY[$2]::text[] RETURNING 1 AS one',
        [tenantId, documentId],
      );
    });
    return rows.length;
  }

  async removeExpired(tenantId: TenantId): Promise<number> {
    await this.count(
      tenantId,
      'DELETE FROM semantic_cache_purges WHERE tenant_id = $1 AND expires_at <= now() RETURNING 1 AS one',
      [tenantId],
    );
    return this.count(
      tenantId,
      'DELETE FROM semantic_cache_entries WHERE tenant_id = $1 AND expires_at <= now() RETURNING 1 AS one',
      [tenantId],
    );
  }

  private async count(
    tenantId: TenantId,
    statement: string,
    parameters: readonly unknown[],
  ): Promise<number> {
    const rows = await this.database.withTenant(tenantId, (sql) => sql.query(statement, parameters));
    return rows.length;
  }
}

/** Whether a document was purged after `asOf`. Until the transaction ends, none will be. */
async function isOutdated(
  sql: SqlClient,
  tenantId: TenantId,
  documentIds: readonly string[],
  asOf: PurgeMark,
): Promise<boolean> {
  await sql.query(`SELECT pg_advisory_xact_lock_shared(${PURGE_LOCK})`, [tenantId]);
  const later = await sql.query(
    `SELECT 1 AS one FROM semantic_cache_purges
      WHERE tenant_id = $1 AND document_id = ANY ($2::text[]) AND mark > $3::bigint LIMIT 1`,
    [tenantId, documentIds, asOf],
  );
  return later.length > 0;
}

function toVector(embedding: Float32Array): string {
  return `[${embedding.join(',')}]`;
}

function toEntry(row: z.output<typeof entryRow>): SemanticEntry {
  const { document_ids: documentIds, remaining_ms: remainingMs, ...rest } = row;
  return { ...rest, documentIds, remainingMs };
}

function parse<Schema extends z.ZodType>(schema: Schema, row: unknown): z.output<Schema> {
  const parsed = schema.safeParse(row);
  if (parsed.success) return parsed.data;
  throw new CacheStoreError('A row of semantic_cache_entries has an unexpected form.');
}
