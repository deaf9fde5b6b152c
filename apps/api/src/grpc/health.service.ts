import {
  type Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type StatusObject,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import type { Clock } from '@sparkle/contracts';
import type { HealthRegistry } from '@sparkle/metrics';
import { service } from 'grpc-health-check';

interface HealthRequest {
  readonly service: string;
}
interface HealthReply {
  readonly status: 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';
}
type Watch = ServerWritableStream<HealthRequest, HealthReply>;

/** How often readiness is looked at again for those who watch it. */
const WATCH_MS = 5_000;

/**
 * `grpc.health.v1.Health`: serving is what `/health/ready` calls ready, for the whole server (an empty name) and for
 * each service.
 */
export class HealthService {
  private readonly watches = new Set<Watch>();

  constructor(
    private readonly readiness: HealthRegistry,
    private readonly clock: Clock,
    private readonly services: readonly string[],
  ) {}

  addTo(server: Server): void {
    server.addService(service as ServiceDefinition, {
      check: (call: ServerUnaryCall<HealthRequest, HealthReply>, reply: sendUnaryData<HealthReply>) => {
        const { service: name } = call.request;
        if (this.knows(name)) void this.current().then((current) => reply(null, { status: current }));
        else reply(unknownService(name));
      },
      list: (_call: unknown, reply: sendUnaryData<{ statuses: Record<string, HealthReply> }>) => {
        void this.current().then((current) => {
          const names = ['', ...this.services];
          reply(null, { statuses: Object.fromEntries(names.map((name) => [name, { status: current }])) });
        });
      },
      watch: (call: Watch) => {
        void this.follow(call);
      },
    });
  }

  /** Tells those who watch that the server goes, and ends their calls. */
  close(): void {
    for (const watch of this.watches) {
      watch.write({ status: 'NOT_SERVING' });
      watch.end();
    }
    this.watches.clear();
  }

  private async follow(call: Watch): Promise<void> {
    const left = new AbortController();
    call.once('cancelled', () => left.abort());
    this.watches.add(call);
    const known = this.knows(call.request.service);
    let told: HealthReply['status'] | undefined;
    while (!left.signal.aborted && this.watches.has(call)) {
      const current = known ? await this.current() : 'SERVICE_UNKNOWN';
      if (current !== told && this.watches.has(call)) call.write({ status: current });
      told = current;
      await this.clock.sleep(WATCH_MS, left.signal).catch(() => {});
    }
    this.watches.delete(call);
  }

  private knows(name: string): boolean {
    return name === '' || this.services.includes(name);
  }

  private async current(): Promise<'SERVING' | 'NOT_SERVING'> {
    return (await this.readiness.check()).status === 'ready' ? 'SERVING' : 'NOT_SERVING';
  }
}

function unknownService(name: string): Pick<StatusObject, 'code' | 'details'> {
  return { code: status.NOT_FOUND, details: `There is no service "${name}" here.` };
}
