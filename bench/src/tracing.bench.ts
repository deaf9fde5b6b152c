import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { type Case, interleaved, median } from './interleaved.js';
import { Report } from './report.js';
import type { Order } from './tracing/server.js';

const ROUNDS = 8;
const SECONDS = 2;
const CONNECTIONS = 20;

async function start(file: string, ...args: string[]): Promise<Server> {
  const path = fileURLToPath(new URL(`./tracing/${file}`, import.meta.url));
  const child = fork(path, args);
  const [address] = (await once(child, 'message')) as [string];
  return { child, address };
}

async function order(child: ChildProcess, what: Order): Promise<unknown> {
  const done = once(child, 'message');
  child.send(what);
  const [answer] = await done;
  return answer;
}

interface Server {
  readonly child: ChildProcess;
  readonly address: string;
}

/** CPU microseconds of the server per request: what others do on the machine does not count. */
const load =
  ({ child, address }: Server): Case =>
  async () => {
    const before = Number(await order(child, 'cpu'));
    const { requests } = await autocannon({
      url: `${address}/answers/7`,
      connections: CONNECTIONS,
      duration: SECONDS,
    });
    return [(Number(await order(child, 'cpu')) - before) / requests.total];
  };

const collector = await start('collector.ts');
const [off, tenth, all] = await Promise.all(
  ['off', 'tenth', 'all'].map((mode) => start('server.ts', mode, collector.address)),
);

try {
  const figures = await interleaved(
    {
      off: load(off!),
      tenth: load(tenth!),
      all: load(all!),
      profiled: async () => {
        await order(off!.child, 'profile');
        const measured = await load(off!)();
        await order(off!.child, 'stop profiling');
        return measured;
      },
    },
    { rounds: ROUNDS },
  );

  const report = new Report('tracing');
  report.add('a request without tracing', median(figures.off), 'CPU µs');
  const baseline = 'a request without tracing';
  report.add('a request, a tenth of the traces kept', median(figures.tenth), 'CPU µs', { baseline });
  report.add('a request, every trace kept', median(figures.all), 'CPU µs', { baseline });
  report.add('a request while a CPU profile is taken', median(figures.profiled), 'CPU µs', { baseline });
  report.note(
    'A Nest application on Fastify whose requests do nothing but publish what one answer of the product does: ' +
      'ten spans per request. A real request takes milliseconds longer, so its share is far smaller. The ' +
      'CPU time is that of the server, the export included.',
  );
  process.stdout.write(report.render(process.argv));
} finally {
  for (const { child } of [collector, off!, tenth!, all!]) child.kill();
}
