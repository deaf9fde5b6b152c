import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { RedisServer } from '@sparkle/contracts/testing';
import { Redis } from 'ioredis';
import type { CacheProcessOrder, CacheProcessReport } from './cache.process.js';

const PROCESSES = 4;
const program = fileURLToPath(new URL('./cache.process.ts', import.meta.url));

export interface FleetSettings {
  readonly ttlMs: number;
  readonly staleWhileRevalidate?: boolean;
}

/** Four processes with one system's cache over one Redis of their own. */
export class Fleet {
  private constructor(
    private readonly children: readonly ChildProcess[],
    private readonly server: RedisServer,
    private readonly redis: Redis,
  ) {}

  static async start(system: string, { ttlMs, staleWhileRevalidate = false }: FleetSettings): Promise<Fleet> {
    const server = await RedisServer.start();
    const args = [system, server.url, String(ttlMs), String(staleWhileRevalidate)];
    const children = Array.from({ length: PROCESSES }, () => fork(program, args));
    await Promise.all(children.map(messageOf));
    return new Fleet(children, server, new Redis(server.url));
  }

  /** Gives every process the same order at once and sums up what they report. */
  async order(order: CacheProcessOrder): Promise<CacheProcessReport> {
    const reports = await Promise.all(
      this.children.map(async (child) => {
        const answer = messageOf(child);
        child.send(order);
        return (await answer) as CacheProcessReport;
      }),
    );
    const sum = (field: keyof CacheProcessReport) =>
      reports.reduce((total, report) => total + report[field], 0);
    return { calls: sum('calls'), hits: sum('hits'), errors: sum('errors') };
  }

  /** How often the loader of a key ran, in all processes. */
  async loadsOf(key: string): Promise<number> {
    return Number(await this.redis.get(`loads:${key}`));
  }

  /** How many loaders of a key ran at once at most, in all processes. */
  async mostAtOnce(key: string): Promise<number> {
    return Number(await this.redis.zscore(`most:${key}`, 'together'));
  }

  async stop(): Promise<void> {
    const exits = this.children.map((child) => once(child, 'exit'));
    for (const child of this.children) child.disconnect();
    const deadline = setTimeout(() => {
      for (const child of this.children) child.kill('SIGKILL');
    }, 2_000);
    await Promise.all(exits);
    clearTimeout(deadline);
    this.redis.disconnect();
    await this.server.stop();
  }
}

/** @throws Error when the process ends instead of answering. */
async function messageOf(child: ChildProcess): Promise<unknown> {
  const exited = new AbortController();
  const end = once(child, 'exit', { signal: exited.signal }).then(([code]) => {
    throw new Error(`a process of the benchmark ended with ${code}`);
  });
  try {
    const [message] = await Promise.race([once(child, 'message'), end]);
    return message;
  } finally {
    exited.abort();
    end.catch(() => undefined);
  }
}
