import { type CpuInfo, cpus } from 'node:os';
import type { CpuUsage } from '../../ports/cpu-usage.port.js';

/**
 * All processors of the host, whoever uses them. In a container with a quota of its own use a reader that knows
 * it, e.g. `{ read: () => resources.current()?.cpu ?? undefined }` with the `ResourceMonitor` of
 * `@sparkle/metrics`.
 */
export class HostCpuUsage implements CpuUsage {
  private previous: { idleMs: number; totalMs: number } | undefined;

  /** @param processors for tests; default `os.cpus`. */
  constructor(private readonly processors: () => readonly Pick<CpuInfo, 'times'>[] = cpus) {}

  read(): number | undefined {
    let idleMs = 0;
    let totalMs = 0;
    for (const { times } of this.processors()) {
      idleMs += times.idle;
      totalMs += times.idle + times.user + times.nice + times.sys + times.irq;
    }
    const { previous } = this;
    this.previous = { idleMs, totalMs };
    if (!previous || totalMs <= previous.totalMs) return undefined;
    const idle = (idleMs - previous.idleMs) / (totalMs - previous.totalMs);
    return Math.min(1, Math.max(0, 1 - idle));
  }
}
