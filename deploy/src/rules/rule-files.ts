import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

/** A rule that computes a metric. */
export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
}

/** A rule that raises an alert. */
export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  /** Prometheus duration; absent: at once. */
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A file of `prometheus/rules`, parsed. */
export interface RuleFile {
  /** Name without `.yml`. */
  readonly name: string;
  readonly groups: readonly {
    readonly name: string;
    readonly rules: readonly (RecordingRule | AlertRule)[];
  }[];
}

/** The folder `deploy/prometheus`. */
export const PROMETHEUS_FOLDER = fileURLToPath(new URL('../../prometheus/', import.meta.url));

/** Every file of `prometheus/rules`. */
export function readRuleFiles(): RuleFile[] {
  const folder = `${PROMETHEUS_FOLDER}rules/`;
  return readdirSync(folder)
    .filter((file) => file.endsWith('.yml'))
    .sort()
    .map((file) => {
      const { groups } = parse(readFileSync(folder + file, 'utf8')) as Pick<RuleFile, 'groups'>;
      return { name: file.slice(0, -'.yml'.length), groups };
    });
}

export function isAlert(rule: RecordingRule | AlertRule): rule is AlertRule {
  return 'alert' in rule;
}

/** Every rule of `files`. */
export function rulesOf(files: readonly RuleFile[]): (RecordingRule | AlertRule)[] {
  return files.flatMap(({ groups }) => groups.flatMap(({ rules }) => rules));
}
