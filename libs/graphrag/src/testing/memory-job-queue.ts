import type { JobQueue, JobTicket } from '../ports/job-queue.port.js';

/** Keeps tickets until a test takes them. */
export class MemoryJobQueue implements JobQueue {
  private readonly tickets = new Map<string, JobTicket>();

  async enqueue(ticket: JobTicket): Promise<void> {
    this.tickets.set(ticket.jobId, ticket);
  }

  get size(): number {
    return this.tickets.size;
  }

  /** Takes everything waiting, oldest first. */
  drain(): JobTicket[] {
    const waiting = [...this.tickets.values()];
    this.tickets.clear();
    return waiting;
  }
}
