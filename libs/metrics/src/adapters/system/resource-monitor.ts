import { statfs } from 'node:fs/promises';
import { cpus, freemem, loadavg, totalmem } from 'node:os';
import type { Clock, ClockTimer } from '@sparkle/contracts';
import type { SystemFiles } from '../../ports/system-files.port.js';
import { readCgroupCpu, readCgroupMemory, readMemoryPressure } from './cgroup.js';

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
  readonly memoryUsedBytes: number;
  readonly memoryLimitBytes: number;
  /** Memory from which on the kernel slows the container down; `null` where that is not set. */
  readonly memoryHighBytes: number | null;
  /** Processes of the container killed for lack of memory since its start; `null` where the system does not say. */
  readonly oomKills: number | null;
  /** Seconds the container's CPU limit has held it back since its start; `null` without a limit. */
  readonly cpuThrottledSeconds: number | null;
  readonly loadAverage: readonly [number, number, number];
  readonly disks: readonly DiskUsage[];
  /** Threads of this process; `null` where the system does not say. */
  readonly threads: number | null;
  /** File descriptors of this process, and how many it may have; `null` where the system does not say. */
  readonly openFds: number | null;
  readonly maxFds: number | null;
}

interface CpuReading {
  readonly source: 'cgroup' | 'host';
  readonly cores: number;
  readonly usedSeconds: number;
  readonly throttledSeconds: number | null;
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
    const [cpu, memory, pressure, disks, threads, openFds, maxFds] = await Promise.all([
      this.readCpu(),
      this.readMemory(),
      readMemoryPressure(this.files),
      Promise.all(this.diskPaths.map(readDisk)),
      this.readNumber('/proc/self/status', /^Threads:\s+(\d+)$/m),
      this.files.count('/proc/self/fd'),
      this.readNumber('/proc/self/limits', /^Max open files\s+(\d+)/m),
    ]);
    const usage = this.previousCpu === undefined ? null : cpuBetween(this.previousCpu, cpu);
    this.previousCpu = cpu;
    const [load1 = 0, load5 = 0, load15 = 0] = loadavg();
    this.figures = {
      cpu: usage ?? this.figures?.cpu ?? null,
      cpuCores: cpu.cores,
      memory: memory.usedBytes / memory.limitBytes,
      memoryUsedBytes: memory.usedBytes,
      memoryLimitBytes: memory.limitBytes,
      memoryHighBytes: pressure.highBytes ?? null,
      oomKills: pressure.oomKills ?? null,
      cpuThrottledSeconds: cpu.throttledSeconds,
      loadAverage: [load1, load5, load15],
      disks: disks.filter((disk) => disk !== undefined),
      threads,
      openFds: openFds ?? null,
      maxFds,
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
    return { source: 'host', cores: cpus().length, usedSeconds: usedMs / 1000, throttledSeconds: null, atMs };
  }

  private async readMemory(): Promise<{ limitBytes: number; usedBytes: number }> {
    const limitBytes = totalmem();
    const cgroup = await readCgroupMemory(this.files, limitBytes);
    if (cgroup) return cgroup;
    const available = /^MemAvailable:\s+(\d+) kB$/m.exec((await this.files.read('/proc/meminfo')) ?? '')?.[1];
    const availableBytes = available === undefined ? freemem() : Number(available) * 1024;
    return { limitBytes, usedBytes: Math.max(0, limitBytes - availableBytes) };
  }

  private async readNumber(path: string, pattern: RegExp): Promise<number | null> {
    const found = pattern.exec((await this.files.read(path)) ?? '')?.[1];
    return found === undefined ? null : Number(found);
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
