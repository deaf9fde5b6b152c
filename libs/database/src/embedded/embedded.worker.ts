import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import { pg_trgm } from '@electric-sql/pglite/contrib/pg_trgm';
import { vector } from '@electric-sql/pglite-pgvector';
import { SystemClock } from '@sparkle/contracts';
import { CLUSTER, CLUSTER_INCOMPLETE } from './data-folder.js';
import { SessionMultiplexer } from './session-multiplexer.js';
import type { WorkerMessage, WorkerSettings } from './worker-messages.js';

const REPORTED_PARAMETERS = [
  'server_version',
  'server_encoding',
  'client_encoding',
  'DateStyle',
  'IntervalStyle',
  'TimeZone',
  'integer_datetimes',
  'standard_conforming_strings',
  'is_superuser',
];

async function serve(settings: WorkerSettings): Promise<void> {
  const database = await openCluster(settings.folder);
  const parameters: Record<string, string> = {};
  for (const name of REPORTED_PARAMETERS) {
    const { rows } = await database.query<{ value: string }>('SELECT current_setting($1) AS value', [name]);
    parameters[name] = rows[0]!.value;
  }
  const fail = (error: unknown) => {
    report({ kind: 'failed', reason: reasonOf(error) });
    // Ends this thread: a broken session must not keep clients waiting.
    setImmediate(() => process.exit(1));
  };
  const multiplexer = new SessionMultiplexer({
    session: { execute: (messages) => database.execProtocolRaw(messages) },
    password: settings.password,
    parameters,
    clock: new SystemClock(),
    idleInTransactionMs: settings.idleInTransactionMs,
    loginMs: 10_000,
    maxClients: settings.maxClients,
    onFailure: fail,
  });
  const server = createServer({ allowHalfOpen: true }, (socket) => multiplexer.accept(socket));
  server.once('error', fail);
  server.listen(0, '127.0.0.1', () =>
    report({ kind: 'ready', port: (server.address() as AddressInfo).port }),
  );
  parentPort!.once('message', async () => {
    server.close();
    await multiplexer.close();
    await database.close();
    report({ kind: 'closed' });
    parentPort!.close();
  });
}

/**
 * Opens the cluster, or makes one. While it is being made a mark says so; a cluster that still has it was
 * interrupted before anybody could use it and is made anew.
 */
async function openCluster(folder: string): Promise<PGlite> {
  const path = join(folder, CLUSTER);
  const mark = join(folder, CLUSTER_INCOMPLETE);
  if (!existsSync(mark) && existsSync(join(path, 'PG_VERSION'))) return open(path);
  writeFileSync(mark, '');
  rmSync(path, { recursive: true, force: true });
  const database = await open(path);
  rmSync(mark);
  return database;
}

function open(dataDir: string): Promise<PGlite> {
  return PGlite.create({ dataDir, extensions: { vector, pg_trgm } });
}

function report(message: WorkerMessage): void {
  parentPort!.postMessage(message);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

serve(workerData as WorkerSettings).catch((error) => report({ kind: 'failed', reason: reasonOf(error) }));
