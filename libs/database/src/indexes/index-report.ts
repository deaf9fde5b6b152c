import type { Database } from '../core/database.service.js';
import { type CatalogIndex, type IndexCatalog, readIndexCatalog } from './index-catalog.js';
import type { ExplainedStatement } from './statement-capture.js';
import type { StatementPlan, TableAccess } from './statement-plan.js';

export interface IndexReportOptions {
  /** Schema of the tables. Default `public`. */
  schema?: string;
  /**
   * Rows from which on a table is large: reading that many of its rows without an index is then taken for a
   * missing one, in however many partitions they are. Below, a sequential scan is often what is cheapest, and it
   * costs little. Default 10,000.
   */
  largeTableRows?: number;
  /** Index scans counted before the statements ran, from {@link indexUsage}; without it, all there ever were. */
  since?: IndexUsage;
}

/** Scans of each index at one moment. */
export type IndexUsage = ReadonlyMap<string, number>;

/** One statement of the application over all its explained executions. */
export interface ReportedQuery {
  readonly name: string;
  readonly text: string;
  /** Executions explained. */
  readonly executions: number;
  /** Tables its plans read, the large ones first. */
  readonly tables: readonly string[];
  /** True when it read a large table in one of its executions. */
  readonly readsLargeTable: boolean;
  /** True when every access to a large table, in every execution, went through an index. */
  readonly covered: boolean;
  readonly indexes: readonly string[];
  /** The worst execution: one that is not covered before one that is, then the slowest. */
  readonly worst: StatementPlan;
}

export type MissingIndex = {
  readonly table: string;
  /** Columns an index would have to start with, as far as the condition tells. */
  readonly columns: readonly string[];
} & (
  | {
      /** A large table was read whole, or most rows found by an index were thrown away. */
      readonly reason: 'sequential-scan' | 'rows-discarded';
      readonly query: string;
      readonly rows: number;
      readonly discarded: number;
    }
  | {
      /** Deleting a row that is referred to has to search this table. */
      readonly reason: 'foreign-key';
      readonly constraint: string;
    }
);

export interface IndexSize {
  readonly index: string;
  readonly table: string;
  readonly kind: string;
  readonly bytes: number;
  readonly tableBytes: number;
  /** `bytes / tableBytes`; 0 for an empty table. */
  readonly share: number;
}

/** What {@link indexReport} finds. */
export interface IndexReport {
  readonly queries: readonly ReportedQuery[];
  /** Statements without a plan: commands, and those whose EXPLAIN failed, with the server's reason. */
  readonly unexplained: readonly ExplainedStatement[];
  readonly coverage: {
    readonly queries: number;
    readonly readingLargeTables: number;
    /** Of those that read large tables. */
    readonly covered: number;
    /** `covered / readingLargeTables` in percent; 100 when there are none. */
    readonly percent: number;
    readonly largeTableRows: number;
    readonly largeTables: readonly string[];
  };
  /** Never scanned by the statements; those that guard a constraint are marked. */
  readonly unused: readonly CatalogIndex[];
  readonly missing: readonly MissingIndex[];
  readonly sizes: readonly IndexSize[];
}

/** An index that throws away this many rows for each it finds, and this many in all, is not the right one. */
const DISCARDED_PER_ROW = 20;
const DISCARDED_AT_LEAST = 2_000;

/** How often each index has been scanned so far; take it before the statements run. */
export async function indexUsage(database: Database, schema = 'public'): Promise<IndexUsage> {
  const { indexes } = await database.asSystem((sql) => readIndexCatalog(sql, schema));
  return new Map([...indexes.values()].map(({ index, scans }) => [index, scans]));
}

/**
 * Judges the indexes of a schema by the plans of an application's statements. Run ANALYZE before the
 * statements: on tables that were never analysed, row counts are unknown and every table counts as small.
 * @param statements from `StatementCapture.run` or {@link explainStatements}.
 */
export async function indexReport(
  database: Database,
  statements: readonly ExplainedStatement[],
  options: IndexReportOptions = {},
): Promise<IndexReport> {
  const { schema = 'public', largeTableRows = 10_000, since } = options;
  const catalog = await database.asSystem((sql) => readIndexCatalog(sql, schema));
  const judge = new AccessJudge(catalog, schema, largeTableRows);

  const queries = reportQueries(statements, catalog, judge);
  const reading = queries.filter((query) => query.readsLargeTable);
  const covered = reading.filter((query) => query.covered).length;
  const indexes = [...catalog.indexes.values()];
  const planned = new Set(queries.flatMap((query) => query.indexes));
  return {
    queries,
    unexplained: distinct(statements.filter(({ plan }) => !plan)).filter(
      ({ text }) => !queries.some((query) => query.text === text),
    ),
    coverage: {
      queries: queries.length,
      readingLargeTables: reading.length,
      covered,
      percent: reading.length === 0 ? 100 : (100 * covered) / reading.length,
      largeTableRows,
      largeTables: [...catalog.tables.values()]
        .filter(({ rows }) => rows >= largeTableRows)
        .map(({ table }) => table),
    },
    unused: indexes.filter(
      // The server counts a scan some seconds late, and a foreign key's look-up is in no plan: either says "used".
      ({ index, scans }) => !planned.has(index) && scans <= (since?.get(index) ?? 0),
    ),
    missing: [
      ...missingForQueries(statements, queries, catalog, judge),
      ...missingForForeignKeys(catalog, largeTableRows),
    ],
    sizes: indexes.map(({ index, table, kind, bytes }) => {
      const tableBytes = catalog.tables.get(table)?.bytes ?? 0;
      return { index, table, kind, bytes, tableBytes, share: tableBytes === 0 ? 0 : bytes / tableBytes };
    }),
  };
}

/** What counts as reading a large table, and as reading it whole. */
class AccessJudge {
  constructor(
    private readonly catalog: IndexCatalog,
    private readonly schema: string,
    private readonly largeTableRows: number,
  ) {}

  tableOf({ relation }: TableAccess): string {
    return this.catalog.rootOf.get(relation) ?? relation;
  }

  readsLargeTable(access: TableAccess): boolean {
    const rows = this.catalog.tables.get(this.tableOf(access))?.rows ?? 0;
    return access.executed && access.schema === this.schema && rows >= this.largeTableRows;
  }

  /** Sequential scans of a plan that together read a large number of one table's rows: one partition, or several. */
  wholeReads({ accesses }: StatementPlan): readonly TableAccess[] {
    const scans = accesses.filter((access) => access.method === 'seq' && this.readsLargeTable(access));
    const rowsOf = (table: string) =>
      scans
        .filter((scan) => this.tableOf(scan) === table)
        .reduce((sum, { relation }) => sum + (this.catalog.rowsOf.get(relation) ?? 0), 0);
    return scans.filter((scan) => rowsOf(this.tableOf(scan)) >= this.largeTableRows);
  }
}

function reportQueries(
  statements: readonly ExplainedStatement[],
  catalog: IndexCatalog,
  judge: AccessJudge,
): ReportedQuery[] {
  const byText = new Map<string, { statement: ExplainedStatement; plans: StatementPlan[] }>();
  for (const statement of statements) {
    if (!statement.plan) continue;
    const known = byText.get(statement.text);
    if (known) known.plans.push(statement.plan);
    else byText.set(statement.text, { statement, plans: [statement.plan] });
  }
  return [...byText.values()].map(({ statement: { name, text }, plans }) => {
    const accesses = plans.flatMap((plan) => plan.accesses);
    const large = accesses.filter((access) => judge.readsLargeTable(access));
    const isMiss = (plan: StatementPlan) => judge.wholeReads(plan).length > 0;
    const worst = plans.reduce((worse, plan) => {
      if (isMiss(worse) !== isMiss(plan)) return isMiss(worse) ? worse : plan;
      return plan.executionMs > worse.executionMs ? plan : worse;
    });
    return {
      name,
      text,
      executions: plans.length,
      tables: [...new Set([...large, ...accesses].map((access) => judge.tableOf(access)))],
      readsLargeTable: large.length > 0,
      covered: !plans.some(isMiss),
      indexes: [
        ...new Set(
          accesses.flatMap((access) => access.indexes.map((index) => catalog.rootOf.get(index) ?? index)),
        ),
      ],
      worst,
    };
  });
}

function missingForQueries(
  statements: readonly ExplainedStatement[],
  queries: readonly ReportedQuery[],
  catalog: IndexCatalog,
  judge: AccessJudge,
): MissingIndex[] {
  const names = new Map(queries.map(({ text, name }) => [text, name]));
  const found = new Map<string, MissingIndex & { discarded: number }>();
  for (const { text, plan } of statements) {
    if (!plan) continue;
    const whole = new Set(judge.wholeReads(plan));
    for (const access of plan.accesses) {
      const { rows, discarded } = access;
      const wasteful = discarded >= DISCARDED_AT_LEAST && discarded >= DISCARDED_PER_ROW * Math.max(1, rows);
      if (!whole.has(access) && !(wasteful && access.method !== 'seq' && judge.readsLargeTable(access)))
        continue;
      const reason = whole.has(access) ? 'sequential-scan' : 'rows-discarded';
      const table = judge.tableOf(access);
      const columns = conditionColumns(access.filter ?? '', catalog.tables.get(table)?.columns ?? []);
      const key = JSON.stringify([text, table, reason, columns]);
      const known = found.get(key);
      if (!known || known.discarded < discarded)
        found.set(key, { reason, table, columns, query: names.get(text)!, rows, discarded });
    }
  }
  return [...found.values()];
}

function missingForForeignKeys(catalog: IndexCatalog, largeTableRows: number): MissingIndex[] {
  const indexes = [...catalog.indexes.values()].filter(({ kind }) => kind === 'btree');
  return [...catalog.tables.values()]
    .filter(({ rows }) => rows >= largeTableRows)
    .flatMap(({ table, foreignKeys }) =>
      foreignKeys
        .filter(
          ({ columns }) =>
            !indexes.some(
              (index) =>
                index.table === table &&
                columns.every((column) => index.columns.slice(0, columns.length).includes(column)),
            ),
        )
        .map(({ name, columns }) => ({ reason: 'foreign-key' as const, table, columns, constraint: name })),
    );
}

/** Columns that a condition compares: those compared for equality first, as an index wants them. */
function conditionColumns(condition: string, columns: readonly string[]): string[] {
  const equal: string[] = [];
  const other: string[] = [];
  for (const column of columns) {
    const name = `(?:[a-z_0-9]+\\.)?"?${column}"?`;
    if (new RegExp(`(?<![a-z_0-9.])${name}\\)? (?:= (?!current_setting)|IS NULL)`, 'i').test(condition))
      equal.push(column);
    else if (new RegExp(`(?<![a-z_0-9.'])${name}(?![a-z_0-9'])`, 'i').test(condition)) other.push(column);
  }
  return [...equal, ...other];
}

function distinct(statements: readonly ExplainedStatement[]): ExplainedStatement[] {
  return [...new Map(statements.map((statement) => [statement.text, statement])).values()];
}
