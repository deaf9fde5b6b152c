import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { SystemDatabase } from '@sparkle/contracts';
import { HealthRegistry, PrometheusMetrics } from '@sparkle/metrics';
import { JobQueues } from '../queue/job-queues.js';
import type { ServiceConnections } from '../services/service-connections.js';
import { SERVICES } from '../services/services.token.js';

/** What an application cannot work without, as `/health/ready` checks it, and how full the queues are. */
@Injectable()
export class ServiceHealth implements OnModuleInit {
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
    this.health.register({ name: 'queue', check: () => this.queues.depths() });
    this.metrics.collectGauge('queueDepth', async (set) => {
      for (const [queue, depths] of Object.entries(await this.queues.depths()))
        for (const [state, count] of Object.entries(depths)) set({ queue, state }, count);
    });
  }
}
