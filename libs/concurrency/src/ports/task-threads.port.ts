/** A function to call in another thread. Payload and result travel by structured clone. */
export interface ThreadTask {
  /** Absolute path or `file:` URL of the module. */
  readonly filename: string;
  /** The module's export to call. */
  readonly name: string;
  readonly payload: unknown;
}

/** Why a thread died by itself. A result that cannot be cloned is an uncaught exception. */
export type ThreadCrash = 'not_started' | 'out_of_memory' | 'uncaught_exception' | 'exit';

export type ThreadOutcome =
  | { readonly kind: 'completed'; readonly value: unknown }
  /** The task threw; its thread lives on. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The payload cannot be cloned, so nothing was run; the thread lives on. */
  | { readonly kind: 'uncloneable'; readonly error: unknown }
  | { readonly kind: 'crashed'; readonly reason: ThreadCrash; readonly error: unknown };

/** One thread that runs one task at a time. */
export interface TaskThread {
  /** False once the thread has crashed or was told to stop. */
  readonly alive: boolean;
  /** Never rejects. Of a task that {@link stop} cut off, the outcome is that of a crash. */
  run(task: ThreadTask): Promise<ThreadOutcome>;
  /** Ends the thread whatever it is doing; resolves when it is gone. Never rejects. */
  stop(): Promise<void>;
}

/**
 * `first`: the thread that has precedence among those of its tenant; `further`: one that runs on what processor
 * time the first ones of all tenants leave over, where the platform can do that.
 */
export type ThreadPlace = 'first' | 'further';

/** Starts threads. */
export interface TaskThreads {
  /** A thread to be; what goes wrong with it is the outcome of its tasks. */
  start(place: ThreadPlace): TaskThread;
}

/** Injection token of the {@link TaskThreads} port. */
export const TaskThreads = Symbol('TaskThreads');
