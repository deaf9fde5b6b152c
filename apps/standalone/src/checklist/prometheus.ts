import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const RULES = fileURLToPath(new URL('../../../../deploy/prometheus/rules', import.meta.url));
const READY_WITHIN_MS = 30_000;
const ASK_EVERY_MS = 200;

/** Names of the alerts that `deploy/prometheus/rules` defines. */
export async function alertsOnFile(): Promise<readonly string[]> {
  const files = (await readdir(RULES)).filter((name) => name.endsWith('.yml'));
  const texts = await Promise.all(files.map((name) => readFile(join(RULES, name), 'utf8')));
  return texts.flatMap((text) => [...text.matchAll(/^\s*- alert: *(\S+)/gm)].map(([, name]) => name!));
}

/** A port that nobody listens on at the moment. */
export async function unusedPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const bound = server.address();
      server.close(() => resolve(typeof bound === 'object' && bound ? bound.port : 0));
    });
  });
}

/**
 * Runs a Prometheus with the product's rules on `port` while `work` is at it.
 * @param programs folder of the `prometheus` program.
 * @param scraped addresses of the processes to scrape.
 */
export async function withPrometheus<T>(
  programs: string,
  port: number,
  scraped: readonly string[],
  work: () => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'sparkle-prometheus-'));
  let child: ChildProcess | undefined;
  try {
    const targets = scraped.map((address) => new URL(address).host);
    // JSON is YAML: no writer is needed for a file this small.
    const config = {
      global: { scrape_interval: '2s', evaluation_interval: '2s' },
      rule_files: [join(RULES, '*.yml')],
      scrape_configs: [{ job_name: 'sparkle', static_configs: [{ targets }] }],
    };
    await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(config));
    child = spawn(
      join(programs, 'prometheus'),
      [
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { stdio: 'ignore' },
    );
    const ended = new Promise<never>((_, reject) => {
      child!.once('error', reject);
      child!.once('exit', (code) => reject(new Error(`Prometheus ended with ${code}`)));
    });
    ended.catch(() => undefined);
    await Promise.race([ready(`http://127.0.0.1:${port}/-/ready`), ended]);
    return await work();
  } finally {
    if (child?.exitCode === null) {
      const gone = new Promise((resolve) => child!.once('exit', resolve));
      child.kill('SIGTERM');
      await gone;
    }
    await rm(folder, { recursive: true, force: true });
  }
}

async function ready(url: string): Promise<void> {
  for (let waited = 0; waited < READY_WITHIN_MS; waited += ASK_EVERY_MS) {
    const isReady = await fetch(url).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isReady) return;
    await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
  }
  throw new Error('Prometheus did not become ready');
}
