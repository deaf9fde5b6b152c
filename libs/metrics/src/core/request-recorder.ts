import type { RequestTracker, Transport } from './request-tracker.js';

/** A request that a door of the application's own takes. Both names must come from a fixed set: they become labels. */
export interface RecordedRequest {
  readonly transport: Exclude<Transport, 'http'>;
  /** Kind of call, e.g. `ask` or `Chat`. */
  readonly method: string;
  /** Name of the endpoint, e.g. `/v1/ws` or `sparkle.agent.v1.AgentService`. */
  readonly route: string;
}

/** How a {@link RecordedRequest} ended. */
export interface RecordedOutcome {
  /** The HTTP status that stands for the outcome: all doors share one scale, so that error rates mean the same. */
  readonly statusCode: number;
  /** Stable code of the failure. */
  readonly errorType?: string;
  /** The client left before the answer was complete. Default false. */
  readonly aborted?: boolean;
  /** The answer was a stream, whose duration says nothing about latency. Default false. */
  readonly streamed?: boolean;
  readonly tenantId?: string;
  /** The recorded trace it belongs to, if any: shown as an exemplar. */
  readonly traceId?: string;
}

/** Ends a request; every call but the first is ignored. */
export type EndRequest = (outcome: RecordedOutcome) => void;

/**
 * Brings requests that do not come over HTTP into the same figures: latency, requests per second, requests in
 * progress, errors and the performance score. HTTP requests are counted without it.
 */
export class RequestRecorder {
  constructor(private readonly tracker: Pick<RequestTracker, 'start' | 'finish'>) {}

  /** Begins a request, which counts as active until the returned function is called. */
  begin(request: RecordedRequest): EndRequest {
    const startedAt = this.tracker.start();
    let ended = false;
    return (outcome) => {
      if (ended) return;
      ended = true;
      this.tracker.finish(startedAt, { aborted: false, streamed: false, ...request, ...outcome });
    };
  }
}
