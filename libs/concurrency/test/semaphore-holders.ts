import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, cpSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';

/** What a holder process does. */
export interface HolderOrders {
  readonly url: string;
  readonly prefix: string;
  /** One semaphore per number, with so many permits. */
  readonly permits: readonly number[];
  readonly leaseMs: number;
  readonly durable: boolean;
  /** How wrong the process's wall clock is. */
  readonly skewMs: number;
  /** How many permits it works with at once. */
  readonly lanes: number;
  /** A permit is held for one or twelve steps of up to so many milliseconds. */
  readonly stepMs: number;
  readonly log: string;
}

/** A line of the log. Times are the server's, microseconds; 0 in a line about a lost permit. */
interface Line {
  readonly what: 'holds' | 'ends' | 'lost';
  readonly pid: number;
  readonly pool: number;
  readonly token: number;
  readonly at: number;
  readonly lease: number;
}

interface Hold {
  readonly pool: number;
  readonly token: number;
  readonly from: number;
  until: number;
}

/** Holder processes that start fast, because they run from one bundled file, and the log they write to. */
export class HolderCrew {
  private readonly children = new Set<ChildProcess>();

  private constructor(
    private readonly directory: string,
    private readonly program: string,
  ) {}

  static async prepare(): Promise<HolderCrew> {
    const directory = mkdtempSync(join(tmpdir(), 'sparkle-holders-'));
    await build({
      configFile: false,
      logLevel: 'error',
      ssr: { noExternal: true, resolve: { conditions: ['@sparkle/source', 'node', 'import', 'default'] } },
      build: {
        ssr: new URL('./permit-holder.process.ts', import.meta.url).pathname,
        outDir: directory,
        rolldownOptions: { output: { entryFileNames: 'holder.mjs' } },
      },
    });
    // The bundle finds its scripts beside itself.
    cpSync(new URL('../src/lua', import.meta.url).pathname, directory, { recursive: true });
    const crew = new HolderCrew(directory, join(directory, 'holder.mjs'));
    closeSync(openSync(crew.log, 'a'));
    return crew;
  }

  get log(): string {
    return join(this.directory, 'holds.log');
  }

  /** Starts a process and resolves when it holds its first permit. */
  async start(orders: Omit<HolderOrders, 'log'>): Promise<ChildProcess> {
    const args = [this.program, JSON.stringify({ ...orders, log: this.log })];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
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

  /** What was written. A torn line is left out: its process was killed before it went on to act. */
  lines(): Line[] {
    const texts = readFileSync(this.log, 'utf8').split('\n');
    return texts
      .filter((text) => text.endsWith('}'))
      .map((text) => ({ at: 0, lease: 0, ...(JSON.parse(text) as Partial<Line>) }) as Line);
  }

  /** Every hold that the processes wrote down. One that did not end lasted until its lease ended. */
  holds(): Hold[] {
    const holds = new Map<string, Hold>();
    for (const { what, pid, pool, token, at, lease } of this.lines()) {
      if (what === 'lost') continue;
      const key = `${pid}:${pool}:${token}`;
      const hold = holds.get(key);
      if (!hold) holds.set(key, { pool, token, from: at, until: Math.max(at, lease) });
      else hold.until = what === 'ends' ? at : Math.max(at, hold.until);
    }
    return [...holds.values()];
  }

  stop(): void {
    for (const child of this.children) child.kill('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** The most holders that one pool had at any instant. */
export function mostAtOnce(holds: readonly Hold[], pool: number): number {
  const steps = holds
    .filter((hold) => hold.pool === pool)
    .flatMap(({ from, until }) => [
      { at: from, change: 1 },
      { at: until, change: -1 },
    ])
    .sort((left, right) => left.at - right.at || left.change - right.change);
  let now = 0;
  let most = 0;
  for (const { change } of steps) {
    now += change;
    most = Math.max(most, now);
  }
  return most;
}

/** Whether later holds of a pool have greater fencing tokens, as far as the log tells which began later. */
export function tokensGrow(holds: readonly Hold[], pool: number): boolean {
  const ended: Hold[] = [];
  const inOrder = holds.filter((hold) => hold.pool === pool).sort((left, right) => left.from - right.from);
  for (const hold of inOrder) {
    if (ended.some(({ token, until }) => until < hold.from && token >= hold.token)) return false;
    ended.push(hold);
  }
  return true;
}
