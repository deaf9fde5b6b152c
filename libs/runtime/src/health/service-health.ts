import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { SystemDatabase } from '@sparkle/contracts';
import { HealthRegistry } from '@sparkle/metrics';
import { JobQueues } from '../queue/job-queues.js';

/** What an application cannot work without, as `/health/ready` checks it. */
@Injectable()
export class ServiceHealth implements OnModuleInit {
  constructor(
    @Inject(HealthRegistry) private readonly health: HealthRegistry,
    @Inject(SystemDatabase) private readonly database: SystemDatabase,
    @Inject(JobQueues) private readonly queues: JobQueues,
  ) {}

  onModuleInit(): void {
    this.health.register({
      name: 'database',
      check: () => this.database.asSystem((sql) => sql.query('SELECT 1')),
    });
    this.health.register({ name: 'queue', check: () => this.queues.depths() });
  }
}
