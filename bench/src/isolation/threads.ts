import { fileURLToPath } from 'node:url';
import { PiscinaThreads, StaticTenantPlans, TenantThreads } from '@sparkle/concurrency';
import { SystemClock } from '@sparkle/contracts';
import { Piscina } from 'piscina';
import { interleaved, median } from '../interleaved.js';
import { OURS, type Report } from '../report.js';
import { measureThroughput, othersOf, type Round, type Throughput, type Work } from './tenants.js';

const THREADS = 8;
/** About 5 ms of a processor. */
const HASHES = 3000;
const ROUNDS = 5;
const DURATION_MS = 1000;
const FLOOD = 200;
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 64 };
const filename = new URL('./compute.mjs', import.meta.url);

const LOADS: readonly { readonly metric: string; readonly others: number; readonly pauseMs: number }[] = [
  { metric: 'others_throughput', others: 2, pauseMs: 15 },
  { metric: 'busy_other_throughput', others: 1, pauseMs: 0 },
];

function sparkle(): { work: Work; close(): Promise<void> } {
  const plan = { qps: 1, burst: 1, permits: 1, threadShare: 4, tokenBudget: { tokens: 1, windowMs: 1 } };
  const host = new PiscinaThreads({ resourceLimits: RESOURCE_LIMITS, execArgv: [] });
  const threads = new TenantThreads(host, new StaticTenantPlans(plan), new SystemClock(), {
    maxThreads: THREADS,
  });
  return {
    work: (tenantId) => threads.run(tenantId, { filename, payload: HASHES }),
    close: () => threads.close(),
  };
}

function sharedPool(): { work: Work; close(): Promise<void> } {
  const pool = new Piscina({
    filename: fileURLToPath(filename),
    minThreads: THREADS,
    maxThreads: THREADS,
    resourceLimits: RESOURCE_LIMITS,
    env: {},
    execArgv: [],
  });
  return { work: () => pool.run(HASHES), close: () => pool.close() };
}

function shareOfOthers({ others, flooder }: Throughput): number {
  return others / (others + flooder);
}

/** What a tenant that keeps 200 tasks outstanding costs those that have one each. */
export async function measureThreads(report: Report): Promise<void> {
  const measure = (make: typeof sparkle, round: Round) => async () => {
    const { work, close } = make();
    try {
      const throughput = await measureThroughput(work, round);
      return round.flood > 0 ? [throughput.others, shareOfOthers(throughput)] : [throughput.others];
    } finally {
      await close();
    }
  };
  for (const { metric, others, pauseMs } of LOADS) {
    const alone: Round = { others: othersOf(others), flood: 0, pauseMs, durationMs: DURATION_MS };
    const flooded: Round = { ...alone, flood: FLOOD };
    const figures = await interleaved(
      {
        sparkle_alone: measure(sparkle, alone),
        sparkle_flooded: measure(sparkle, flooded),
        shared_alone: measure(sharedPool, alone),
        shared_flooded: measure(sharedPool, flooded),
      },
      { rounds: ROUNDS },
    );
    for (const [system, prefix] of [
      [OURS, 'sparkle'],
      ['shared-pool', 'shared'],
    ] as const) {
      const flooded = figures[`${prefix}_flooded`];
      report.add(`${metric}_alone`, median(figures[`${prefix}_alone`]), 'tasks/s', { system });
      report.add(`${metric}_flooded`, median(flooded.filter((_, at) => at % 2 === 0)), 'tasks/s', {
        system,
        baseline: `${metric}_alone@${system}`,
      });
      if (pauseMs > 0) continue;
      report.add(`${metric}_share`, median(flooded.filter((_, at) => at % 2 === 1)), 'of all tasks', {
        system,
      });
    }
  }
}
