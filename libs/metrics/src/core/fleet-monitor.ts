import type { Clock, ClockTimer } from '@sparkle/contracts';
import { isSparkleError } from '@sparkle/contracts';
import type { FleetFigures, InstanceFigures, PublishedFigures } from '../ports/fleet-figures.port.js';
import { LatencyHistogram } from './latency-histogram.js';
import {
  type PerformanceReport,
  type PerformanceThresholds,
  type ScoredFigures,
  scorePerformance,
} from './performance-score.js';

/** Who a process is, and how often it says so. */
export interface FleetMembership {
  readonly service: string;
  readonly instance: string;
  readonly publishEveryMs: number;
}

/** Added-up figures of the instances of a service. Percentiles are of all their requests, not averages. */
export interface ServiceFigures extends ScoredFigures {
  readonly requests: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly qps10s: number;
  readonly qps60s: number;
  readonly active: number;
}

/** How the instances of one service do together. `cpu` and `memory` are those of the most loaded instance. */
export interface ServiceReport extends PerformanceReport<ServiceFigures> {
  readonly service: string;
  readonly instances: number;
}

/** One process of the fleet. */
export interface InstanceReport {
  readonly service: string;
  readonly instance: string;
  /** Milliseconds since it published these figures; 0 for the process that reports. */
  readonly ageMs: number;
  readonly score: number;
  readonly requests: number;
  readonly p95Ms: number;
  readonly qps10s: number;
  readonly active: number;
}

/** What is known about the processes that share a store. */
export interface FleetReport {
  /** `process` when the store did not answer, and the report is of the own process alone. */
  readonly scope: 'fleet' | 'process';
  /** Why it is `process`. */
  readonly reason?: string;
  readonly services: readonly ServiceReport[];
  readonly instances: readonly InstanceReport[];
}

/** Injection token of the {@link FleetMonitor}; `undefined` where the module has no fleet. */
export const FLEET_MONITOR = Symbol('FLEET_MONITOR');

/** Publishes the own process's figures at an interval, and reports on all that do. */
export class FleetMonitor {
  private timer: ClockTimer | undefined;
  private stopped = false;

  /**
   * @param readOwn present figures of this process.
   * @param failed is called when the store fails; what was asked of it goes on without.
   */
  constructor(
    private readonly clock: Pick<Clock, 'schedule'>,
    private readonly store: FleetFigures,
    private readonly membership: FleetMembership,
    private readonly readOwn: () => Omit<InstanceFigures, 'service' | 'instance'>,
    private readonly thresholds: PerformanceThresholds,
    private readonly failed: (operation: 'publish' | 'read') => void,
  ) {}

  /** Publishes now and then on until {@link stop}. Never rejects. */
  async start(): Promise<void> {
    await this.store.publish(this.own()).catch(() => this.failed('publish'));
    if (!this.stopped)
      this.timer = this.clock.schedule(this.membership.publishEveryMs, () => void this.start());
  }

  /** Leaves the fleet; without a word if the store fails. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.timer?.cancel();
    await this.store.withdraw(this.membership).catch(() => {});
  }

  /** The fleet as it is published, and the own process as it is. Never rejects. */
  async report(): Promise<FleetReport> {
    const own = { figures: this.own(), ageMs: 0 };
    try {
      const others = (await this.store.read()).filter(({ figures }) => !this.isOwn(figures));
      return { scope: 'fleet', ...this.summarise([own, ...others]) };
    } catch (error) {
      this.failed('read');
      const reason = isSparkleError(error) ? error.code : 'FLEET_STORE_FAILED';
      return { scope: 'process', reason, ...this.summarise([own]) };
    }
  }

  private own(): InstanceFigures {
    const { service, instance } = this.membership;
    return { service, instance, ...this.readOwn() };
  }

  private isOwn({ service, instance }: InstanceFigures): boolean {
    return service === this.membership.service && instance === this.membership.instance;
  }

  private summarise(published: readonly PublishedFigures[]): Pick<FleetReport, 'services' | 'instances'> {
    const members = published.map(({ figures, ageMs }) => ({
      figures,
      ageMs,
      latency: LatencyHistogram.decode(figures.latency) ?? new LatencyHistogram(),
    }));
    const services = new Map<string, typeof members>();
    for (const member of members) {
      const { service } = member.figures;
      services.set(service, [...(services.get(service) ?? []), member]);
    }
    return {
      services: [...services]
        .sort(([left], [right]) => left.localeCompare(right))
        .map(([service, of]) => ({
          service,
          instances: of.length,
          ...scorePerformance(addUp(of), this.thresholds),
        })),
      instances: members.map(({ figures, ageMs, latency }) => ({
        service: figures.service,
        instance: figures.instance,
        ageMs: Math.round(ageMs),
        score: figures.score,
        requests: figures.requests,
        p95Ms: latency.percentile(95),
        qps10s: figures.qps10s,
        active: figures.active,
      })),
    };
  }
}

interface Member {
  readonly figures: InstanceFigures;
  readonly latency: LatencyHistogram;
}

function addUp(members: readonly Member[]): ServiceFigures {
  const latency = new LatencyHistogram();
  for (const member of members) latency.add(member.latency);
  const sum = (of: (figures: InstanceFigures) => number) =>
    members.reduce((total, { figures }) => total + of(figures), 0);
  const highest = (of: (figures: InstanceFigures) => number | null) =>
    members.reduce<number | null>((most, { figures }) => {
      const value = of(figures);
      return value === null || (most !== null && most >= value) ? most : value;
    }, null);
  const requests = sum((figures) => figures.requests);
  return {
    requests,
    p50Ms: latency.percentile(50),
    p95Ms: latency.percentile(95),
    p99Ms: latency.percentile(99),
    errorRate: requests === 0 ? 0 : sum(({ failed }) => failed) / requests,
    qps10s: sum(({ qps10s }) => qps10s),
    qps60s: sum(({ qps60s }) => qps60s),
    active: sum(({ active }) => active),
    cpu: highest(({ cpu }) => cpu),
    memory: highest(({ memory }) => memory),
  };
}
