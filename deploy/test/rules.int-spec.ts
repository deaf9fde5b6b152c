import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { readExpression } from '../src/promql/expression.js';
import {
  type AlertRule,
  isAlert,
  PROMETHEUS_FOLDER,
  type RecordingRule,
  readRuleFiles,
} from '../src/rules/rule-files.js';
import { promtool } from './promtool.js';

interface UnitTest {
  readonly name: string;
  readonly alert_rule_test: readonly {
    readonly alertname: string;
    readonly exp_alerts: readonly unknown[];
  }[];
}

const files = readRuleFiles();

async function testsOf(file: string): Promise<UnitTest[]> {
  return parse(await readFile(join(PROMETHEUS_FOLDER, 'tests', `${file}.test.yml`), 'utf8')).tests;
}

describe('promtool', () => {
  it('finds the configuration and every rule valid, and nothing twice', async () => {
    const { ok, output } = await promtool(
      'check',
      'config',
      '--lint=all',
      '--lint-fatal',
      join(PROMETHEUS_FOLDER, 'prometheus.yml'),
    );
    expect(output).not.toContain('FAILED');
    expect(ok, output).toBe(true);
  });

  it.each(files.map(({ name }) => name))('passes the tests of the rules for %s', async (name) => {
    const { ok, output } = await promtool(
      'test',
      'rules',
      join(PROMETHEUS_FOLDER, 'tests', `${name}.test.yml`),
    );
    expect(ok, output).toBe(true);
  });
});

describe('every alert', () => {
  it('has a test in which it is silent, fires, and is silent again', async () => {
    for (const { name, groups } of files) {
      const tests = await testsOf(name);
      for (const { alert } of groups.flatMap(({ rules }) => rules).filter(isAlert)) {
        const states = tests.map(({ alert_rule_test }) =>
          alert_rule_test
            .filter(({ alertname }) => alertname === alert)
            .map(({ exp_alerts }) => (exp_alerts.length > 0 ? 'fires' : 'silent'))
            .join(),
        );
        expect(states, alert).toContain('silent,fires,fires,silent');
      }
    }
  });
});

/** A rule with one thing changed, which the tests of `alert` must notice. */
interface Mutant {
  readonly alert: string;
  readonly file: string;
  readonly change: string;
  readonly rules: readonly (RecordingRule | AlertRule)[];
}

/** Small whole limits change by 1, others by a tenth. */
function nudged(limit: number): number[] {
  if (limit === 0) return [1];
  const step = Number.isInteger(limit) && limit < 10 ? 1 : limit / 10;
  return [limit - step, limit + step];
}

/** The expression with each limit moved, each comparison turned round, and each window doubled. */
function changedExpressions(expr: string): string[] {
  const changed: string[] = [];
  const replaceAt = (index: number, old: string, by: string) =>
    changed.push(expr.slice(0, index) + by + expr.slice(index + old.length));
  for (const match of expr.matchAll(/(>=|<=|==|>|<) (\d+(?:\.\d+)?)/g)) {
    const [whole, operator, limit] = match as unknown as [string, string, string];
    // A denominator's guard against zero changes nothing but divisions by zero.
    if (expr[match.index + whole.length] === ')') continue;
    for (const other of nudged(Number(limit))) replaceAt(match.index, whole, `${operator} ${other}`);
    replaceAt(match.index, whole, `${operator.startsWith('>') ? '<' : '>'} ${limit}`);
    if (operator === '>' && limit === '0') replaceAt(match.index, whole, '>= 0');
  }
  const window = /\[(\d+)m\]|offset (\d+)m/g;
  if (window.test(expr))
    changed.push(
      expr.replace(window, (text, range, offset) => text.replace(/\d+/, `${2 * (range ?? offset)}`)),
    );
  return changed;
}

/** The recorded metrics an expression reads, also by way of others, in their order. */
function recordsReadBy(expr: string, recorded: readonly RecordingRule[]): RecordingRule[] {
  const needed = new Set<RecordingRule>();
  const need = (expression: string) => {
    for (const { metric } of readExpression(expression).selectors) {
      const record = recorded.find((each) => each.record === metric);
      if (!record || needed.has(record)) continue;
      needed.add(record);
      need(record.expr);
    }
  };
  need(expr);
  return recorded.filter((record) => needed.has(record));
}

function mutantsOf(file: string, rule: AlertRule, recorded: readonly RecordingRule[]): Mutant[] {
  const { alert } = rule;
  const records = recordsReadBy(rule.expr, recorded);
  const variant = (change: string, changed: Partial<AlertRule>): Mutant => ({
    ...{ alert, file, change },
    rules: [...records, { ...rule, ...changed }],
  });
  const minutes = Number(/^(\d+)m$/.exec(rule.for ?? '0m')![1]);
  return [
    ...changedExpressions(rule.expr).map((expr) => variant(expr, { expr })),
    ...(minutes > 0 ? [minutes - 1, minutes + 1] : [1]).map((other) =>
      variant(`for ${other}m`, { for: `${other}m` }),
    ),
    variant('severity', { labels: { severity: 'changed' } }),
  ];
}

describe('a change of a rule', { timeout: 120_000 }, () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sparkle-rules-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** Runs the tests of each mutant's alert on it and returns the mutants that pass. */
  async function survivors(mutants: readonly Mutant[]): Promise<Mutant[]> {
    const paths = await Promise.all(
      mutants.map(async ({ alert, file, rules }, index) => {
        const tests = (await testsOf(file)).filter(({ alert_rule_test }) =>
          alert_rule_test.some(({ alertname }) => alertname === alert),
        );
        const path = join(folder, `${alert}-${index}`);
        await writeFile(`${path}.yml`, stringify({ groups: [{ name: 'changed', rules }] }));
        await writeFile(
          `${path}.test.yml`,
          stringify(
            { rule_files: [`${path}.yml`], evaluation_interval: '1m', tests },
            { aliasDuplicateObjects: false },
          ),
        );
        return `${path}.test.yml`;
      }),
    );
    const passing = new Set<number>();
    const remaining = paths.entries();
    const work = async () => {
      for (const [index, path] of remaining)
        if ((await promtool('test', 'rules', path)).ok) passing.add(index);
    };
    await Promise.all(Array.from({ length: 4 }, work));
    return mutants.filter((_, index) => passing.has(index));
  }

  it.each(files)(
    'of the rules for $name fails its tests: every limit, comparison, window, duration and severity',
    async ({ name, groups }) => {
      const mutants = groups.flatMap(({ rules }) => {
        const recorded = rules.filter((rule): rule is RecordingRule => !isAlert(rule));
        return rules.filter(isAlert).flatMap((rule) => mutantsOf(name, rule, recorded));
      });
      const survived = await survivors(mutants);
      expect(survived.map(({ alert, change }) => `${alert}: ${change}`)).toEqual([]);
    },
  );
});
