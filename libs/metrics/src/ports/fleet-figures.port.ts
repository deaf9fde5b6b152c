/** What one process says about its own requests and resources. */
export interface InstanceFigures {
  /** Kind of process, e.g. `api`; figures of one service are added up. */
  readonly service: string;
  /** Tells the processes of a service apart. */
  readonly instance: string;
  /** Within the sliding window. */
  readonly requests: number;
  /** Of them answered with 5xx. */
  readonly failed: number;
  readonly qps10s: number;
  readonly qps60s: number;
  readonly active: number;
  readonly maxActive: number;
  /** Share in `[0, 1]` of what the process may use; `null` where it is not measured. */
  readonly cpu: number | null;
  readonly memory: number | null;
  readonly score: number;
  /** Latencies of the window, as `LatencyHistogram.encode` writes them. */
  readonly latency: string;
}

/** Figures of a live instance. */
export interface PublishedFigures {
  readonly figures: InstanceFigures;
  /** Milliseconds since they were published, on the store's clock. */
  readonly ageMs: number;
}

/** Where the processes of a fleet leave their figures for each other. An instance that stops publishing drops out. */
export interface FleetFigures {
  /** Replaces what the instance published before. */
  publish(figures: InstanceFigures): Promise<void>;

  /** The newest figures of each instance that published within the store's time to live, in no particular order. */
  read(): Promise<readonly PublishedFigures[]>;

  /** Drops an instance at once. */
  withdraw(instance: Pick<InstanceFigures, 'service' | 'instance'>): Promise<void>;
}

/** Injection token of the {@link FleetFigures} port. */
export const FleetFigures = Symbol('FleetFigures');
