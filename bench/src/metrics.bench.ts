import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { LatencyWindow } from '@sparkle/metrics';
import autocannon from 'autocannon';
import { type Case, interleaved, median } from './interleaved.js';
import type { LabelSetCost } from './metrics/label-sets.js';
import { recordingCases } from './metrics/recording.js';
import type { Instrumentation } from './metrics/server.js';
import { Report } from './report.js';

const ROUNDS = 5;
const SECONDS = 1.5;
const CONNECTIONS = 20;
const RECORDING_ROUNDS = 9;
const MEMORY_ROUNDS = 3;
const INSTRUMENTATIONS: readonly Instrumentation[] = ['none', 'sparkle', 'prom-client', 'empty interceptor'];
const PATHS = { plain: 'items', 'with five events': 'answers', 'with some work': 'work' } as const;

function start(file: string, ...args: string[]): ChildProcess {
  return fork(fileURLToPath(new URL(`./metrics/${file}`, import.meta.url)), args);
}

async function cpuOf(server: ChildProcess): Promise<number> {
  const answer = once(server, 'message');
  server.send('cpu');
  const [microseconds] = (await answer) as [number];
  return microseconds;
}

/** Requests per second, and the server's CPU time for each, one path after the other, with every server idle but one. */
async function measureRequests(report: Report): Promise<void> {
  const servers = await Promise.all(
    INSTRUMENTATIONS.map(async (instrumentation) => {
      const child = start('server.ts', instrumentation);
      const [address] = (await once(child, 'message')) as [string];
      return { instrumentation, child, address };
    }),
  );
  for (const [name, path] of Object.entries(PATHS)) {
    const load =
      ({ child, address }: (typeof servers)[number]): Case =>
      async () => {
        const before = await cpuOf(child);
        const { requests, non2xx } = await autocannon({
          url: `${address}/${path}/7`,
          ...{ connections: CONNECTIONS, duration: SECONDS },
        });
        if (non2xx > 0) throw new Error(`${non2xx} requests failed`);
        return [requests.total / SECONDS, ((await cpuOf(child)) - before) / requests.total];
      };
    const cases: Record<string, Case> = {};
    for (const server of servers) cases[server.instrumentation] = load(server);
    const figures = await interleaved(cases, { rounds: ROUNDS });
    const units = ['requests/s', 'µs of CPU'] as const;
    for (const [at, metric] of [`requests, ${name}`, `one request, ${name}`].entries())
      for (const system of INSTRUMENTATIONS) {
        const values = figures[system]!.filter((_, index) => index % units.length === at);
        const baseline = system === 'none' ? {} : { baseline: `${metric}@none` };
        report.add(metric, median(values), units[at]!, { system, ...baseline });
      }
  }
  for (const { child } of servers) child.kill();
}

async function measureRecording(report: Report): Promise<void> {
  const figures = await interleaved(recordingCases(), { rounds: RECORDING_ROUNDS, warmup: 2 });
  for (const metric of ['observe', 'add']) {
    report.add(metric, median(figures[`${metric}@prom-client`]!), 'ns', { system: 'prom-client' });
    report.add(metric, median(figures[`${metric}@sparkle`]!), 'ns', { baseline: `${metric}@prom-client` });
  }
  report.add('record in the percentile window', median(figures['percentile window@sparkle']!), 'ns');
  report.add('read one percentile', median(figures['read P95@sparkle']!), 'ns');
  report.add('memory of the percentile window', new LatencyWindow({ monotonic: () => 0 }).bytes / 1e6, 'MB');
}

async function measureLabelSets(report: Report): Promise<void> {
  const cost = (system: string): Case => {
    return async () => {
      const child = start('label-sets.ts', system);
      const [{ heapBytes, scrapeMs, expositionBytes }] = (await once(child, 'message')) as [LabelSetCost];
      child.kill();
      return [heapBytes / 1e6, scrapeMs, expositionBytes / 1e6];
    };
  };
  const figures = await interleaved(
    { 'prom-client': cost('prom-client'), sparkle: cost('sparkle') },
    { rounds: MEMORY_ROUNDS, warmup: 0 },
  );
  const names = [
    ['memory of 10,000 label sets', 'MB'],
    ['scrape of 10,000 label sets', 'ms'],
    ['text of 10,000 label sets', 'MB'],
  ] as const;
  for (const [at, [metric, unit]] of names.entries())
    for (const system of ['prom-client', 'sparkle'] as const) {
      const values = figures[system].filter((_, index) => index % names.length === at);
      const baseline = system === 'sparkle' ? { baseline: `${metric}@prom-client` } : {};
      report.add(metric, median(values), unit, { system, ...baseline });
    }
}

const report = new Report('metrics');
await measureRequests(report);
await measureRecording(report);
await measureLabelSets(report);
report.note(
  'A Nest application on Fastify that returns a small object: the worst case, as a real request takes ' +
    'milliseconds longer. "with some work" has it parse and write 20 KB of JSON. "with five events" publishes what a cached answer does: a limit, two caches, a query, a ' +
    'transaction; only sparkle counts those. Load generator and server share the machine, so the requests per ' +
    'second of a busy one say little; the CPU time of a request hardly depends on it.',
);
report.note(
  'empty interceptor: the same application with a Nest interceptor that does nothing. Sparkle needs one to learn ' +
    'what a handler threw; an application that has an interceptor already has paid most of that.',
);
report.note(
  'prom-client: default metrics and hand-written hooks with a histogram and a counter. It bounds no label, and has ' +
    'no percentiles, rates, requests in progress or score; sparkle does all of that in the same requests.',
);
process.stdout.write(report.render(process.argv));
