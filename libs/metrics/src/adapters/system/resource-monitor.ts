import { statfs } from 'node:fs/promises';
import { cpus, freemem, loadavg, totalmem } from 'node:os';
import type { Clock, ClockTimer } from '@sparkle/contracts';
import type { SystemFiles } from '../../ports/system-files.port.js';
import { readCgroupCpu, readCgroupMemory } from './cgroup.js';

export interface DiskUsage {
  readonly path: string;
  /** Used share as `df` shows it. */
  readonly ratio: number;
  readonly freeBytes: number;
}

/** Use of the machine's, or the container's, resources. */
export interface ResourceFigures {
  /** In `[0, 1]`; `null` until two samples have been taken. */
  readonly cpu: number | null;
  readonly cpuCores: number;
  /** In `[0, 1]`. */
  readonly memory: number;
  readonly memoryLimitBytes: number;
  readonly loadAverage: readonly [number, number, number];
  readonly disks: readonly DiskUsage[];
  /** Threads of this process; `null` where the system does not say. */
  readonly threads: number | null;
}

interface CpuReading {
  readonly source: 'cgroup' | 'host';
  readonly cores: number;
  readonly usedSeconds: number;
  readonly atMs: number;
}

/** Samples resource use at an interval. A limit of the container, where there is one, counts instead of the host's size. */
export class ResourceMonitor {
  private figures: ResourceFigures | undefined;
  private previousCpu: CpuReading | undefined;
  private timer: ClockTimer | undefined;
  private stopped = false;

  constructor(
    private readonly clock: Clock,
    private readonly files: SystemFiles,
    private readonly intervalMs: number,
    private readonly diskPaths: readonly string[],
  ) {}

  /** Takes the first sample and goes on until {@link stop}. */
  async start(): Promise<void> {
    await this.sample();
    if (!this.stopped) this.timer = this.clock.schedule(this.intervalMs, () => void this.start());
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
  }

  /** The newest sample; `undefined` before {@link start}. */
  current(): ResourceFigures | undefined {
    return this.figures;
  }

  private async sample(): Promise<void> {
    const [cpu, memory, disks, threads] = await Promise.all([
      this.readCpu(),
      this.readMemory(),
      Promise.all(this.diskPaths.map(readDisk)),
      this.readThreads(),
    ]);
    const usage = this.previousCpu === undefined ? null : cpuBetween(this.previousCpu, cpu);
    this.previousCpu = cpu;
    const [load1 = 0, load5 = 0, load15 = 0] = loadavg();
    this.figures = {
      cpu: usage ?? this.figures?.cpu ?? null,
      cpuCores: cpu.cores,
      memory: memory.usedBytes / memory.limitBytes,
      memoryLimitBytes: memory.limitBytes,
      loadAverage: [load1, load5, load15],
      disks: disks.filter((disk) => disk !== undefined),
      threads,
    };
  }

  private async readCpu(): Promise<CpuReading> {
    const cgroup = await readCgroupCpu(this.files);
    const atMs = this.clock.monotonic();
    if (cgroup && cgroup.cores <= cpus().length) return { source: 'cgroup', ...cgroup, atMs };
    const usedMs = cpus().reduce(
      (sum, { times }) => sum + times.user + times.nice + times.sys + times.irq,
      0,
    );
    return { source: 'host', cores: cpus().length, usedSeconds: usedMs / 1000, atMs };
  }

  private async readMemory(): Promise<{ limitBytes: number; usedBytes: number }> {
    const limitBytes = totalmem();
    const cgroup = await readCgroupMemory(this.files, limitBytes);
    if (cgroup) return cgroup;
    const available = /^MemAvailable:\s+(\d+) kB$/m.exec((await this.files.read('/proc/meminfo')) ?? '')?.[1];
    const availableBytes = available === undefined ? freemem() : Number(available) * 1024;
    return { limitBytes, usedBytes: Math.max(0, limitBytes - availableBytes) };
  }

  private async readThreads(): Promise<number | null> {
    const threads = /^Threads:\s+(\d+)$/m.exec((await this.files.read('/proc/self/status')) ?? '')?.[1];
    return threads === undefined ? null : Number(threads);
  }
}

/** Busy share between two readings; `null` when they cannot be compared. */
function cpuBetween(from: CpuReading, to: CpuReading): number | null {
  const elapsedSeconds = (to.atMs - from.atMs) / 1000;
  if (from.source !== to.source || elapsedSeconds <= 0) return null;
  const share = (to.usedSeconds - from.usedSeconds) / (elapsedSeconds * to.cores);
  return Math.min(1, Math.max(0, share));
}

async function readDisk(path: string): Promise<DiskUsage | undefined> {
  try {
    const { blocks, bfree, bavail, bsize } = await statfs(path);
    const used = blocks - bfree;
    return { path, ratio: used + bavail === 0 ? 0 : used / (used + bavail), freeBytes: bavail * bsize };
  } catch {
    return undefined;
  }
}
