import { type Clock, channels } from '@sparkle/contracts';
import { PermitStoreError, PermitTimeoutError, SemaphoreClosedError } from '../errors.js';
import type { Grant, PermitPool, PermitStore } from '../ports/permit-store.port.js';
import { DeadlineQueue } from './deadline-queue.js';
import { HeldPermit, type Permit } from './permit.js';
import {
  type PermitIssuer,
  type PermitOrder,
  SEMAPHORE_DEFAULTS,
  type SemaphoresSettings,
} from './permit-order.js';
import { Mutex, type MutexDefinition, Semaphore, type SemaphoreDefinition } from './semaphore.js';
import { WaitingRoom } from './waiting-room.js';

/** Part of the lease by which a permit may be renewed late, so that it needs no timer of its own. */
const LATE_RENEWAL = 0.05;
/** Callers may choose any timeout; those who are in a queue that is forgotten keep it. */
const MAX_LENGTHS = 1000;
const MAX_IDLE_ROOMS = 1000;

/** Makes the semaphores of one process; all of them share a store and one stream of grants. */
export class Semaphores implements PermitIssuer {
  /** One count for all instances, because they may share a store. */
  private static sequence = 0;
  private readonly rooms = new Map<string, WaitingRoom>();
  private tidyAt = MAX_IDLE_ROOMS;
  /** By length of the lease, and of the timeout. */
  private readonly renewals = new Map<number, DeadlineQueue>();
  private readonly timeouts = new Map<number, DeadlineQueue>();
  private listening: Promise<() => Promise<void>> | undefined;
  private stopListening: (() => Promise<void>) | undefined;
  private closed = false;

  constructor(
    private readonly store: PermitStore,
    private readonly clock: Clock,
    readonly settings: SemaphoresSettings = SEMAPHORE_DEFAULTS,
  ) {}

  /** How many callers of this process wait for a permit. */
  get waiting(): number {
    let total = 0;
    for (const room of this.rooms.values()) total += room.size;
    return total;
  }

  /** @throws SemaphoreSettingsInvalidError when the definition is out of range. */
  semaphore(definition: SemaphoreDefinition): Semaphore {
    return new Semaphore(this, definition);
  }

  /** @throws SemaphoreSettingsInvalidError when the definition is out of range. */
  mutex(definition: MutexDefinition): Mutex {
    return new Mutex(this, definition);
  }

  /**
   * Rejects everyone who waits with {@link SemaphoreClosedError}, takes them out of their queues and stops
   * listening. Permits that are held stay so until their holders release them.
   */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    for (const room of [...this.rooms.values()]) room.close(new SemaphoreClosedError());
    const stop = await this.listening?.catch(() => undefined);
    await stop?.();
  }

  /** Takes a permit without waiting; `undefined` when none is free or others wait. */
  async take(order: PermitOrder): Promise<Permit | undefined> {
    this.assertOpen();
    order.signal?.throwIfAborted();
    const { pool, tenantId, maxWaiting } = order;
    const permitId = this.nextId();
    const sentAtMs = this.clock.monotonic();
    try {
      const reply = await this.store.acquire({ pool, tenantId, permitId, wait: false, maxWaiting });
      if (reply.outcome !== 'granted') {
        this.publish(order, 'limited');
        return undefined;
      }
      const heldUntilMs = sentAtMs + reply.grant.expiresAtMs - reply.nowMs;
      const permit = this.hold(order, reply.grant, heldUntilMs);
      if (order.signal?.aborted) {
        await permit.release();
        order.signal.throwIfAborted();
      }
      this.publish(order, 'admitted', this.clock.monotonic() - sentAtMs);
      return permit;
    } catch (error) {
      order.signal?.throwIfAborted();
      this.publish(order, 'store_failed');
      // The command may have reached the store all the same.
      this.store.release(pool, permitId).catch(() => undefined);
      throw new PermitStoreError(error);
    }
  }

  /** Waits for a permit in turn. */
  async queue(order: PermitOrder): Promise<Permit> {
    this.assertOpen();
    order.signal?.throwIfAborted();
    const { timeoutMs, signal } = order;
    const startedAtMs = this.clock.monotonic();
    const room = this.roomOf(order.pool);
    const waiter = room.enter(this.nextId(), order, startedAtMs + timeoutMs, this.listen());
    const timeouts = this.deadlines(this.timeouts, timeoutMs, 0);
    const onAbort = () => room.leave(waiter, signal?.reason);
    timeouts.add(waiter);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const { grant, heldUntilMs } = await waiter.granted;
      this.publish(order, 'admitted', this.clock.monotonic() - startedAtMs);
      return this.hold(order, grant, heldUntilMs);
    } catch (error) {
      if (error instanceof PermitTimeoutError) this.publish(order, 'timeout', timeoutMs);
      else if (error instanceof PermitStoreError) this.publish(order, 'store_failed');
      throw error;
    } finally {
      timeouts.remove(waiter);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  private assertOpen(): void {
    if (this.closed) throw new SemaphoreClosedError();
  }

  private nextId(): string {
    Semaphores.sequence += 1;
    return `${this.store.ownerId}:${Semaphores.sequence}`;
  }

  private hold(order: PermitOrder, grant: Grant, heldUntilMs: number): Permit {
    const { pool, semaphore, tenantId } = order;
    const { store, clock } = this;
    const renewals = this.deadlines(this.renewals, pool.leaseMs, pool.leaseMs * LATE_RENEWAL);
    return new HeldPermit(store, clock, renewals, pool, semaphore, tenantId, grant, heldUntilMs);
  }

  private deadlines(queues: Map<number, DeadlineQueue>, lengthMs: number, slackMs: number): DeadlineQueue {
    let queue = queues.get(lengthMs);
    if (!queue) {
      if (queues.size >= MAX_LENGTHS) queues.clear();
      queue = new DeadlineQueue(this.clock, slackMs);
      queues.set(lengthMs, queue);
    }
    return queue;
  }

  /** Rooms are kept for the next callers; when there are many, those that nobody is in go. */
  private roomOf(pool: PermitPool): WaitingRoom {
    let room = this.rooms.get(pool.id);
    if (!room) {
      if (this.rooms.size >= this.tidyAt) {
        for (const [id, { idle }] of this.rooms) if (idle) this.rooms.delete(id);
        this.tidyAt = Math.max(MAX_IDLE_ROOMS, 2 * this.rooms.size);
      }
      room = new WaitingRoom(this.store, this.clock, pool);
      this.rooms.set(pool.id, room);
    }
    room.pool = pool;
    return room;
  }

  /**
   * Listens for grants, once; a failure is forgotten so that the next caller tries again.
   * @returns what to wait for; `undefined` when grants are being listened for.
   */
  private listen(): Promise<unknown> | undefined {
    if (this.stopListening) return undefined;
    if (!this.listening) {
      const listening = this.store.listen(
        (poolId, grant) => this.rooms.get(poolId)?.deliver(grant),
        () => {
          for (const room of this.rooms.values()) void room.sweep();
        },
      );
      this.listening = listening;
      listening.then(
        (stop) => {
          this.stopListening = stop;
        },
        () => {
          if (this.listening === listening) this.listening = undefined;
        },
      );
    }
    return this.listening;
  }

  private publish(
    order: PermitOrder,
    outcome: 'admitted' | 'limited' | 'timeout' | 'store_failed',
    waitMs?: number,
  ): void {
    if (!channels.limit.hasSubscribers) return;
    const event = { tenantId: order.tenantId, limiter: order.semaphore, kind: 'permit', outcome } as const;
    channels.limit.publish(waitMs === undefined ? event : { ...event, waitMs });
  }
}
