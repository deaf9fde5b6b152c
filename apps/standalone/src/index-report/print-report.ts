import type { ApplicationIndexReport } from './run-index-report.js';

/** One object per line: `query`, `unexplained`, `coverage`, `unused`, `missing`, `size`, `unreached`, `left-out`. */
export function reportLines(report: ApplicationIndexReport): object[] {
  return [
    ...report.queries.map((query) => ({
      kind: 'query',
      name: query.name,
      covered: query.covered,
      readsLargeTable: query.readsLargeTable,
      tables: query.tables,
      indexes: query.indexes,
      plan: query.worst.summary,
      rows: query.worst.rows,
      ms: query.worst.executionMs,
      planningMs: query.worst.planningMs,
      blocks: query.worst.blocks,
      executions: query.executions,
      sql: query.text.replace(/\s+/g, ' ').trim(),
    })),
    ...report.unexplained.map(({ name, text, failure }) => ({
      kind: 'unexplained',
      name,
      sql: text.replace(/\s+/g, ' ').trim().slice(0, 200),
      reason: failure ?? 'a command without a plan',
    })),
    { kind: 'coverage', ...report.coverage },
    ...report.unused.map(({ index, table, kind, bytes, constraint, definition }) => ({
      kind: 'unused',
      index,
      table,
      method: kind,
      bytes,
      constraint,
      definition,
    })),
    ...report.missing.map((missing) => ({ kind: 'missing', ...missing })),
    ...report.sizes.map(({ kind: method, ...size }) => ({ kind: 'size', ...size, method })),
    ...report.unreached.map(({ name, line, text }) => ({ kind: 'unreached', name, line, sql: text })),
    ...[...report.leftOut].map(([reason, statements]) => ({ kind: 'left-out', reason, statements })),
  ];
}

/** The same for people. */
export function reportText(report: ApplicationIndexReport): string {
  const { coverage } = report;
  const lines = report.queries.map(({ name, covered, readsLargeTable, worst, indexes }) => {
    const mark = !readsLargeTable ? 'small' : covered ? 'index' : 'SCAN ';
    return `${mark}  ${worst.executionMs.toFixed(1).padStart(8)} ms ${String(worst.rows).padStart(7)} rows  ${name}\n         ${
      indexes.join(', ') || 'no index'
    }\n         ${worst.summary}`;
  });
  const section = (title: string, entries: readonly string[]) =>
    entries.length === 0 ? [`\n${title}: none`] : [`\n${title}:`, ...entries.map((entry) => `  ${entry}`)];
  return [
    ...lines,
    `\ncoverage: ${coverage.percent.toFixed(1)} % (${coverage.covered} of ${coverage.readingLargeTables} queries that read tables of ${coverage.largeTableRows} rows or more; ${coverage.queries} queries in all)`,
    ...section(
      'unused indexes',
      report.unused
        .filter(({ constraint }) => !constraint)
        .map(({ index, table, bytes }) => `${index} on ${table}, ${kilobytes(bytes)}`),
    ),
    ...section(
      'missing indexes',
      report.missing.map((missing) =>
        missing.reason === 'foreign-key'
          ? `${missing.table} (${missing.columns.join(', ')}) for the foreign key ${missing.constraint}`
          : `${missing.table} (${missing.columns.join(', ')}): ${missing.reason} in ${missing.query}, ${missing.discarded} rows thrown away for ${missing.rows}`,
      ),
    ),
    ...section(
      'index sizes',
      report.sizes.map(
        ({ index, kind, bytes, share, table }) =>
          `${index} (${kind}) ${kilobytes(bytes)}, ${(100 * share).toPrecision(3)} % of ${table}`,
      ),
    ),
    ...section(
      'statements in the sources that were never sent',
      report.unreached.map(({ name, line, text }) => `${name}, line ${line}: ${text.slice(0, 100)}`),
    ),
    '',
  ].join('\n');
}

function kilobytes(bytes: number): string {
  return `${Math.round(bytes / 1024)} kB`;
}
