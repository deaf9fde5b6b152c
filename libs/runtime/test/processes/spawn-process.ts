import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A TypeScript file of this folder, running as a process of its own. */
export class SpawnedProcess {
  private readonly chunks = { stdout: '', stderr: '' };
  private readonly closed: Promise<unknown>;
  private constructor(private readonly child: ChildProcess) {
    for (const name of ['stdout', 'stderr'] as const)
      child[name]!.setEncoding('utf8').on('data', (chunk: string) => {
        this.chunks[name] += chunk;
      });
    this.closed = once(child, 'close');
  }

  static start(file: string, ...args: string[]): SpawnedProcess {
    const script = fileURLToPath(new URL(file, import.meta.url));
    const flags = ['--conditions=@sparkle/source', '--import=@swc-node/register/esm-register'];
    return new SpawnedProcess(
      spawn(process.execPath, [...flags, script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }),
    );
  }

  get stdout(): string {
    return this.chunks.stdout;
  }

  get stderr(): string {
    return this.chunks.stderr;
  }

  /** Resolves once standard output contains `text`; rejects when the process ends before. */
  async said(text: string): Promise<void> {
    const over = this.closed.then(() => 'over' as const);
    while (!this.stdout.includes(text)) {
      const next = await Promise.race([once(this.child.stdout!, 'data'), over]);
      if (next === 'over' && !this.stdout.includes(text))
        throw new Error(`ended without saying "${text}": ${this.stdout}${this.stderr}`);
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** The exit status, or the signal that ended the process. */
  async status(): Promise<number | string> {
    await this.closed;
    return this.child.exitCode ?? this.child.signalCode ?? 'unknown';
  }
}
