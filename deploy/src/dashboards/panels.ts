import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog';
import {
  GraphDrawStyle,
  LegendDisplayMode,
  LegendPlacement,
  SortOrder,
  StackingMode,
  TooltipDisplayMode,
} from '@grafana/grafana-foundation-sdk/common';
import {
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  type Panel,
  QueryVariableBuilder,
  RowBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  VariableRefresh,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TableBuilder } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as TimeSeriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';
import * as units from '@grafana/grafana-foundation-sdk/units';

/** Units of panels by the words used here. */
export const UNITS = {
  seconds: units.Seconds,
  bytes: units.BytesIEC,
  ratio: units.PercentUnit,
  requestsPerSecond: units.RequestsPerSecond,
  perSecond: units.CountsPerSecond,
  usd: units.Dollars,
  count: units.Short,
} as const;

/** One panel: what it is called, why one looks at it, and its queries as `[PromQL, legend]`. */
export interface PanelSpec {
  readonly title: string;
  readonly description: string;
  readonly unit: keyof typeof UNITS;
  readonly queries: readonly (readonly [expr: string, legend: string])[];
  /** Default `lines`. `stacked` adds its series up; `number` and `table` show the present. */
  readonly kind?: 'lines' | 'stacked' | 'number' | 'table';
  /** Limits in the unit of the panel. Low is bad where `yellow` is above `red`. */
  readonly limits?: { readonly yellow: number; readonly red: number };
  /** Of 24 columns. Default 8, for numbers 4. */
  readonly width?: number;
  readonly max?: number;
}

export interface DashboardSpec {
  /** Also the name of its file. */
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly rows: readonly { readonly title: string; readonly panels: readonly PanelSpec[] }[];
}

/** Tag of every dashboard, by which they link to each other. */
const TAG = 'sparkle';
const DATASOURCE = { type: 'prometheus', uid: '$' + '{datasource}' };
const COLUMNS = 24;
const HEIGHTS = { lines: 8, stacked: 8, number: 4, table: 8 } as const;
const WIDTHS = { lines: 8, stacked: 8, number: 4, table: 12 } as const;

/** Lays a dashboard out: rows from top to bottom, their panels from left to right. */
export function buildDashboard({ uid, title, description, rows }: DashboardSpec): Dashboard {
  const dashboard = new DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags([TAG])
    .readonly()
    .tooltip(DashboardCursorSync.Crosshair)
    .time({ from: 'now-1h', to: 'now' })
    .refresh('30s')
    .withVariable(new DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'))
    .withVariable(
      new QueryVariableBuilder('job')
        .label('Application')
        .datasource(DATASOURCE)
        .query({ query: 'label_values(up{job=~"sparkle.*"}, job)', refId: 'jobs' })
        .refresh(VariableRefresh.OnTimeRangeChanged)
        .multi(true)
        .includeAll(true)
        .allValue('sparkle.*')
        .current({ text: 'All', value: '$__all' }),
    )
    .link(
      new DashboardLinkBuilder('Sparkle')
        .type(DashboardLinkType.Dashboards)
        .tags([TAG])
        .asDropdown(true)
        .includeVars(true)
        .keepTime(true),
    );
  let id = 1;
  let y = 0;
  for (const row of rows) {
    dashboard.withRow(new RowBuilder(row.title).id(id++).gridPos({ x: 0, y, w: COLUMNS, h: 1 }));
    y += 1;
    let x = 0;
    let height = 0;
    for (const spec of row.panels) {
      const kind = spec.kind ?? 'lines';
      const [w, h] = [spec.width ?? WIDTHS[kind], HEIGHTS[kind]];
      if (x + w > COLUMNS) {
        x = 0;
        y += height;
        height = 0;
      }
      dashboard.withPanel(buildPanel(spec, id++, { x, y, w, h }));
      x += w;
      height = Math.max(height, h);
    }
    y += height;
  }
  return dashboard.build();
}

/** The file of a dashboard: lists of plain values stand on one line, as Biome has them. */
export function toJson(dashboard: Dashboard): string {
  const plainList = /\[\s+((?:"[^"]*"|-?[\d.]+)(?:,\s+(?:"[^"]*"|-?[\d.]+))*)\s+\]/g;
  const text = JSON.stringify(dashboard, null, 2);
  return `${text.replace(plainList, (_, items: string) => `[${items.replace(/,\s+/g, ', ')}]`)}\n`;
}

function buildPanel(spec: PanelSpec, id: number, gridPos: NonNullable<Panel['gridPos']>): Builder<Panel> {
  const queries = spec.queries.map(([expr, legend], index) => queryOf(spec, expr, legend, index));
  const kind = spec.kind ?? 'lines';
  const panel =
    kind === 'number'
      ? new StatBuilder()
      : kind === 'table'
        ? new TableBuilder()
        : timeSeries(kind === 'stacked');
  panel
    .id(id)
    .title(spec.title)
    .description(spec.description)
    .datasource(DATASOURCE)
    .gridPos(gridPos)
    .unit(UNITS[spec.unit])
    .targets(queries);
  if (kind !== 'table') panel.min(0);
  if (spec.max !== undefined) panel.max(spec.max);
  if (spec.limits) panel.thresholds(thresholds(spec.limits));
  return panel;
}

function timeSeries(stacked: boolean): TimeSeriesBuilder {
  const panel = new TimeSeriesBuilder()
    .drawStyle(GraphDrawStyle.Line)
    .lineWidth(1)
    .fillOpacity(stacked ? 30 : 5)
    .legend({
      build: () => ({
        displayMode: LegendDisplayMode.Table,
        placement: LegendPlacement.Bottom,
        showLegend: true,
        calcs: ['lastNotNull', 'max'],
      }),
    })
    .tooltip({ build: () => ({ mode: TooltipDisplayMode.Multi, sort: SortOrder.Descending }) });
  return stacked ? panel.stacking({ build: () => ({ mode: StackingMode.Normal, group: 'A' }) }) : panel;
}

function queryOf(spec: PanelSpec, expr: string, legend: string, index: number): Builder<Dataquery> {
  const query = new DataqueryBuilder()
    .refId(String.fromCharCode('A'.charCodeAt(0) + index))
    .datasource(DATASOURCE)
    .expr(expr)
    .legendFormat(legend);
  return spec.kind === 'number' || spec.kind === 'table' ? query.instant() : query.range();
}

/** Yellow lies below red where high is bad, and above it where low is bad. */
function thresholds({ yellow, red }: { yellow: number; red: number }): ThresholdsConfigBuilder {
  const highIsBad = yellow < red;
  const steps = highIsBad
    ? [
        { value: null, color: 'green' },
        { value: yellow, color: 'yellow' },
        { value: red, color: 'red' },
      ]
    : [
        { value: null, color: 'red' },
        { value: red, color: 'yellow' },
        { value: yellow, color: 'green' },
      ];
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(steps);
}
