import type { JobPayload, QueueName } from '@sparkle/runtime';

/** The circumstances of one run of a job. */
export interface JobAttempt {
  /** From 1. */
  readonly number: number;
  /** True when the queue will not try again. */
  readonly isLast: boolean;
  /** Aborts when the application shuts down; the job then goes back to the queue. */
  readonly signal: AbortSignal;
  /** Tells whoever follows the job, in any process, that it has moved; best effort. */
  report(progress: Readonly<Record<string, string | number>>): void;
}

/** Works on the jobs of one queue. Running a job twice must have the effect of running it once. */
export interface JobProcessor<Name extends QueueName = QueueName> {
  readonly queue: Name;
  process(payload: JobPayload<Name>, attempt: JobAttempt): Promise<void>;
  /** Called after the last attempt failed. */
  giveUp?(payload: JobPayload<Name>, error: unknown): Promise<void>;
}

/** Injection token of the list of processors a worker runs. */
export const JOB_PROCESSORS = Symbol('JobProcessors');
