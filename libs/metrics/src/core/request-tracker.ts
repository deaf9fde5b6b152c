import type { Clock } from '@sparkle/contracts';
import { BoundedLabel } from './bounded-label.js';
import { LatencyWindow } from './latency-window.js';
import { RollingCounter } from './rolling-counter.js';

const RATE_WINDOW_MS = 60_000;
const RATE_SLOT_MS = 100;
const ERROR_SLOTS = 60;
const STATUS_CLASSES = ['0xx', '1xx', '2xx', '3xx', '4xx', '5xx'];

/** The door a request came through. */
export type Transport = 'http' | 'ws' | 'grpc';

/** How a request ended. */
export interface RequestOutcome {
  readonly transport: Transport;
  readonly method: string;
  /** Template of the route, e.g. `/v1/jobs/:id`; never the requested URL. */
  readonly route: string;
  readonly statusCode: number;
  /** The client left before the response was complete. */
  readonly aborted: boolean;
  /** The response was an event stream, whose duration says nothing about latency. */
  readonly streamed: boolean;
  /** Code or class of the error behind a 4xx or 5xx, where it is known. */
  readonly errorType?: string | undefined;
  /** Whose request it was, where that is known. */
  readonly tenantId?: string | undefined;
  /** The recorded trace it belongs to: 32 hexadecimal digits. */
  readonly traceId?: string | undefined;
}

/** A request that ended, as {@link RequestTracker} reports it. */
export interface FinishedRequest {
  readonly transport: Transport;
  readonly method: string;
  readonly route: string;
  /** `2xx` … `5xx`, or `aborted`. */
  readonly status: string;
  readonly durationMs: number;
  readonly streamed: boolean;
  /** Set for 4xx and 5xx. */
  readonly errorType: string | undefined;
  readonly tenantId: string | undefined;
  readonly traceId: string | undefined;
}

/** Figures of the requests within the sliding window, and of those in progress. */
export interface RequestFigures {
  readonly requests: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  /** Share of requests answered with 5xx. */
  readonly errorRate: number;
  /** Requests answered with 4xx or 5xx, as shares of all requests, by type. */
  readonly errorRateByType: Readonly<Record<string, number>>;
  /** Requests finished per second. */
  readonly qps10s: number;
  readonly qps60s: number;
  readonly active: number;
  /** Most requests in progress at the same time since the start. */
  readonly maxActive: number;
}

/** Follows requests from start to end. Every {@link start} needs exactly one {@link finish} or {@link discard}. */
export class RequestTracker {
  private readonly latency: LatencyWindow;
  private readonly rate: RollingCounter;
  private readonly finished: RollingCounter;
  private readonly failed: RollingCounter;
  private readonly errors = new Map<string, RollingCounter>();
  private readonly errorTypes: BoundedLabel;
  private active = 0;
  private maxActive = 0;

  /** @param report is called for each finished request. */
  constructor(
    private readonly clock: Pick<Clock, 'monotonic'>,
    private readonly windowMs: number,
    maxErrorTypes: number,
    private readonly report: (request: FinishedRequest) => void,
  ) {
    this.latency = new LatencyWindow(clock, windowMs);
    this.rate = new RollingCounter(clock, RATE_WINDOW_MS, RATE_SLOT_MS);
    this.finished = this.newWindowCounter();
    this.failed = this.newWindowCounter();
    this.errorTypes = new BoundedLabel(maxErrorTypes);
  }

  /** Begins a request and returns its start on the monotonic clock. */
  start(): number {
    this.active += 1;
    if (this.active > this.maxActive) this.maxActive = this.active;
    return this.clock.monotonic();
  }

  /** Ends a request that shall not count. */
  discard(): void {
    this.active -= 1;
  }

  finish(startedAt: number, outcome: RequestOutcome): void {
    const { statusCode, streamed } = outcome;
    const durationMs = this.clock.monotonic() - startedAt;
    this.active -= 1;
    this.rate.add();
    this.finished.add();
    if (!streamed) this.latency.record(durationMs);
    if (statusCode >= 500) this.failed.add();
    const errorType =
      statusCode >= 400 ? this.errorTypes.fold(outcome.errorType ?? `status_${statusCode}`) : undefined;
    if (errorType !== undefined) this.errorsOf(errorType).add();
    this.report({
      transport: outcome.transport,
      method: outcome.method,
      route: outcome.route,
      status: outcome.aborted ? 'aborted' : (STATUS_CLASSES[Math.floor(statusCode / 100)] ?? 'unknown'),
      durationMs,
      streamed,
      errorType,
      tenantId: outcome.tenantId,
      traceId: outcome.traceId,
    });
  }

  /** Requests of the window that ended in 5xx. */
  failures(): number {
    return this.failed.sum();
  }

  /** Latencies of the window, as `LatencyHistogram.encode` writes them. */
  encodedLatency(): string {
    return this.latency.encode();
  }

  figures(): RequestFigures {
    const requests = this.finished.sum();
    const share = (counter: RollingCounter) => (requests === 0 ? 0 : counter.sum() / requests);
    const errorRateByType: Record<string, number> = {};
    for (const [type, counter] of this.errors) {
      const rate = share(counter);
      if (rate > 0) errorRateByType[type] = rate;
    }
    return {
      requests,
      p50Ms: this.latency.percentile(50),
      p95Ms: this.latency.percentile(95),
      p99Ms: this.latency.percentile(99),
      errorRate: share(this.failed),
      errorRateByType,
      qps10s: this.rate.perSecond(10_000),
      qps60s: this.rate.perSecond(RATE_WINDOW_MS),
      active: this.active,
      maxActive: this.maxActive,
    };
  }

  private errorsOf(type: string): RollingCounter {
    let counter = this.errors.get(type);
    if (!counter) {
      counter = this.newWindowCounter();
      this.errors.set(type, counter);
    }
    return counter;
  }

  private newWindowCounter(): RollingCounter {
    return new RollingCounter(this.clock, this.windowMs, this.windowMs / ERROR_SLOTS);
  }
}
