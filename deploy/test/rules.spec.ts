import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DASHBOARD_SPECS } from '../src/dashboards/dashboards.js';
import { isAlert, readRuleFiles, rulesOf } from '../src/rules/rule-files.js';
import { expectKnown, knownMetrics } from './known-metrics.js';

const files = readRuleFiles();
const rules = rulesOf(files);
const alerts = rules.filter(isAlert);
const known = knownMetrics(files);
const RUNBOOK = 'docs/guides/alerts.md';

/** The part of the runbook under `## name`. */
function sectionOf(name: string): string | undefined {
  const page = readFileSync(new URL(`../../${RUNBOOK}`, import.meta.url), 'utf8');
  return page
    .split(/^#{2,3} /m)
    .find((section) => section.startsWith(`${name}\n`))
    ?.slice(name.length);
}

describe('the rules', () => {
  it('read only metrics and labels of the catalogue, and label values that exist', () => {
    for (const { expr } of rules) expectKnown(expr, known);
  });

  it('have names of their own, recorded ones after level:metric:operation', () => {
    const names = rules.map((rule) => (isAlert(rule) ? rule.alert : rule.record));
    expect(new Set(names).size).toBe(names.length);
    for (const rule of rules)
      if (isAlert(rule)) expect(rule.alert).toMatch(/^Sparkle[A-Z]\w+$/);
      else expect(rule.record).toMatch(/^[a-z_]+:[a-z_0-9]+:[a-z_0-9]+$/);
  });

  it('that are recorded are all used, by an alert or a dashboard', () => {
    const shown = JSON.stringify(DASHBOARD_SPECS);
    for (const rule of rules)
      if (!isAlert(rule))
        expect(
          rules.some((other) => other !== rule && other.expr.includes(rule.record)) ||
            shown.includes(rule.record),
          rule.record,
        ).toBe(true);
  });
});

describe('an alert', () => {
  it.each(alerts.map((alert) => [alert.alert, alert] as const))(
    '%s states its severity, a summary with its figure, and what to do',
    (name, { labels, annotations, expr }) => {
      expect(Object.keys(labels)).toEqual(['severity']);
      expect(['info', 'warning', 'critical']).toContain(labels.severity);
      expect(Object.keys(annotations)).toEqual(['summary', 'runbook']);
      if (!/^absent|== 0$/.test(expr)) expect(annotations.summary).toContain('$value');
      expect(annotations.runbook).toBe(`${RUNBOOK}#${name.toLowerCase()}`);
      const section = sectionOf(name);
      expect(section, `${RUNBOOK} has no section "${name}"`).toBeDefined();
      for (const part of ['**Means.**', '**Look at.**', '**Do.**']) expect(section).toContain(part);
    },
  );
});
