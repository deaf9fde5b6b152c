import type { Random } from '@sparkle/contracts';
import { SeededRandom, TestClock } from '@sparkle/contracts/testing';
import { MemoryCacheStore } from '../../src/adapters/memory/memory-cache.store.js';
import { CacheService } from '../../src/core/cache.service.js';
import type { CacheStore } from '../../src/ports/cache-store.port.js';
import type { BusMessage, InvalidationBus } from '../../src/ports/invalidation-bus.port.js';
import type { CoherenceModel } from './coherence-model.js';

/** How far time moves when everyone waits for it. */
const STEP_MS = 1_000;
/** Rounds of the event loop without anything ready after which everyone is taken to wait for time. */
const MAX_IDLE = 20;

/** Share of turns that come late, and how seldom one of them is taken while others are ready. */
const LATE = 0.2;
const EARLY_ANYWAY = 0.03;

/**
 * Runs what is ready one at a time, in an order drawn from a seed. Some turns come late: most races need one
 * participant that sleeps while others do several things. What waits for time only gets it when nothing else is
 * left.
 */
export class Interleaving {
  readonly clock = new TestClock();
  private readonly soon: (() => void)[] = [];
  private readonly late: (() => void)[] = [];

  /** @param maxWaitMs how much time may pass because everyone waits for it */
  constructor(
    private readonly random: Random,
    private readonly maxWaitMs: number,
  ) {}

  /** Resolves when it is this caller's turn. */
  readonly turn = (): Promise<void> =>
    new Promise((resolve) => {
      (this.random.next() < LATE ? this.late : this.soon).push(resolve);
    });

  /** Goes on until `work` has ended and nothing is ready any more. */
  async runUntil(work: Promise<unknown>): Promise<void> {
    let ended = false;
    const end = () => {
      ended = true;
    };
    work.then(end, end);
    for (let waitedMs = 0, idle = 0; ; idle++) {
      await new Promise((resolve) => setImmediate(resolve));
      const next = this.next();
      if (next) {
        idle = 0;
        next();
      } else if (ended) break;
      // A step that moves the clock itself takes a few rounds.
      else if (idle < MAX_IDLE) continue;
      else if (waitedMs < this.maxWaitMs) {
        waitedMs += STEP_MS;
        await this.clock.advance(STEP_MS);
      } else throw new Error(`Somebody still waits after ${waitedMs} ms.`);
    }
    await work;
  }

  private next(): (() => void) | undefined {
    const fromLate = this.soon.length === 0 || this.random.next() < EARLY_ANYWAY;
    const ready = fromLate && this.late.length > 0 ? this.late : this.soon;
    return ready.splice(Math.floor(this.random.next() * ready.length), 1)[0];
  }
}

/** A bus whose messages arrive when the schedule says so, in the order they were sent, unless it is cut. */
class ScheduledBus implements InvalidationBus {
  connected = true;
  private readonly listeners = new Set<(message: BusMessage) => void>();
  private readonly connectionListeners = new Set<(connected: boolean) => void>();
  private readonly underway: BusMessage[] = [];

  constructor(
    private readonly network: ScheduledBus[],
    private readonly turn: () => Promise<void>,
    private readonly loses: (message: BusMessage) => void,
  ) {
    network.push(this);
  }

  async publish(message: BusMessage): Promise<void> {
    await this.turn();
    for (const each of this.network) if (each !== this) each.accept(message);
  }

  subscribe(listener: (message: BusMessage) => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    this.connectionListeners.add(listener);
    return () => {
      this.connectionListeners.delete(listener);
    };
  }

  setConnected(connected: boolean): void {
    if (connected === this.connected) return;
    this.connected = connected;
    for (const message of this.underway.splice(0)) this.loses(message);
    for (const listener of this.connectionListeners) listener(connected);
  }

  private accept(message: BusMessage): void {
    if (!this.connected) {
      this.loses(message);
      return;
    }
    this.underway.push(message);
    void this.turn().then(() => {
      const next = this.underway.shift();
      if (next) for (const listener of this.listeners) listener(next);
    });
  }
}

export interface InterleavedMember {
  readonly cache: CacheService;
  readonly bus: ScheduledBus;
}

/** Several caches on one store in memory. Every call of the store waits for its turn on the way there and back. */
export function interleavedMembers(
  size: number,
  { clock, turn }: Interleaving,
  model: () => CoherenceModel,
): InterleavedMember[] {
  const store = inTurns(new MemoryCacheStore(clock, { maxEntries: 100 }), turn);
  const network: ScheduledBus[] = [];
  return Array.from({ length: size }, (_, index) => {
    const bus = new ScheduledBus(network, turn, (message) => model().loses(index, message));
    const cache = new CacheService(
      { store, bus, clock, random: new SeededRandom(index + 1) },
      {
        // Time may jump far while a call waits for its turn: that is no outage.
        l2: { budgetMs: 3_600_000 },
        policy: { hardTimeoutMs: 3_600_000 },
        // Small ones are made faster.
        l1: { maxEntries: 100, maxScopes: 10 },
      },
    );
    return { cache, bus };
  });
}

function inTurns(store: CacheStore, turn: () => Promise<void>): CacheStore {
  return new Proxy(store, {
    get(target, name, receiver) {
      const member: unknown = Reflect.get(target, name, receiver);
      if (typeof member !== 'function') return member;
      return async (...args: unknown[]) => {
        await turn();
        const result: unknown = await member.apply(target, args);
        await turn();
        return result;
      };
    },
  });
}
