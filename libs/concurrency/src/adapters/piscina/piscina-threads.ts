import type { ResourceLimits, Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type {
  TaskThread,
  TaskThreads,
  ThreadCrash,
  ThreadOutcome,
  ThreadPlace,
  ThreadTask,
} from '../../ports/task-threads.port.js';

export interface PiscinaThreadsSettings {
  /** Bounds of each thread; one that exceeds its heap dies alone. Buffers are outside of the heap. */
  readonly resourceLimits: ResourceLimits;
  /** The threads' `process.env`. Default empty, so that tasks do not see the application's secrets. */
  readonly env?: Readonly<Record<string, string>>;
  /** Node's options of the threads. Default: those of the process, so its loaders and hooks run in each thread. */
  readonly execArgv?: readonly string[];
  /** How much nicer (0–19) than the process a tenant's first thread is. Linux only. Default 5. */
  readonly firstNice?: number;
  /** The same for its further ones. Default 19: they get what is left over. */
  readonly furtherNice?: number;
}

/** Niceness is an attribute of each thread on Linux only; elsewhere it would slow the whole process down. */
const THREADS_HAVE_NICENESS = process.platform === 'linux';

function isCloneFailure(error: unknown): boolean {
  return error instanceof Error && error.name === 'DataCloneError';
}

function crashOf(error: unknown): ThreadCrash {
  if (!(error instanceof Error)) return 'uncaught_exception';
  if ('code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY') return 'out_of_memory';
  return error.message.startsWith('worker exited with code') ? 'exit' : 'uncaught_exception';
}

/** A piscina of one thread, so that each thread can be ended by itself, whether idle or busy. */
class PiscinaThread implements TaskThread {
  private readonly pool: Piscina;
  private stopped = false;
  private gone: Promise<void> | undefined;
  private stopping: Promise<void> | undefined;
  private finish: (outcome: ThreadOutcome) => void = () => undefined;

  constructor(settings: PiscinaThreadsSettings, nice: number) {
    this.pool = new Piscina({
      minThreads: 0,
      maxThreads: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      resourceLimits: settings.resourceLimits,
      env: { ...settings.env },
      ...(settings.execArgv && { execArgv: [...settings.execArgv] }),
      niceIncrement: THREADS_HAVE_NICENESS ? nice : 0,
    });
    // Piscina reports a death between two tasks this way; unheard, the event would end the process.
    this.pool.on('error', () => undefined);
  }

  get alive(): boolean {
    return !this.stopped && (this.gone === undefined || this.pool.threads.length > 0);
  }

  run({ filename, name, payload }: ThreadTask): Promise<ThreadOutcome> {
    return new Promise((resolve) => {
      this.finish = resolve;
      try {
        this.pool.run(payload, { filename, name }).then(
          (value: unknown) => resolve({ kind: 'completed', value }),
          (error: unknown) => resolve(this.failure(error)),
        );
      } catch (error) {
        this.stopped = true;
        resolve({ kind: 'crashed', reason: 'not_started', error });
      }
      const [worker] = this.pool.threads;
      if (worker) this.gone ??= this.watch(worker);
    });
  }

  stop(): Promise<void> {
    this.stopped = true;
    this.stopping ??= this.pool.destroy().then(() => this.gone);
    return this.stopping;
  }

  /** Piscina leaves the task of a thread that dies before it is ready in its queue for ever. */
  private watch(worker: Worker): Promise<void> {
    return new Promise((resolve) => {
      let failure: unknown;
      worker.once('error', (error) => {
        failure = error;
      });
      worker.once('exit', (code) => {
        const error = failure ?? new Error(`worker exited with code: ${code}`);
        this.finish({ kind: 'crashed', reason: crashOf(error), error });
        resolve();
      });
    });
  }

  private failure(error: unknown): ThreadOutcome {
    if (isCloneFailure(error)) return { kind: 'uncloneable', error };
    return this.alive ? { kind: 'failed', error } : { kind: 'crashed', reason: crashOf(error), error };
  }
}

/** Worker threads, run by piscina. */
export class PiscinaThreads implements TaskThreads {
  constructor(private readonly settings: PiscinaThreadsSettings) {}

  start(place: ThreadPlace): TaskThread {
    const { firstNice = 5, furtherNice = 19 } = this.settings;
    return new PiscinaThread(this.settings, place === 'first' ? firstNice : furtherNice);
  }
}
