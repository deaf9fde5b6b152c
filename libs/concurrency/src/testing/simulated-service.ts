import type { Clock, ClockTimer, Random } from '@sparkle/contracts';
import { sleepOn } from '@sparkle/contracts';

interface SimulatedEvent {
  readonly atMs: number;
  readonly sequence: number;
  readonly callback: () => void;
  cancelled: boolean;
}

/** Time that jumps from event to event, without the event loop: minutes of traffic in milliseconds. */
export class SimulatedTime implements Clock {
  private nowMs = 0;
  private sequence = 0;
  /** A binary heap, earliest first. */
  private readonly events: SimulatedEvent[] = [];

  now(): number {
    return this.nowMs;
  }

  monotonic(): number {
    return this.nowMs;
  }

  schedule(delayMs: number, callback: () => void): ClockTimer {
    this.sequence += 1;
    const event = {
      atMs: this.nowMs + Math.max(0, delayMs),
      sequence: this.sequence,
      callback,
      cancelled: false,
    };
    this.push(event);
    return {
      cancel: () => {
        event.cancelled = true;
      },
    };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, delayMs, signal);
  }

  /** Runs every event of the next `durationMs`, those included that others add meanwhile. */
  run(durationMs: number): void {
    const untilMs = this.nowMs + durationMs;
    for (let event = this.events[0]; event && event.atMs <= untilMs; event = this.events[0]) {
      this.pop();
      this.nowMs = event.atMs;
      if (!event.cancelled) event.callback();
    }
    this.nowMs = untilMs;
  }

  private push(event: SimulatedEvent): void {
    let at = this.events.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!earlier(event, this.events[parent]!)) break;
      this.events[at] = this.events[parent]!;
      at = parent;
    }
    this.events[at] = event;
  }

  private pop(): void {
    const last = this.events.pop()!;
    if (this.events.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.events.length) break;
      if (child + 1 < this.events.length && earlier(this.events[child + 1]!, this.events[child]!)) child += 1;
      if (!earlier(this.events[child]!, last)) break;
      this.events[at] = this.events[child]!;
      at = child;
    }
    this.events[at] = last;
  }
}

function earlier(left: SimulatedEvent, right: SimulatedEvent): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.sequence < right.sequence);
}

/** Exponentially distributed with this mean. */
export function exponential(random: Random, mean: number): number {
  return -mean * Math.log(1 - random.next());
}

/**
 * A service of `servers` that work on one request each and one queue before them (M/M/c). More than `servers`
 * requests in flight only wait: that number is the knee an adaptive limit looks for.
 */
export class SimulatedService {
  private queue: (() => void)[] = [];
  /** Where the queue begins: taking the first of a long array would move all the others. */
  private head = 0;
  private busy = 0;

  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
    private servers: number,
    private readonly meanServiceMs: number,
  ) {}

  /** More servers begin at once, fewer finish what they do. */
  resize(servers: number): void {
    this.servers = servers;
    while (this.busy < this.servers && this.head < this.queue.length) this.serve(this.next()!);
  }

  request(done: () => void): void {
    if (this.busy < this.servers) this.serve(done);
    else this.queue.push(done);
  }

  private next(): (() => void) | undefined {
    const done = this.queue[this.head];
    if (done) this.head += 1;
    if (this.head > 10_000 && this.head * 2 > this.queue.length) {
      this.queue = this.queue.slice(this.head);
      this.head = 0;
    }
    return done;
  }

  private serve(done: () => void): void {
    this.busy += 1;
    this.clock.schedule(exponential(this.random, this.meanServiceMs), () => {
      this.busy -= 1;
      const next = this.busy < this.servers ? this.next() : undefined;
      if (next) this.serve(next);
      done();
    });
  }
}
