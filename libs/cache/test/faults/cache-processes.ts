import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { TenantId } from '@sparkle/contracts';
import { RedisServer } from '@sparkle/contracts/testing';
import type { Redis } from 'ioredis';
import type { CachePeek } from '../../src/core/cache.service.js';
import type { CacheCallOptions } from '../../src/core/cache-call.js';
import type { CacheScope } from '../../src/core/cache-scope.js';
import type { InvalidationOutcome } from '../../src/core/store-gateway.js';
import { openRedis } from '../required-services.js';
import type { Address } from './deployments.js';

export interface ProcessSettings {
  readonly address: Address;
  readonly ledger: string;
  /** By how much the clocks of the process are wrong. */
  readonly shiftMs: number;
}

/** What a loader does: nothing before its gate opens, then throw or return. */
export interface LoadTask {
  /** Name of the ledger's page. */
  readonly id: string;
  readonly gated?: boolean;
  readonly value?: unknown;
  readonly throws?: string;
}

type CallOptions = Omit<CacheCallOptions<unknown>, 'ttlMs' | 'tags'> & {
  readonly ttlMs?: number;
  readonly tags?: readonly string[];
};

export type Task =
  | {
      readonly do: 'getOrSet';
      readonly scope: CacheScope;
      readonly key: string;
      readonly callers: number;
      /** How often `callers` calls are made, each time after the calls before have ended. Default 1. */
      readonly rounds?: number;
      readonly load: LoadTask;
      readonly options?: CallOptions;
    }
  | {
      readonly do: 'set';
      readonly scope: CacheScope;
      readonly key: string;
      readonly value: unknown;
      readonly options?: CallOptions;
    }
  | { readonly do: 'get' | 'peek' | 'delete'; readonly scope: CacheScope; readonly key: string }
  | { readonly do: 'deleteByTag'; readonly scope: CacheScope; readonly tag: string }
  | { readonly do: 'clear'; readonly scope: { readonly tenantId: TenantId; readonly namespace?: string } }
  | { readonly do: 'connected' };

export type Order = Task & { readonly id: number };

export type Answer =
  | { readonly ready: true }
  | { readonly order: number; readonly asked: true }
  | { readonly order: number; readonly result: unknown }
  | { readonly order: number; readonly error: string }
  | { readonly unhandled: string };

/** A process with a cache of its own. */
export class CacheProcess {
  private readonly waiting = new Map<
    number,
    { asked(): void; resolve(result: unknown): void; reject(error: Error): void }
  >();
  private orders = 0;
  readonly unhandled: string[] = [];

  private constructor(private readonly child: ChildProcess) {
    child.on('message', (answer: Answer) => this.hear(answer));
  }

  static async start(settings: ProcessSettings): Promise<CacheProcess> {
    const child = fork(new URL('./cache-process.ts', import.meta.url), [JSON.stringify(settings)], {
      execArgv: ['--conditions=@sparkle/source', '--import', '@swc-node/register/esm-register'],
      cwd: new URL('../..', import.meta.url).pathname,
    });
    const failed = once(child, 'exit').then(([code]) => {
      throw new Error(`A process of the test ended with code ${code} before it was ready.`);
    });
    await Promise.race([once(child, 'message'), failed]);
    failed.catch(() => undefined);
    return new CacheProcess(child);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Calls `count` times at once; `asked` resolves when all are on their way. */
  getOrSet(task: Omit<Extract<Task, { do: 'getOrSet' }>, 'do'>): {
    asked: Promise<void>;
    outcomes: Promise<unknown[]>;
  } {
    let asked = () => {};
    const hasAsked = new Promise<void>((resolve) => {
      asked = resolve;
    });
    return {
      asked: hasAsked,
      outcomes: this.order({ do: 'getOrSet', ...task }, asked) as Promise<unknown[]>,
    };
  }

  get(scope: CacheScope, key: string): Promise<unknown> {
    return this.order({ do: 'get', scope, key });
  }

  peek(scope: CacheScope, key: string): Promise<CachePeek<unknown> | undefined> {
    return this.order({ do: 'peek', scope, key }) as Promise<CachePeek<unknown> | undefined>;
  }

  async set(scope: CacheScope, key: string, value: unknown, options?: CallOptions): Promise<void> {
    await this.order({ do: 'set', scope, key, value, options });
  }

  delete(scope: CacheScope, key: string): Promise<InvalidationOutcome> {
    return this.order({ do: 'delete', scope, key }) as Promise<InvalidationOutcome>;
  }

  deleteByTag(scope: CacheScope, tag: string): Promise<InvalidationOutcome> {
    return this.order({ do: 'deleteByTag', scope, tag }) as Promise<InvalidationOutcome>;
  }

  clear(scope: { tenantId: TenantId; namespace?: string }): Promise<InvalidationOutcome> {
    return this.order({ do: 'clear', scope }) as Promise<InvalidationOutcome>;
  }

  connected(): Promise<boolean> {
    return this.order({ do: 'connected' }) as Promise<boolean>;
  }

  /** Ends the process as a crash would. */
  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }

  private order(task: Task, asked: () => void = () => {}): Promise<unknown> {
    const id = ++this.orders;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { asked, resolve, reject });
      this.child.send({ ...task, id } satisfies Order);
    });
  }

  private hear(answer: Answer): void {
    if ('unhandled' in answer) this.unhandled.push(answer.unhandled);
    if (!('order' in answer)) return;
    const waiting = this.waiting.get(answer.order);
    if ('asked' in answer) {
      waiting?.asked();
      return;
    }
    this.waiting.delete(answer.order);
    if ('error' in answer) waiting?.reject(new Error(answer.error));
    else waiting?.resolve(answer.result);
  }
}

export interface LedgerEntry {
  readonly event: 'start' | 'end' | 'killed';
  readonly pid: number;
  /** By the ledger's clock, milliseconds. */
  readonly at: number;
}

/** Where processes write down when their loaders start and end, by one clock. */
export class Ledger {
  private constructor(
    private readonly server: RedisServer,
    private readonly connection: Redis,
  ) {}

  static async open(): Promise<Ledger> {
    const server = await RedisServer.start();
    return new Ledger(server, await openRedis(server.url));
  }

  get url(): string {
    return this.server.url;
  }

  /** Lets the gated loaders of a page go on. */
  async openGate(id: string): Promise<void> {
    await this.connection.set(`gate:${id}`, 1);
  }

  async noteKill(id: string, pid: number): Promise<void> {
    await this.connection.xadd(`loads:${id}`, '*', 'event', 'killed', 'pid', pid);
  }

  async entries(id: string): Promise<LedgerEntry[]> {
    const entries = await this.connection.xrange(`loads:${id}`, '-', '+');
    return entries.map(([stamp, fields]) => ({
      at: Number(stamp.split('-')[0]),
      event: fields[1] as LedgerEntry['event'],
      pid: Number(fields[3]),
    }));
  }

  async starts(id: string): Promise<LedgerEntry[]> {
    return (await this.entries(id)).filter(({ event }) => event === 'start');
  }

  /** The most loaders of a page that ran at one time. A killed process's loader ends with it. */
  async peak(id: string): Promise<number> {
    let running = 0;
    let peak = 0;
    for (const { event } of await this.entries(id)) {
      running += event === 'start' ? 1 : -1;
      peak = Math.max(peak, running);
    }
    return peak;
  }

  async close(): Promise<void> {
    this.connection.disconnect();
    await this.server.stop();
  }
}
