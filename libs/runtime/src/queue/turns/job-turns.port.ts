import type { Priority } from '@sparkle/concurrency';
import type { TenantId } from '@sparkle/contracts';
import type { QueueName } from '../queues.js';

/**
 * Whose turn it is in a queue: start-time fair queueing (Goyal, Vin and Cheng, 1996), every tenant weighing the
 * same and every job costing one turn. The jobs of one tenant take turns one after the other; a tenant that comes
 * to a queue takes the turn that is under way, and none it has missed. One row of turns per queue and priority,
 * shared by all processes.
 */
export interface JobTurns {
  /** Takes the tenant's next turn: that under way, or the one after its last. From 0. */
  take(queue: QueueName, priority: Priority, tenantId: TenantId): Promise<number>;
  /** A job of this turn has begun: newcomers take no earlier one. */
  begin(queue: QueueName, priority: Priority, turn: number): Promise<void>;
  /** The turn under way; 0 for a queue without a past. */
  current(queue: QueueName, priority: Priority): Promise<number>;
  /** Begins a queue's turns at 0 again. */
  restart(queue: QueueName, priority: Priority): Promise<void>;
  close(): Promise<void>;
}
