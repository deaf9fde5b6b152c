import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type MetricDefinition, metricCatalog } from '@sparkle/metrics';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { dashboardSchema } from '../src/dashboards/dashboard.schema.js';
import { buildDashboards, DASHBOARD_SPECS } from '../src/dashboards/dashboards.js';
import { type PanelSpec, toJson, UNITS } from '../src/dashboards/panels.js';
import { readExpression } from '../src/promql/expression.js';
import { readRuleFiles } from '../src/rules/rule-files.js';
import { expectKnown, knownMetrics } from './known-metrics.js';

const FOLDER = fileURLToPath(new URL('../grafana/', import.meta.url));
const built = buildDashboards();
const names = [...built.keys()];
const ruleFiles = readRuleFiles();
const known = knownMetrics(ruleFiles);
const committed = (name: string) => JSON.parse(readFileSync(`${FOLDER}dashboards/${name}`, 'utf8'));
const panelsOf = (name: string) =>
  DASHBOARD_SPECS.find(({ uid }) => `${uid}.json` === name)!.rows.flatMap((row) => row.panels);

interface Box {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

const overlap = (a: Box, b: Box) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

/** The units a query may be shown in, from what the catalogue says of the metric it reads. */
function unitsOf(expr: string): readonly (keyof typeof UNITS)[] {
  const { selectors } = readExpression(expr);
  const [metric] = selectors.map((selector) => selector.metric);
  const bare = metric!.replace(/_(bucket|sum|count)$/, '');
  const definition = (Object.values(metricCatalog) as MetricDefinition[]).find(
    ({ name }) => name === metric || name === bare,
  );
  if (!definition) return /:ratio_/.test(metric!) ? ['ratio'] : recordedUnits(metric!);
  if (/^time\(\) - /.test(expr)) return ['seconds'];
  if (/_count$/.test(metric!) && /rate\(/.test(expr) && !/ \/ /.test(expr))
    return ['perSecond', 'requestsPerSecond'];
  const isShare = / \/ /.test(expr);
  switch (definition.unit) {
    case 'seconds':
      return ['seconds'];
    case 'bytes':
      return isShare ? ['ratio'] : ['bytes'];
    case 'ratio':
      return ['ratio'];
    case 'per_second':
      return ['requestsPerSecond'];
    case 'usd':
      return ['usd'];
    case 'tokens':
    case 'count':
      if (/histogram_quantile/.test(expr)) return ['count'];
      if (/\brate\(/.test(expr) && !isShare) return ['perSecond', 'requestsPerSecond'];
      return isShare ? ['ratio', 'count'] : ['count'];
  }
}

/** Units of recorded metrics that are no ratios, by their names. */
function recordedUnits(metric: string): readonly (keyof typeof UNITS)[] {
  if (/_seconds:p\d+/.test(metric)) return ['seconds'];
  if (/:rate5m$/.test(metric)) return ['perSecond', 'requestsPerSecond'];
  return ['count'];
}

describe('the dashboards', () => {
  it('are committed as their code describes them ("npx vitest run test/dashboards.spec.ts -u" writes them)', async () => {
    for (const [name, dashboard] of built)
      await expect(toJson(dashboard)).toMatchFileSnapshot(`${FOLDER}dashboards/${name}`);
    expect(readdirSync(`${FOLDER}dashboards`).sort()).toEqual([...names].sort());
  });

  it('have uids and titles of their own', () => {
    for (const key of ['uid', 'title'] as const) {
      const values = names.map((name) => committed(name)[key]);
      expect(new Set(values).size).toBe(values.length);
    }
  });

  it('show every metric of the catalogue', () => {
    const shown = new Set<string>();
    for (const { rows } of DASHBOARD_SPECS)
      for (const { expr } of rows.flatMap(({ panels }) => panels.flatMap(queriesOf))) {
        const readable = [expr];
        for (const { metric } of readExpression(expr).selectors)
          readable.push(...recordedExpressions(metric));
        for (const each of readable)
          for (const { metric } of readExpression(each).selectors)
            shown.add(metric.replace(/_(bucket|sum|count)$/, ''));
      }
    const hidden = (Object.values(metricCatalog) as MetricDefinition[])
      .map(({ name }) => name)
      .filter((name) => !shown.has(name));
    expect(hidden).toEqual([]);
  });
});

function queriesOf({ queries }: PanelSpec): { expr: string; legend: string }[] {
  return queries.map(([expr, legend]) => ({ expr, legend }));
}

/** The expressions behind a recorded metric, also those behind what it reads. */
function recordedExpressions(metric: string): string[] {
  for (const { groups } of ruleFiles)
    for (const rule of groups.flatMap(({ rules }) => rules))
      if ('record' in rule && rule.record === metric)
        return [
          rule.expr,
          ...readExpression(rule.expr).selectors.flatMap((each) => recordedExpressions(each.metric)),
        ];
  return [];
}

describe.each(names)('%s', (name) => {
  it('is a dashboard after Grafana’s schema', () => {
    const validate = new Ajv({ allErrors: true, strict: true, allowUnionTypes: true }).compile(
      dashboardSchema,
    );
    validate(committed(name));
    expect(validate.errors ?? []).toEqual([]);
  });

  it('has panels with ids and titles of their own that do not overlap', () => {
    const panels: { id: number; type: string; title: string; gridPos: Box }[] = committed(name).panels;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const titles = panels.filter(({ type }) => type !== 'row').map(({ title }) => title);
    expect(new Set(titles).size).toBe(titles.length);
    for (const [index, { gridPos: a, title }] of panels.entries()) {
      expect(a.x + a.w).toBeLessThanOrEqual(24);
      for (const { gridPos: b, title: other } of panels.slice(index + 1))
        expect(overlap(a, b), `${title} and ${other}`).toBe(false);
    }
  });

  it('asks for metrics and labels that exist', () => {
    for (const panel of panelsOf(name)) for (const { expr } of queriesOf(panel)) expectKnown(expr, known);
  });

  it('names each line by labels the query keeps', () => {
    for (const panel of panelsOf(name))
      for (const { expr, legend } of queriesOf(panel)) {
        const { selectors, labels } = readExpression(expr);
        const metric = known.get(selectors[0]!.metric)!;
        const kept = /\bby\s*\(/.test(expr) ? labels : metric.labels;
        for (const [, label] of legend.matchAll(/\{\{(\w+)\}\}/g))
          expect(kept, `${panel.title}: ${legend}`).toContain(label);
      }
  });

  it('shows each metric in the unit the catalogue gives it', () => {
    for (const panel of panelsOf(name))
      for (const { expr } of queriesOf(panel))
        expect(unitsOf(expr), `${panel.title}: ${expr}`).toContain(panel.unit);
  });
});

describe('the provisioning', () => {
  it('brings the data source the dashboards choose from, and the folder with the dashboards', () => {
    const read = (path: string) => parse(readFileSync(`${FOLDER}provisioning/${path}`, 'utf8'));
    const { apiVersion, datasources } = read('datasources/prometheus.yml');
    expect(apiVersion).toBe(1);
    expect(datasources).toMatchObject([{ type: 'prometheus', access: 'proxy', isDefault: true }]);
    const { providers } = read('dashboards/sparkle.yml');
    expect(providers).toMatchObject([{ type: 'file', allowUiUpdates: false }]);
    expect(providers[0].options.path).toMatch(/\/dashboards$/);
  });
});
