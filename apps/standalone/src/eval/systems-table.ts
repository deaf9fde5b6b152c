import type { ConfidenceInterval } from '@sparkle/graphrag';

const WIDTH = 14;

/** The rows as a table with a column per system and, where there is one, the difference with its 95 % interval. */
export function systemsTable(
  rows: readonly {
    readonly data: string;
    readonly system: string;
    readonly metric: string;
    readonly value: number;
  }[],
  gain: Readonly<Record<string, ConfidenceInterval>>,
): string {
  const columns = [...new Set(rows.map(({ system }) => system))];
  const metrics = [...new Set(rows.map(({ metric }) => metric))];
  const cell = (system: string, metric: string) =>
    rows.find((row) => row.system === system && row.metric === metric)?.value.toFixed(1) ?? '';
  const lines = metrics.map((metric) => {
    const cells = columns.map((system) => cell(system, metric).padStart(WIDTH)).join('');
    const difference = gain[metric];
    return `${metric.padEnd(32)}${cells}${difference ? `   ${interval(difference)}` : ''}`;
  });
  const names = columns.map((system) => system.padStart(WIDTH)).join('');
  const head = `${'metric'.padEnd(32)}${names}${Object.keys(gain).length > 0 ? '   graph - plain, 95 %' : ''}`;
  return `${rows[0]?.data}\n${head}\n${lines.join('\n')}\n`;
}

function interval({ mean, low, high }: ConfidenceInterval): string {
  return `${signed(mean)} (${signed(low)} to ${signed(high)})`;
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(1)}`;
}
