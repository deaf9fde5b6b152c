import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { EvaluationRow } from '@sparkle/graphrag';
import * as echarts from 'echarts';

// Draws docs/evaluation/retrieval.svg from the rows of `npm run eval -- retrieval --json` kept beside it.
const FOLDER = resolve(import.meta.dirname, '../../../docs/evaluation');
const METRICS = ['recall@2', 'recall@5', 'recall@10', 'gold_in_budget'] as const;
const COLOURS = { plain: '#9aa5b1', graph: '#1f6feb' } as const;

const rows = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.jsonl') && !name.startsWith('memory'))
  .sort()
  .flatMap((name) => readFileSync(join(FOLDER, name), 'utf8').trim().split('\n'))
  .map((line) => JSON.parse(line) as EvaluationRow);
const sets = [...new Set(rows.map(({ data }) => data))];
const figureOf = (data: string, system: string, metric: string) =>
  rows.find((row) => row.data === data && row.system === system && row.metric === metric)?.value ?? null;

const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 1100, height: 620 });
const place = (at: number) => ({
  left: `${5 + (at % 2) * 49}%`,
  top: `${16 + Math.floor(at / 2) * 43}%`,
  width: '43%',
  height: '27%',
});
chart.setOption({
  animation: false,
  backgroundColor: '#ffffff',
  title: [
    { text: 'Retrieval: plain against graph, percent', left: 'center', top: 8 },
    ...METRICS.map((metric, at) => ({
      text: metric,
      textStyle: { fontSize: 13 },
      left: `${5 + (at % 2) * 49}%`,
      top: `${10.5 + Math.floor(at / 2) * 43}%`,
    })),
  ],
  legend: { data: ['plain', 'graph'], top: 34 },
  grid: METRICS.map((_, at) => place(at)),
  xAxis: METRICS.map((_, at) => ({
    type: 'category',
    gridIndex: at,
    data: sets,
    axisLabel: { fontSize: 9, interval: 0, width: 78, overflow: 'break' },
  })),
  yAxis: METRICS.map((_, at) => ({ type: 'value', gridIndex: at, min: 0, max: 100 })),
  series: METRICS.flatMap((metric, at) =>
    (['plain', 'graph'] as const).map((system) => ({
      type: 'bar' as const,
      name: system,
      xAxisIndex: at,
      yAxisIndex: at,
      itemStyle: { color: COLOURS[system] },
      label: {
        show: true,
        position: 'top' as const,
        fontSize: 8,
        formatter: ({ value }: { value: unknown }) => (typeof value === 'number' ? value.toFixed(0) : ''),
      },
      data: sets.map((data) => figureOf(data, system, metric)),
    })),
  ),
});
writeFileSync(join(FOLDER, 'retrieval.svg'), chart.renderToSVGString());
// Its timers would keep the process alive.
chart.dispose();
