/** What the worker of the embedded database is started with. */
export interface WorkerSettings {
  /** Absolute path of the data folder, which the starting process has locked. */
  folder: string;
  password: string;
  idleInTransactionMs: number;
  maxClients: number;
}

/** What it reports. Any message to the worker asks it to close. */
export type WorkerMessage =
  | { kind: 'ready'; port: number }
  | { kind: 'closed' }
  | { kind: 'failed'; reason: string };
