import type { Announcement, CacheStore } from '../ports/cache-store.port.js';
import type { BusMessage, InvalidationBus } from '../ports/invalidation-bus.port.js';

/**
 * Watches whether invalidations of other processes reach this one. Each loss and each return starts a new
 * generation; what was put into memory in an earlier one may have missed an invalidation and is confirmed with
 * the second tier before it is served again.
 */
export class BusLink {
  private current = 1;
  private readonly stops: (() => void)[];

  constructor(
    private readonly bus: InvalidationBus,
    onMessage: (message: BusMessage) => void,
  ) {
    this.stops = [bus.subscribe(onMessage), bus.onConnection(() => this.suspect())];
  }

  get generation(): number {
    return this.current;
  }

  trusts(generation: number): boolean {
    return generation === this.current && this.bus.connected;
  }

  /** Has everything in memory confirmed before it is served again. */
  suspect(): void {
    this.current++;
  }

  publish(message: BusMessage): Promise<void> {
    return this.bus.publish(message);
  }

  /** The message as `store` can send it along with a change, if both use the same connection. */
  announcementFor(store: CacheStore, message: BusMessage): Announcement | undefined {
    const through = this.bus.publishesThrough;
    return through && through === store.publishesThrough ? this.bus.announcementOf?.(message) : undefined;
  }

  close(): void {
    for (const stop of this.stops) stop();
  }
}
