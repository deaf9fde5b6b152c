import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as echarts from 'echarts';
import type { Measurement } from '../report.js';

// Draws docs/evaluation/memory-turns.svg from the rows of `npm run bench -- conversation --json` kept beside it.
const FOLDER = resolve(import.meta.dirname, '../../../docs/evaluation');
const rows = readFileSync(join(FOLDER, 'memory-turns.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Measurement);
const blocks = rows.flatMap(({ metric }) => /^p50, (turns \d+-\d+)$/.exec(metric)?.[1] ?? []);
const series = (metric: string) =>
  blocks.map((block) => rows.find((row) => row.metric === `${metric}, ${block}`)?.value ?? null);

const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 1100, height: 420 });
chart.setOption({
  animation: false,
  backgroundColor: '#ffffff',
  title: [
    { text: 'A conversation of 1,000 turns', left: 'center', top: 6 },
    { text: 'milliseconds of a turn, per 50 turns', textStyle: { fontSize: 13 }, left: '5%', top: 40 },
    { text: 'tokens of the past per turn', textStyle: { fontSize: 13 }, left: '54%', top: 40 },
  ],
  legend: { data: ['p50', 'p95', 'memory', 'full history'], bottom: 4 },
  grid: [
    { left: '5%', top: 80, width: '42%', height: 260 },
    { left: '55%', top: 80, width: '42%', height: 260 },
  ],
  xAxis: [0, 1].map((gridIndex) => ({
    type: 'category',
    gridIndex,
    data: blocks.map((block) => block.replace(/.*-/, '')),
  })),
  yAxis: [
    { type: 'value', gridIndex: 0, min: 0 },
    { type: 'log', gridIndex: 1, min: 100 },
  ],
  series: [
    { type: 'line', name: 'p50', xAxisIndex: 0, yAxisIndex: 0, data: series('p50'), color: '#1f6feb' },
    { type: 'line', name: 'p95', xAxisIndex: 0, yAxisIndex: 0, data: series('p95'), color: '#9aa5b1' },
    {
      type: 'line',
      name: 'memory',
      xAxisIndex: 1,
      yAxisIndex: 1,
      data: series('memory tokens'),
      color: '#2da44e',
    },
    {
      type: 'line',
      name: 'full history',
      xAxisIndex: 1,
      yAxisIndex: 1,
      data: series('full history tokens'),
      color: '#cf222e',
    },
  ],
});
writeFileSync(join(FOLDER, 'memory-turns.svg'), chart.renderToSVGString());
// Its timers would keep the process alive.
chart.dispose();
