import type { SqlClient } from '@sparkle/contracts';

/** One index of the schema; those of partitions are summed up in the index of the partitioned table. */
export interface CatalogIndex {
  readonly index: string;
  readonly table: string;
  /** Access method: `btree`, `hnsw`, `brin`, `gin`, … */
  readonly kind: string;
  readonly definition: string;
  /** Key columns in order; an expression is an empty string. */
  readonly columns: readonly string[];
  /** Backs a primary key, a unique or an exclusion constraint: it guards data even when no query reads it. */
  readonly constraint: boolean;
  readonly bytes: number;
  /** Scans since the server's statistics were reset. */
  readonly scans: number;
}

/** One table of the schema; the partitions of a partitioned table are summed up in it. */
export interface CatalogTable {
  readonly table: string;
  /** As estimated by the last ANALYZE. */
  readonly rows: number;
  /** Heap and TOAST, without indexes. */
  readonly bytes: number;
  readonly partitions: number;
  /** Columns of each foreign key that points from this table to another one. */
  readonly foreignKeys: readonly { readonly name: string; readonly columns: readonly string[] }[];
  readonly columns: readonly string[];
}

export interface IndexCatalog {
  readonly tables: ReadonlyMap<string, CatalogTable>;
  readonly indexes: ReadonlyMap<string, CatalogIndex>;
  /** Table (or root of a partition tree) that a relation belongs to, by relation. */
  readonly rootOf: ReadonlyMap<string, string>;
  /** Rows of a table or of one partition, as estimated. */
  readonly rowsOf: ReadonlyMap<string, number>;
}

/** Roots: a partition, and an index of one, counts for the partitioned relation it descends from. */
const TREE = `tree AS (
  SELECT c.oid, c.relkind, c.relname, coalesce(pg_partition_root(c.oid)::oid, c.oid) AS root
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'i', 'I'))`;

/**
 * Reads tables and indexes of one schema.
 * @param sql a client that sees the catalogue; every role does.
 */
export async function readIndexCatalog(sql: SqlClient, schema: string): Promise<IndexCatalog> {
  const tables = await sql.query<CatalogTable>(
    `WITH ${TREE}
     SELECT r.relname AS "table",
       sum(greatest(c.reltuples, 0)) FILTER (WHERE c.relkind = 'r')::float8 AS rows,
       sum(pg_table_size(c.oid)) FILTER (WHERE c.relkind = 'r')::float8 AS bytes,
       count(*) FILTER (WHERE c.relispartition AND c.relkind = 'r')::integer AS partitions,
       (SELECT coalesce(json_agg(json_build_object('name', k.conname, 'columns', (
           SELECT json_agg(a.attname ORDER BY p.position)
           FROM unnest(k.conkey) WITH ORDINALITY AS p(number, position)
           JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.number)) ORDER BY k.conname), '[]')
         FROM pg_constraint k WHERE k.conrelid = r.oid AND k.contype = 'f') AS "foreignKeys",
       ARRAY(SELECT a.attname::text FROM pg_attribute a
         WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns
     FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_class r ON r.oid = t.root
     WHERE t.relkind IN ('r', 'p')
     GROUP BY r.oid, r.relname ORDER BY r.relname`,
    [schema],
  );
  const indexes = await sql.query<CatalogIndex>(
    `WITH ${TREE}
     SELECT r.relname AS index, b.relname AS "table", m.amname AS kind, pg_get_indexdef(r.oid) AS definition,
       ARRAY(SELECT coalesce(a.attname::text, '') FROM unnest(i.indkey) WITH ORDINALITY AS k(number, position)
         LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
         ORDER BY k.position) AS columns,
       i.indisunique OR i.indisprimary OR i.indisexclusion AS "constraint",
       sum(pg_relation_size(t.oid)) FILTER (WHERE t.relkind = 'i')::float8 AS bytes,
       sum(coalesce(pg_stat_get_numscans(t.oid), 0))::float8 AS scans
     FROM tree t JOIN pg_class r ON r.oid = t.root JOIN pg_index i ON i.indexrelid = r.oid
       JOIN pg_class b ON b.oid = i.indrelid JOIN pg_am m ON m.oid = r.relam
     WHERE t.relkind IN ('i', 'I')
     GROUP BY r.oid, r.relname, b.relname, m.amname, i.indkey, i.indrelid, i.indisunique, i.indisprimary,
       i.indisexclusion
     ORDER BY b.relname, r.relname`,
    [schema],
  );
  const relations = await sql.query<{ relation: string; root: string; rows: number }>(
    `WITH ${TREE}
     SELECT t.relname AS relation, r.relname AS root, greatest(c.reltuples, 0)::float8 AS rows
     FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_class r ON r.oid = t.root`,
    [schema],
  );
  return {
    tables: new Map(tables.map((table) => [table.table, table])),
    indexes: new Map(indexes.map((index) => [index.index, index])),
    rootOf: new Map(relations.map(({ relation, root }) => [relation, root])),
    rowsOf: new Map(relations.map(({ relation, rows }) => [relation, rows])),
  };
}
