import { RedisServer } from '@sparkle/contracts/testing';
import { type Case, inFlight, interleaved, median } from './interleaved.js';
import { Report } from './report.js';
import { type Contention, contend, shareOut } from './semaphore/contention.js';
import { Crew } from './semaphore/crew.js';
import { killed, skewed } from './semaphore/faults.js';
import { connect, SYSTEM_NAMES, SYSTEMS, type SystemName } from './semaphore/systems.js';

const IN_FLIGHT = 32;
const PAIRS = 8_000;
const ROUNDS = 9;
const CONTENTION_ROUNDS = 3;
const KILLS = { sparkle: 1000, peer: 30 };
const RESTARTS = { sparkle: 4, peer: 1 };
/** Deletes a key that still has the value that its holder gave it. */
const DELETE_OWN = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

/** Uncontended pairs, with enough permits for all that are in flight. */
async function measureSpeed(report: Report, server: RedisServer): Promise<void> {
  const raw = connect(server.url);
  const digest = (await raw.script('LOAD', DELETE_OWN)) as string;
  const options = { url: server.url, prefix: 'speed', leaseMs: 30_000, durable: false };
  const systems = SYSTEM_NAMES.map(
    (name) => [name, SYSTEMS[name].open({ ...options, prefix: `speed-${name}` })] as const,
  );
  const cases: Record<string, Case> = {
    raw: inFlight(IN_FLIGHT, PAIRS, async (index) => {
      const key = `raw:${index}`;
      await raw.set(key, 'holder', 'PX', 30_000, 'NX');
      await raw.evalsha(digest, 1, key, 'holder');
    }),
  };
  for (const [name, system] of systems) {
    // One that has mutexes only gets one for each caller.
    const pools = SYSTEMS[name].mostPermits === 1 ? IN_FLIGHT * 4 : 1;
    cases[name] = inFlight(IN_FLIGHT, name === 'bottleneck' ? PAIRS / 8 : PAIRS, (index) =>
      system.pair(`s${index % pools}`, IN_FLIGHT * 2),
    );
    // A server that is younger than a lease admits nobody: only this call waits for that.
    await system.pair('s0', IN_FLIGHT * 2);
  }
  const figures = await interleaved(cases, { rounds: ROUNDS });
  report.add('raw_pair_32', median(figures.raw!), 'pairs/s', { system: 'ioredis' });
  for (const [name, system] of systems) {
    const baseline = 'raw_pair_32';
    report.add('acquire_release_32', median(figures[name]!), 'pairs/s', { system: name, baseline });
    await system.close();
  }
  raw.disconnect();
}

async function measureContention(report: Report, server: RedisServer): Promise<void> {
  const all = new Map<SystemName, Contention[]>(SYSTEM_NAMES.map((name) => [name, []]));
  const fairness = new Map<SystemName, number[]>(SYSTEM_NAMES.map((name) => [name, []]));
  for (let round = 0; round < CONTENTION_ROUNDS; round += 1) {
    for (const name of SYSTEM_NAMES) {
      all.get(name)!.push(await contend(server, name, `${name}-${round}`));
      fairness.get(name)!.push(await shareOut(server, name, `${name}-${round}`));
    }
  }
  const add = (metric: string, unit: string, read: (figures: Contention) => number) => {
    for (const [system, rounds] of all) report.add(metric, median(rounds.map(read)), unit, { system });
  };
  add('contended_calls_per_grant', 'calls', ({ callsPerGrant }) => callsPerGrant);
  add('contended_inversions', 'share', ({ inversions }) => inversions);
  add('contended_total_vs_ideal', 'ratio', ({ totalVsIdeal }) => totalVsIdeal);
  for (const [system, rounds] of fairness) report.add('jain_index', median(rounds), 'index', { system });
}

async function measureFaults(report: Report, server: RedisServer): Promise<void> {
  const crew = await Crew.prepare();
  try {
    for (const system of SYSTEM_NAMES) {
      report.add('skew_holders', await skewed(crew, server, system), 'ratio', { system });
    }
    for (const system of SYSTEM_NAMES) {
      const kind = system === 'sparkle' ? 'sparkle' : 'peer';
      const over = await killed(crew, server, system, KILLS[kind], RESTARTS[kind]);
      report.add('kill9_over_admissions', over, 'grants', { system });
    }
  } finally {
    crew.stop();
  }
}

const report = new Report('semaphore');
const server = await RedisServer.start();
try {
  const started = performance.now();
  const log = (what: string) =>
    process.stderr.write(`bench: ${what} after ${Math.round((performance.now() - started) / 1000)} s\n`);
  await measureContention(report, server);
  log('contention');
  await measureSpeed(report, server);
  log('speed');
  await measureFaults(report, server);
  log('faults');
} finally {
  await server.stop();
}
report.note(
  'raw_pair_32: SET NX PX, then a script that deletes the key if it is the holder’s, through ioredis.',
);
report.note(
  'contended: 64 callers for 4 permits, 4 times 10 ms each; redlock has mutexes only and gets 1 permit.',
);
report.note(
  'contended_inversions: grants that came after the grant of somebody who had arrived later; callers arrive 1 ms apart, through one connection.',
);
report.note('jain_index: 4 tenants, one with 100 times the callers; only sparkle knows tenants.');
report.note(
  'skew_holders: the most holders at once over the permits, 6 processes with clocks ±60 s, server time.',
);
report.note(
  `kill9_over_admissions: grants beyond the permits; sparkle ${KILLS.sparkle} kills and ${RESTARTS.sparkle} restarts of an empty Redis, ` +
    `peers ${KILLS.peer} and ${RESTARTS.peer}; clocks ±60 s; a killed holder holds until its lease ends.`,
);
report.note(
  'bottleneck runs in its clustering mode; its jobs expire after a lease. It has no acquire and release: a job is both.',
);
process.stdout.write(report.render(process.argv));
process.exit(0);
