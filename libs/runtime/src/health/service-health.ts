import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { SystemDatabase } from '@sparkle/contracts';
import { HealthRegistry, PrometheusMetrics } from '@sparkle/metrics';
import { JobQueues } from '../queue/job-queues.js';
import type { ServiceConnections } from '../services/service-connections.js';
import { SERVICES } from '../services/services.token.js';

/** What an application cannot work without, as `/health/ready` checks it, and how full the queues are. */
@Injectable()
export class ServiceHealth implements OnModuleInit {
  private depths: Partial<Awaited<ReturnType<JobQueues['depths']>>> = {};

  constructor(
    @Inject(HealthRegistry) private readonly health: HealthRegistry,
    @Inject(PrometheusMetrics) private readonly metrics: PrometheusMetrics,
    @Inject(SystemDatabase) private readonly database: SystemDatabase,
    @Inject(JobQueues) private readonly queues: JobQueues,
    @Inject(SERVICES) private readonly services: ServiceConnections,
  ) {}

  onModuleInit(): void {
    this.health.register({
      name: 'database',
      check: () => this.database.asSystem((sql) => sql.query('SELECT 1')),
    });
    const redis = this.services.redis?.client;
    if (redis) this.health.register({ name: 'redis', check: () => redis.ping() });
    this.health.register({ name: 'queue', check: (signal) => this.readDepths(signal) });
    this.metrics.collectGauge('queueDepth', (set) => {
      for (const [queue, depths] of Object.entries(this.depths))
        for (const [state, count] of Object.entries(depths)) set({ queue, state }, count);
    });
  }

  /** Scrapes show what the newest check read, so that none waits for a queue that does not answer. */
  private async readDepths(signal: AbortSignal): Promise<void> {
    const forget = () => {
      this.depths = {};
    };
    signal.addEventListener('abort', forget, { once: true });
    try {
      this.depths = await this.queues.depths();
    } catch (error) {
      forget();
      throw error;
    }
  }
}
