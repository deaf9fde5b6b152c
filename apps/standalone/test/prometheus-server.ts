import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, until } from '@sparkle/contracts/testing';

const RULES = fileURLToPath(new URL('../../../deploy/prometheus/rules/', import.meta.url));

/** Prometheus as tests need it: scrapes and evaluates this often. */
const EVERY = '500ms';

/** Firing or pending, as `/api/v1/alerts` tells it. */
export interface ActiveAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
}

/** A rule as `/api/v1/rules` tells it. */
export interface EvaluatedRule {
  readonly name: string;
  readonly type: 'recording' | 'alerting';
  readonly query: string;
  readonly health: string;
  readonly lastError?: string;
}

/** Asks every 100 ms until it holds, for at most `seconds`; a rejection counts as no. */
export async function holding(holds: () => Promise<boolean>, what: string, seconds = 60): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (performance.now() < deadline) {
    if (await holds().catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`not within ${seconds} s: ${what}`);
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [time: number, value: string];
}

/**
 * A Prometheus server of a test's own with the product's rules, whose durations are a sixtieth: minutes are seconds.
 * Limits stay as they are. Uses the program in `TEST_PROMETHEUS_BIN`, which `npm test` sets. Ends with the process
 * that started it.
 */
export class PrometheusServer {
  private readonly endWithProcess = () => this.child.kill('SIGKILL');

  private constructor(
    private readonly child: ChildProcess,
    readonly address: string,
    private readonly directory: string,
  ) {
    process.once('exit', this.endWithProcess);
  }

  /** @param targets addresses such as `http://127.0.0.1:3000` by the name of their scrape job. */
  static async start(targets: Readonly<Record<string, string>>): Promise<PrometheusServer> {
    const folder = process.env.TEST_PROMETHEUS_BIN;
    if (!folder) throw new Error('TEST_PROMETHEUS_BIN is not set; "npm test" sets it');
    const directory = await mkdtemp(join(tmpdir(), 'sparkle-prometheus-'));
    await mkdir(join(directory, 'rules'));
    for (const file of await readdir(RULES))
      await writeFile(join(directory, 'rules', file), inSeconds(await readFile(join(RULES, file), 'utf8')));
    const jobs = Object.entries(targets).map(([job, address]) => ({
      job_name: job,
      static_configs: [{ targets: [new URL(address).host] }],
    }));
    // JSON is YAML.
    await writeFile(
      join(directory, 'prometheus.yml'),
      JSON.stringify({
        global: { scrape_interval: EVERY, scrape_timeout: EVERY, evaluation_interval: EVERY },
        rule_files: ['rules/*.yml'],
        scrape_configs: jobs,
      }),
    );
    const port = await freePort();
    const child = spawn(
      join(folder, 'prometheus'),
      [
        `--config.file=${join(directory, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(directory, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--log.level=error',
      ],
      { stdio: 'ignore' },
    );
    await once(child, 'spawn');
    const server = new PrometheusServer(child, `http://127.0.0.1:${port}`, directory);
    await until(async () => (await fetch(`${server.address}/-/ready`)).ok, 'Prometheus');
    return server;
  }

  query(expr: string): Promise<Sample[]> {
    return this.get<{ result: Sample[] }>(`query?${new URLSearchParams({ query: expr })}`).then(
      ({ result }) => result,
    );
  }

  /** Alerts whose condition holds now. */
  async alerts(): Promise<ActiveAlert[]> {
    return (await this.get<{ alerts: ActiveAlert[] }>('alerts')).alerts;
  }

  /** Names of the alerts that fire. */
  async firing(): Promise<string[]> {
    const alerts = await this.alerts();
    return alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels.alertname!);
  }

  async rules(): Promise<EvaluatedRule[]> {
    const { groups } = await this.get<{ groups: { rules: EvaluatedRule[] }[] }>('rules');
    return groups.flatMap(({ rules }) => rules);
  }

  /** Health of each target, `up` or `down`, by its job. */
  async targets(): Promise<Record<string, string>> {
    const { activeTargets } = await this.get<{
      activeTargets: { labels: Record<string, string>; health: string }[];
    }>('targets');
    return Object.fromEntries(activeTargets.map(({ labels, health }) => [labels.job!, health]));
  }

  /** Ends the server and removes its data. */
  async stop(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await exited;
    process.off('exit', this.endWithProcess);
    await rm(this.directory, { recursive: true, force: true });
  }

  private async get<Data>(path: string): Promise<Data> {
    const response = await fetch(`${this.address}/api/v1/${path}`);
    const body = (await response.json()) as { status: string; error?: string; data: Data };
    if (body.status !== 'success')
      throw new Error(`Prometheus: ${body.error} in ${decodeURIComponent(path)}`);
    return body.data;
  }
}

const SIXTIETH: Readonly<Record<string, string>> = { m: 's', h: 'm' };

/** Rules with their durations divided by 60. */
function inSeconds(rules: string): string {
  return rules.replace(
    /(\[|offset |for: )(\d+)([mhd])\b/g,
    (_, before: string, count: string, unit: string) =>
      unit === 'd' ? `${before}${Number(count) * 24}m` : `${before}${count}${SIXTIETH[unit]}`,
  );
}
