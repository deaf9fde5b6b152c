import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { type Clock, SystemClock } from '@sparkle/contracts';
import { claimDataFolder, type DataFolder } from './data-folder.js';
import { EmbeddedStartError } from './errors.js';
import type { WorkerMessage, WorkerSettings } from './worker-messages.js';

export interface EmbeddedPostgresOptions {
  /** Folder of the database; created when missing. One process at a time may have it. */
  dataDir: string;
  /** How long a transaction may wait for its client, blocking everybody else, before it is cut. Default 30 s. */
  idleInTransactionMs?: number;
  /** Most connections at a time. Default 200. */
  maxClients?: number;
  clock?: Clock;
}

/** How long a stop waits for the statement in progress and the final flush. */
const STOP_LIMIT_MS = 5_000;

/**
 * PostgreSQL (PGlite, with pgvector and pg_trgm) inside this process, on a worker thread of its own, for
 * trying Sparkle out with nothing to install. It speaks the PostgreSQL protocol on a loopback port, so
 * whatever works with a server works with it; all clients share one session and take turns by transaction.
 */
export class EmbeddedPostgres {
  private stopping: Promise<void> | undefined;

  private constructor(
    /** `postgres://…` with the password of this run. */
    readonly url: string,
    /**
     * Settles when the database is gone: with `undefined` after {@link stop}, with the reason when it failed.
     * Committed data is safe in either case.
     */
    readonly exited: Promise<Error | undefined>,
    private readonly worker: Worker,
    private readonly folder: DataFolder,
    private readonly clock: Clock,
  ) {}

  /**
   * Starts the database of a data folder.
   * @throws DataFolderLockedError when another process, or this one, has it open.
   * @throws DataFolderForeignError when the folder holds something else.
   * @throws DataFolderUnwritableError when it cannot be written to.
   * @throws EmbeddedStartError when the database does not come up.
   */
  static async start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
    const clock = options.clock ?? new SystemClock();
    const folder = await claimDataFolder(options.dataDir);
    const password = randomBytes(24).toString('base64url');
    const settings: WorkerSettings = {
      folder: folder.path,
      password,
      idleInTransactionMs: options.idleInTransactionMs ?? 30_000,
      maxClients: options.maxClients ?? 200,
    };
    let worker: Worker | undefined;
    try {
      worker = startWorker(settings);
      const port = await untilReady(worker);
      const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
      return new EmbeddedPostgres(url, untilExit(worker), worker, folder, clock);
    } catch (error) {
      await worker?.terminate();
      await folder.release();
      const reason = error instanceof Error ? error.message : String(error);
      throw new EmbeddedStartError(folder.path, reason, { cause: error });
    }
  }

  /**
   * Disconnects every client, rolling back what is open, closes the database and gives the folder back.
   * A statement that does not end within 5 s is abandoned; committed data is safe. Calling it again waits for
   * the same stop.
   */
  stop(): Promise<void> {
    this.stopping ??= this.shutDown();
    return this.stopping;
  }

  private async shutDown(): Promise<void> {
    const timer = this.clock.schedule(STOP_LIMIT_MS, () => void this.worker.terminate());
    this.worker.postMessage('stop');
    await this.exited;
    timer.cancel();
    await this.worker.terminate();
    await this.folder.release();
  }
}

/** Runs the worker from the build, or from source under a loader that reads TypeScript. */
function startWorker(workerData: WorkerSettings): Worker {
  if (!import.meta.url.endsWith('.ts'))
    return new Worker(new URL('./embedded.worker.js', import.meta.url), { workerData, execArgv: [] });
  // The loader's native part crashes the process when the last thread using it ends; keep it loaded.
  createRequire(import.meta.url)('@swc/core');
  return new Worker(new URL('./embedded.worker.ts', import.meta.url), {
    workerData,
    execArgv: ['--import', '@swc-node/register/esm-register', '--conditions=@sparkle/source'],
  });
}

function untilReady(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('its thread ended')));
    worker.once('message', (message: WorkerMessage) => {
      if (message.kind === 'ready') resolve(message.port);
      else reject(new Error(message.kind === 'failed' ? message.reason : 'it was closed'));
    });
  });
}

function untilExit(worker: Worker): Promise<Error | undefined> {
  return new Promise((resolve) => {
    worker.on('message', (message: WorkerMessage) => {
      if (message.kind === 'closed') resolve(undefined);
      if (message.kind === 'failed') resolve(new Error(`The embedded database failed: ${message.reason}`));
    });
    worker.on('error', resolve);
    worker.on('exit', () => resolve(undefined));
  });
}
