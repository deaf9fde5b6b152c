import { type HeapProfiler, type Profiler as InspectorProfiler, Session } from 'node:inspector';
import { monitorEventLoopDelay, PerformanceObserver, performance } from 'node:perf_hooks';
import type { Readable } from 'node:stream';
import { getHeapSnapshot } from 'node:v8';
import type { Clock } from '@sparkle/contracts';
import { GC_KINDS } from '../adapters/system/runtime-monitor.js';
import { ProfileAbortedError, ProfileInProgressError, ProfileMemoryShortError } from '../errors.js';
import { busyPartsOf, type EventLoopReport, type GcReport, round } from './event-loop-report.js';
import {
  type CpuProfileOptions,
  type EventLoopOptions,
  type HeapSamplingOptions,
  parseProfileOptions,
} from './profile.options.js';

/** What can be taken of a process. */
export type ProfileKind = 'cpu' | 'heap' | 'heap-sampling' | 'event-loop';

const MS = 1_000;
const DELAY_RESOLUTION_MS = 10;
const NANOSECONDS = 1e6;
const REPORT_INTERVAL_MICROS = 1_000;
/** A snapshot copies the heap's graph; half as much again for what is allocated meanwhile. */
const SNAPSHOT_FACTOR = 1.5;
/** A reader slower than this loses its snapshot, which holds as much memory as the heap. */
const SNAPSHOT_DEADLINE_MS = 300_000;

/**
 * Takes profiles of this process, main thread only, while it works: V8's own, through `node:inspector`, without
 * opening its port. One at a time. What it hands out can hold every user's data: keep it to administrators.
 */
export class Profiler {
  private running: ProfileKind | undefined;

  /** @param availableBytes memory the process can still take before its limit. */
  constructor(
    private readonly clock: Clock,
    private readonly availableBytes: () => number,
  ) {}

  /**
   * Which functions the time goes to, as a `.cpuprofile`.
   * @param signal gives up and frees what was collected.
   * @throws ProfileOptionsInvalidError, ProfileInProgressError, ProfileAbortedError
   */
  async cpu(options?: CpuProfileOptions, signal?: AbortSignal): Promise<InspectorProfiler.Profile> {
    const { seconds, intervalMicros } = parseProfileOptions('cpu', options);
    return this.exclusively('cpu', () => this.recordCpu(seconds, intervalMicros, signal));
  }

  /**
   * Which functions allocate the memory that is still in use, as a `.heapprofile`: cheap, unlike a snapshot.
   * @throws ProfileOptionsInvalidError, ProfileInProgressError, ProfileAbortedError
   */
  async heapSampling(
    options?: HeapSamplingOptions,
    signal?: AbortSignal,
  ): Promise<HeapProfiler.SamplingHeapProfile> {
    const { seconds, intervalBytes } = parseProfileOptions('heapSampling', options);
    return this.exclusively('heap-sampling', () =>
      withSession(async (post) => {
        await post('HeapProfiler.startSampling', { samplingInterval: intervalBytes });
        try {
          await this.wait(seconds, signal);
        } catch (error) {
          await post('HeapProfiler.stopSampling');
          throw error;
        }
        const { profile } = (await post('HeapProfiler.stopSampling')) as HeapProfiler.StopSamplingReturnType;
        return profile;
      }),
    );
  }

  /**
   * Every object of the heap, as a `.heapsnapshot`, handed out as it is read. The process stands still while it is
   * taken, about a second per 100 MB.
   * @param signal gives up and frees the snapshot; so does destroying the stream.
   * @throws ProfileInProgressError, and ProfileMemoryShortError where taking it could exhaust the memory.
   */
  heapSnapshot(signal?: AbortSignal): Readable {
    this.begin('heap');
    try {
      const requiredBytes = Math.ceil(process.memoryUsage().heapUsed * SNAPSHOT_FACTOR);
      const availableBytes = this.availableBytes();
      if (availableBytes < requiredBytes) throw new ProfileMemoryShortError(requiredBytes, availableBytes);
      if (signal?.aborted) throw new ProfileAbortedError();
      const stream = getHeapSnapshot();
      const giveUp = () => stream.destroy(new ProfileAbortedError());
      const deadline = this.clock.schedule(SNAPSHOT_DEADLINE_MS, giveUp);
      signal?.addEventListener('abort', giveUp, { once: true });
      stream.once('close', () => {
        deadline.cancel();
        signal?.removeEventListener('abort', giveUp);
        this.running = undefined;
      });
      return stream;
    } catch (error) {
      this.running = undefined;
      throw error;
    }
  }

  /**
   * How long the event loop kept others waiting, and with what.
   * @throws ProfileOptionsInvalidError, ProfileInProgressError, ProfileAbortedError
   */
  async eventLoop(options?: EventLoopOptions, signal?: AbortSignal): Promise<EventLoopReport> {
    const { seconds } = parseProfileOptions('eventLoop', options);
    return this.exclusively('event-loop', async () => {
      const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
      const gc = collectGc();
      const before = performance.eventLoopUtilization();
      delay.enable();
      try {
        const profile = await this.recordCpu(seconds, REPORT_INTERVAL_MICROS, signal);
        delay.disable();
        // The histogram holds the times between two looks, which are that far apart by themselves.
        const late = (nanoseconds: number) =>
          round(Math.max(0, nanoseconds / NANOSECONDS - DELAY_RESOLUTION_MS)) || 0;
        return {
          seconds,
          delayMs: {
            mean: late(delay.mean),
            p50: late(delay.percentile(50)),
            p90: late(delay.percentile(90)),
            p99: late(delay.percentile(99)),
            max: late(delay.max),
          },
          utilization: round(performance.eventLoopUtilization(before).utilization),
          activeResources: countOf(process.getActiveResourcesInfo()),
          gc: gc.report(),
          ...busyPartsOf(profile),
        };
      } finally {
        delay.disable();
        gc.stop();
      }
    });
  }

  private recordCpu(
    seconds: number,
    intervalMicros: number,
    signal?: AbortSignal,
  ): Promise<InspectorProfiler.Profile> {
    return withSession(async (post) => {
      await post('Profiler.enable');
      await post('Profiler.setSamplingInterval', { interval: intervalMicros });
      await post('Profiler.start');
      // Disconnecting ends a profile that is given up.
      await this.wait(seconds, signal);
      const { profile } = (await post('Profiler.stop')) as InspectorProfiler.StopReturnType;
      return profile;
    });
  }

  private async wait(seconds: number, signal?: AbortSignal): Promise<void> {
    await this.clock.sleep(seconds * MS, signal).catch(() => {
      throw new ProfileAbortedError();
    });
  }

  private begin(kind: ProfileKind): void {
    if (this.running) throw new ProfileInProgressError(this.running);
    this.running = kind;
  }

  private async exclusively<T>(kind: ProfileKind, take: () => Promise<T>): Promise<T> {
    this.begin(kind);
    try {
      return await take();
    } finally {
      this.running = undefined;
    }
  }
}

type Post = (method: string, params?: object) => Promise<unknown>;

/** Runs `work` on an inspector session of this thread, which ends with it. */
async function withSession<T>(work: (post: Post) => Promise<T>): Promise<T> {
  const session = new Session();
  session.connect();
  try {
    return await work(
      (method, params) =>
        new Promise((resolve, reject) => {
          session.post(method, params, (error: Error | null, result?: unknown) => {
            if (error) reject(error);
            else resolve(result);
          });
        }),
    );
  } finally {
    session.disconnect();
  }
}

function countOf(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

function collectGc(): { report(): GcReport; stop(): void } {
  const pauses: { kind: string; ms: number }[] = [];
  const take = (entries: readonly { duration: number; detail?: unknown }[]) => {
    for (const { duration, detail } of entries)
      pauses.push({ kind: GC_KINDS.get((detail as { kind: number }).kind) ?? 'unknown', ms: duration });
  };
  const observer = new PerformanceObserver((list) => take(list.getEntries()));
  observer.observe({ entryTypes: ['gc'] });
  return {
    report: () => {
      take(observer.takeRecords());
      const msByKind: Record<string, number> = {};
      for (const { kind, ms } of pauses) msByKind[kind] = round((msByKind[kind] ?? 0) + ms);
      return {
        pauses: pauses.length,
        totalMs: round(pauses.reduce((sum, { ms }) => sum + ms, 0)),
        longestMs: round(Math.max(0, ...pauses.map(({ ms }) => ms))),
        msByKind,
      };
    },
    stop: () => observer.disconnect(),
  };
}
