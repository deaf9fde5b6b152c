import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { SqlClient, TenantId } from '@sparkle/contracts';
import { SeededRandom } from '@sparkle/contracts/testing';
import { PgVectorIndex } from '@sparkle/graphrag';
import { from as copyFrom } from 'pg-copy-streams';
import { type Case, interleaved, percentile } from '../interleaved.js';
import type { Report } from '../report.js';
import { type BenchTarget, DIMENSIONS, timed } from './own-database.js';

const VECTORS = 50_000;
const CLUSTERS = 250;
/** Of the noise to the centre: the cosine of two vectors of one cluster is about 0.6. */
const SPREAD = 0.8;
const QUERIES = 40;
const K = 10;
const BREADTHS = [40, 100, 200];
const ROUNDS = 2;

/** One vector in a hundred, one in ten, and all the others; `100%` searches all of them as the system. */
const TENANTS = { one: 0.01, ten: 0.1 } as const;

/**
 * HNSW (m = 16, ef_construction = 200) against an exact search of the same rows, through the product's own vector
 * index and row-level security. Vectors come from clusters, as embeddings do: on evenly spread ones every
 * index looks bad, and no corpus looks like that.
 */
export async function measureVectorSearch(report: Report, target: BenchTarget): Promise<void> {
  const random = new SeededRandom(7);
  const space = new ClusteredSpace(random);
  const tenants = await load(target, space, random);
  const queries = Array.from({ length: QUERIES }, () => space.draw());

  const buildMs = await target.prepare((client) =>
    timed(() =>
      client.query(`CREATE INDEX chunks_embedding ON chunks USING hnsw (embedding vector_cosine_ops)
        WITH (m = 16, ef_construction = 200)`),
    ),
  );
  await target.prepare((client) => client.query('VACUUM ANALYZE chunks'));
  report.add('hnsw_build', buildMs / 1000, 's');
  const [size] = await target.database.asSystem((tx) =>
    tx.query<{ index: number; rows: number }>(
      `SELECT pg_relation_size('chunks_embedding')::float8 AS index, pg_table_size('chunks')::float8 AS rows`,
    ),
  );
  report.add('hnsw_table_size', size!.rows / 2 ** 20, 'MiB');
  report.add('hnsw_size', size!.index / 2 ** 20, 'MiB', { baseline: 'hnsw_table_size' });

  let short = 0;
  for (const [share, tenantId] of tenants) {
    const searches = searchesOf(target, tenantId);
    const found = new Map<string, string[][]>();
    const cases = Object.fromEntries(
      [...searches].map(([name, search]): [string, Case] => [
        name,
        async () => {
          const results: string[][] = [];
          const times: number[] = [];
          for (const query of queries) times.push(await timed(async () => results.push(await search(query))));
          found.set(name, results);
          return times;
        },
      ]),
    );
    const times = await interleaved(cases, { rounds: ROUNDS });
    const exact = found.get('exact')!;
    for (const name of searches.keys()) {
      const results = found.get(name)!;
      short += results.filter((ids) => ids.length < K).length;
      const system = name === 'exact' ? 'exact' : 'sparkle';
      const label = name === 'exact' ? share : `${share}_${name}`;
      const baseline = name === 'exact' ? undefined : `vector_p50_${share}@exact`;
      report.add(`vector_p50_${label}`, percentile(times[name]!, 0.5), 'ms', {
        system,
        ...(baseline && { baseline }),
      });
      report.add(`vector_p95_${label}`, percentile(times[name]!, 0.95), 'ms', { system });
      if (name !== 'exact') report.add(`recall_at_10_${label}`, recall(results, exact), '');
    }
  }
  report.add('hnsw_short_results', short, 'searches');
  report.note(
    `${VECTORS} vectors of ${DIMENSIONS} numbers in ${CLUSTERS} clusters; exact is the same statement without the index. ` +
      '1% and 10% are tenants, searched through PgVectorIndex under row-level security; 100% is all rows, as the system.',
  );
}

type Search = (query: Float32Array) => Promise<string[]>;

/** The exact search first; for the others, `ef_search` is their name. */
function searchesOf({ database }: BenchTarget, tenantId: TenantId | undefined): Map<string, Search> {
  const all =
    (settings: Readonly<Record<string, string>>): Search =>
    (query) => {
      const work = async (tx: SqlClient) => {
        for (const [name, value] of Object.entries(settings))
          await tx.query('SELECT set_config($1, $2, true)', [name, value]);
        const rows = await tx.query<{ id: string }>(
          `SELECT id FROM chunks WHERE ($2::text IS NULL OR tenant_id = $2) AND embedding IS NOT NULL
           ORDER BY embedding <=> $1::vector LIMIT ${K}`,
          [`[${query.join(',')}]`, tenantId ?? null],
        );
        return rows.map(({ id }) => id);
      };
      return tenantId ? database.withTenant(tenantId, work) : database.asSystem(work);
    };
  const searches = new Map<string, Search>([['exact', all({ enable_indexscan: 'off' })]]);
  for (const breadth of BREADTHS) {
    const settings = {
      'hnsw.ef_search': String(breadth),
      'hnsw.iterative_scan': 'relaxed_order',
      // As PgVectorIndex has it.
      random_page_cost: String(Math.max(1.1, 160 / breadth)),
    };
    const index = tenantId && new PgVectorIndex(database, tenantId, breadth);
    searches.set(
      `ef${breadth}`,
      index ? async (query) => (await index.search(query, K)).map(({ chunkId }) => chunkId) : all(settings),
    );
  }
  return searches;
}

function recall(results: readonly string[][], exact: readonly string[][]): number {
  const shares = results.map(
    (ids, at) => ids.filter((id) => exact[at]!.includes(id)).length / exact[at]!.length,
  );
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

/** Points round centres; centres and noise are normal in every dimension. */
class ClusteredSpace {
  private readonly centres: Float32Array[];

  constructor(private readonly random: SeededRandom) {
    this.centres = Array.from({ length: CLUSTERS }, () => this.normal(1));
  }

  draw(): Float32Array {
    const centre = this.centres[Math.floor(this.random.next() * CLUSTERS)]!;
    return this.normal(SPREAD).map((value, at) => Math.round((centre[at]! + value) * 1000) / 1000);
  }

  /** By Box and Muller, two numbers at a time. */
  private normal(deviation: number): Float32Array {
    const vector = new Float32Array(DIMENSIONS);
    for (let at = 0; at < DIMENSIONS; at += 2) {
      const radius = deviation * Math.sqrt(-2 * Math.log(1 - this.random.next()));
      const angle = 2 * Math.PI * this.random.next();
      vector[at] = radius * Math.cos(angle);
      vector[at + 1] = radius * Math.sin(angle);
    }
    return vector;
  }
}

/** Fills `chunks` without its vector index; the tenants to search, by their share. */
async function load(
  target: BenchTarget,
  space: ClusteredSpace,
  random: SeededRandom,
): Promise<Map<string, TenantId | undefined>> {
  const small = await target.tenant('small');
  const middle = await target.tenant('middle');
  const large = await target.tenant('large');
  await target.prepare(async (client) => {
    await client.query('DROP INDEX chunks_embedding');
    await client.query(`INSERT INTO documents (tenant_id, id, title, format, content, content_hash, byte_size, state, created_by)
      SELECT id, md5(id)::uuid, id, 'text', '', id, 0, 'ready', 'bench' FROM tenants`);
    const rows = Readable.from(
      (function* () {
        for (let at = 0; at < VECTORS; at += 1) {
          const place = random.next();
          const tenant = place < TENANTS.one ? small : place < TENANTS.one + TENANTS.ten ? middle : large;
          yield `${tenant}\t${at}\t[${Array.from(space.draw(), (value) => value.toFixed(3)).join(',')}]\n`;
        }
      })(),
    );
    await client.query('CREATE TEMP TABLE incoming (tenant_id text, n integer, embedding text)');
    await pipeline(rows, client.query(copyFrom('COPY incoming FROM STDIN')));
    await client.query(`INSERT INTO chunks (tenant_id, id, document_id, ordinal, content, start_offset, end_offset,
        token_count, embedding)
      SELECT tenant_id, md5('chunk' || n)::uuid, md5(tenant_id)::uuid, n, 'text', 0, 4, 1, embedding::vector
      FROM incoming`);
    await client.query('ANALYZE');
  });
  return new Map([
    ['1%', small],
    ['10%', middle],
    ['100%', undefined],
  ]);
}
