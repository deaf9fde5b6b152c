import type { SqlClient, TenantId } from '@sparkle/contracts';
import {
  averageLength,
  BM25_B,
  BM25_K1,
  inverseDocumentFrequency,
  type LexicalStatistics,
} from '../../index/bm25.js';
import { joined, raw, type SqlStatement, sql } from './sql-statement.js';

/** Texts to search: rows `c` of a table with the columns of `SEARCH_COLUMNS`. */
export interface LexicalSource {
  /** Table with the alias `c`. */
  readonly from: SqlStatement;
  /** Columns that identify a row, as names of `c`; equal scores are in their order. */
  readonly key: SqlStatement;
  /** Which rows are part of the published graph. */
  readonly published: SqlStatement;
  readonly statistics: LexicalStatistics;
  /** How many published texts have a term; filled in by searches and shared by all of one version. */
  readonly frequencies: Map<string, number>;
}

/** One query's terms with their weights. */
interface WeighedTerm {
  readonly term: string;
  readonly idf: number;
}

/**
 * BM25 over rows of the database, with the operations of `bm25Impact` in the same order, over `float8` as over
 * JavaScript's numbers.
 */
export class LexicalSearch {
  constructor(
    private readonly client: SqlClient,
    private readonly tenantId: TenantId,
    private readonly source: LexicalSource,
  ) {}

  /** The keys and scores of the best `limit` rows for each query. */
  async best<Key extends object>(
    queries: readonly (readonly string[])[],
    limit: number,
    columns: SqlStatement = sql``,
  ): Promise<(Key & { score: number })[][]> {
    const weighed = await this.weigh(queries);
    const found = queries.map((): (Key & { score: number })[] => []);
    const parts = weighed.flatMap((terms, query) => {
      if (terms.length === 0) return [];
      return [
        sql`(SELECT ${query}::integer AS query, ${this.source.key}${columns}, s.score FROM ${this.source.from}
          CROSS JOIN LATERAL ${this.scoreOf(terms)} AS s
          WHERE c.tenant_id = ${this.tenantId} AND c.fts @@ ${anyOf(terms)}::tsquery AND ${this.source.published}
          ORDER BY s.score DESC, ${this.source.key} LIMIT ${limit}::integer)`,
      ];
    });
    if (parts.length === 0) return found;
    const rows = await joined(parts, ' UNION ALL ').rows<Key & { query: number; score: number }>(this.client);
    for (const row of rows) found[row.query]!.push(row);
    return found;
  }

  /** In how many published rows each term occurs, in the order of the terms. */
  async count(terms: readonly string[]): Promise<number[]> {
    await this.weigh([terms]);
    return terms.map((term) => this.source.frequencies.get(term)!);
  }

  /** Scores of the rows that `among` picks, in no order; rows without any term are missing. */
  async among<Key extends object>(
    terms: readonly string[],
    among: SqlStatement,
  ): Promise<(Key & { score: number })[]> {
    const [weighed] = await this.weigh([terms]);
    if (weighed!.length === 0) return [];
    return sql`SELECT ${this.source.key}, s.score FROM ${this.source.from}
      CROSS JOIN LATERAL ${this.scoreOf(weighed!)} AS s
      WHERE c.tenant_id = ${this.tenantId} AND ${among} AND s.score > 0`.rows(this.client);
  }

  /** Terms that occur somewhere, each once, in the order of the query. */
  private async weigh(queries: readonly (readonly string[])[]): Promise<WeighedTerm[][]> {
    const { frequencies, statistics, from, published } = this.source;
    const unknown = [...new Set(queries.flat())].filter((term) => !frequencies.has(term));
    if (unknown.length > 0) {
      const counted = await sql`SELECT t.term, (
          SELECT count(*)::integer FROM ${from}
          WHERE c.tenant_id = ${this.tenantId} AND c.fts @@ t.query::tsquery AND ${published}) AS texts
        FROM unnest(${unknown}::text[], ${unknown.map(quoted)}::text[]) AS t(term, query)`.rows<{
        term: string;
        texts: number;
      }>(this.client);
      for (const { term, texts } of counted) frequencies.set(term, texts);
    }
    return queries.map((terms) =>
      [...new Set(terms)].flatMap((term) => {
        const texts = frequencies.get(term)!;
        return texts > 0 ? [{ term, idf: inverseDocumentFrequency(statistics.texts, texts) }] : [];
      }),
    );
  }

  /** `OFFSET 0` keeps the planner from computing what is named here once for each time it is used. */
  private scoreOf(terms: readonly WeighedTerm[]): SqlStatement {
    const counts = terms.map(
      ({ term }, at) => sql`CASE WHEN c.fts @@ ${quoted(term)}::tsquery
        THEN coalesce((c.repeated->>${term}::text)::float8, 1) ELSE 0 END AS ${raw(`n${at}`)}`,
    );
    const average = averageLength(this.source.statistics);
    const norm = sql`${BM25_K1}::float8 * (1 - ${BM25_B}::float8 + (${BM25_B}::float8 * c.term_count) / ${average}::float8)`;
    const impacts = terms.map(({ idf }, at) => {
      const count = raw(`f.n${at}`);
      return sql`(${idf}::float8 * ${count} * ${BM25_K1 + 1}::float8) / (${count} + f.norm)`;
    });
    return sql`(SELECT ${joined(impacts, ' + ')} AS score
      FROM (SELECT ${joined(counts, ', ')}, ${norm} AS norm OFFSET 0) AS f)`;
  }
}

function anyOf(terms: readonly WeighedTerm[]): string {
  return terms.map(({ term }) => quoted(term)).join(' | ');
}

/** A term, which consists of letters and digits, as a `tsquery`. */
function quoted(term: string): string {
  return `'${term}'`;
}
