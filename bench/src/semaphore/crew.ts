import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
// biome-ignore lint/correctness/noUndeclaredDependencies: the workspace's build tool, which the tests run on
import { build } from 'vite';
import type { SystemName, SystemOptions } from './systems.js';

export interface HolderOrders extends SystemOptions {
  readonly system: SystemName;
  /** One semaphore per number, with so many permits. */
  readonly permits: readonly number[];
  /** How wrong the process's wall clock is. */
  readonly skewMs: number;
  /** How many permits it works with at once. */
  readonly lanes: number;
  /** A permit is held for up to so long. */
  readonly stepMs: number;
  readonly log: string;
}

/** Times are the server's, milliseconds. */
interface Hold {
  readonly pool: number;
  readonly from: number;
  until: number;
}

/** Holder processes, run from one bundled file so that they start fast, and what they logged. */
export class Crew {
  private readonly children = new Set<ChildProcess>();

  private constructor(private readonly directory: string) {}

  static async prepare(): Promise<Crew> {
    const directory = mkdtempSync(join(tmpdir(), 'sparkle-bench-holders-'));
    await build({
      configFile: false,
      logLevel: 'error',
      ssr: {
        noExternal: true,
        resolve: { conditions: [...conditions(), 'node', 'import', 'default'] },
      },
      build: {
        ssr: new URL('./holder.process.ts', import.meta.url).pathname,
        outDir: directory,
        rolldownOptions: { output: { entryFileNames: 'holder.mjs' } },
      },
    });
    // The bundle finds its scripts beside itself.
    const concurrency = dirname(createRequire(import.meta.url).resolve('@sparkle/concurrency/package.json'));
    const lua = join(concurrency, conditions().length > 0 ? 'src/lua' : 'dist/lua');
    cpSync(lua, directory, { recursive: true });
    return new Crew(directory);
  }

  get log(): string {
    return join(this.directory, 'holds.log');
  }

  forget(): void {
    writeFileSync(this.log, '');
  }

  /** Starts a process and resolves when it holds its first permit. */
  async start(orders: Omit<HolderOrders, 'log'>): Promise<ChildProcess> {
    const args = [join(this.directory, 'holder.mjs'), JSON.stringify({ ...orders, log: this.log })];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.children.add(child);
    await once(child.stdout!, 'data');
    child.stdout!.resume();
    return child;
  }

  async kill(child: ChildProcess): Promise<void> {
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    this.children.delete(child);
  }

  killAll(): void {
    for (const child of this.children) child.kill('SIGKILL');
    this.children.clear();
  }

  /** Everything that was held. What was not given back was held until its lease ended. */
  holds(): Hold[] {
    const holds = new Map<string, Hold>();
    // A torn line was being written by a process that was killed: it did not go on to act.
    const texts = readFileSync(this.log, 'utf8').split('\n');
    for (const text of texts.filter((line) => line.endsWith('}'))) {
      const line = JSON.parse(text) as {
        hold: string;
        pool: number;
        at: number;
        leaseEndsMs: number;
        ends: boolean;
      };
      const known = holds.get(line.hold);
      if (known) known.until = line.at;
      else
        holds.set(line.hold, { pool: line.pool, from: line.at, until: Math.max(line.at, line.leaseEndsMs) });
    }
    return [...holds.values()];
  }

  stop(): void {
    this.killAll();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Export conditions this process itself was started with. */
function conditions(): string[] {
  return process.execArgv.flatMap((arg) => /^--conditions=(.+)$/.exec(arg)?.[1] ?? []);
}

/** How many holds began while all permits of their pool were held, and the most that were held at once. */
export function judge(holds: readonly Hold[], pool: number, permits: number): { over: number; most: number } {
  const steps = holds
    .filter((hold) => hold.pool === pool)
    .flatMap(({ from, until }) => [
      { at: from, change: 1 },
      { at: until, change: -1 },
    ])
    .sort((left, right) => left.at - right.at || left.change - right.change);
  let [now, most, over] = [0, 0, 0];
  for (const { change } of steps) {
    now += change;
    most = Math.max(most, now);
    if (change > 0 && now > permits) over += 1;
  }
  return { over, most };
}
