import {
  type AdaptiveLimit,
  AdaptiveLimiter,
  AimdLimit,
  FixedLimit,
  GradientLimit,
} from '@sparkle/concurrency';
import { SimulatedLoad, SimulatedService, SimulatedTime } from '@sparkle/concurrency/testing';
import type { Clock } from '@sparkle/contracts';
import { SeededRandom } from '@sparkle/contracts/testing';
import { median } from '../interleaved.js';
import { OURS, type Report } from '../report.js';

const SERVICE_MS = 50;
const DEADLINE_MS = 500;
const PHASE_MS = 180_000;
const OVERLOAD = 3;
/** Servers that the simulated service has in each phase. */
const KNEES = [10, 40, 10];
const SEEDS = [1, 2, 3];

type MakeLimit = (clock: Clock, random: SeededRandom) => AdaptiveLimit;

const LIMITS: readonly (readonly [system: string, make: MakeLimit])[] = [
  ['no-limit', () => new FixedLimit(1_000_000)],
  ['fixed-10', () => new FixedLimit(10)],
  ['fixed-40', () => new FixedLimit(40)],
  ['fixed-200', () => new FixedLimit(200)],
  [`${OURS}-aimd`, (clock) => new AimdLimit(clock)],
  [`${OURS}-gradient-without-probes`, (clock) => new GradientLimit(clock, { probeEveryWindows: 0 })],
  [OURS, (clock, random) => new GradientLimit(clock, {}, random)],
];

interface Outcome {
  /** Part of what the service could do that was done in time. */
  readonly goodput: number;
  /** Mean time an admitted request took, milliseconds. */
  readonly meanMs: number;
}

function simulate(make: MakeLimit, seed: number): Outcome {
  const time = new SimulatedTime();
  const random = new SeededRandom(seed);
  const service = new SimulatedService(time, random, KNEES[0]!, SERVICE_MS);
  let totalMs = 0;
  let samples = 0;
  const limit = make(time, random);
  const watched: AdaptiveLimit = {
    get limit() {
      return limit.limit;
    },
    observe: (sample) => {
      totalMs += sample.rttMs;
      samples += 1;
      limit.observe(sample);
    },
  };
  const limiter = new AdaptiveLimiter(watched, time, { name: 'goodput' });
  const load = new SimulatedLoad(time, random, limiter, service, DEADLINE_MS);
  let good = 0;
  let possible = 0;
  for (const knee of KNEES) {
    service.resize(knee);
    load.arriveAt((OVERLOAD * knee * 1000) / SERVICE_MS);
    good += load.run(PHASE_MS).good;
    possible += (knee * PHASE_MS) / SERVICE_MS;
  }
  return { goodput: good / possible, meanMs: totalMs / samples };
}

/** What limits make of a service whose capacity grows to four times and shrinks again, under three times its load. */
export function measureGoodput(report: Report): void {
  for (const [system, make] of LIMITS) {
    const outcomes = SEEDS.map((seed) => simulate(make, seed));
    report.add('simulated_goodput', median(outcomes.map(({ goodput }) => goodput)), 'of capacity', {
      system,
    });
    report.add('simulated_latency', median(outcomes.map(({ meanMs }) => meanMs)), 'ms', { system });
  }
}
