import { type Clock, channels, type TenantId } from '@sparkle/contracts';
import type { CallTrace } from './call-origin.js';
import type { DatabaseWarning } from './database-warning.js';

/** State of the pool at one moment. */
export interface PoolState {
  /** Open connections, idle ones included. */
  size: number;
  checkedOut: number;
  /** Open connections above the configured size. */
  overflow: number;
  /** Callers waiting for a connection. */
  waiting: number;
}

export interface PoolWatchOptions {
  /** Names the pool in events and warnings. */
  readonly name: string;
  /** Connections the pool may open. */
  readonly capacity: number;
  readonly heldWarningMs: number;
  /** Share of `capacity` in use that is worth a warning. */
  readonly saturationWarningRatio: number;
}

/** A warned pool has to fall below this share of the warning's level before it can warn again. */
const CALM_RATIO = 0.75;
/** A pool so small that it is always full would else warn with every use. */
const SATURATION_PAUSE_MS = 60_000;
const SHOWN_HOLDERS = 3;

interface Hold {
  readonly trace: CallTrace;
  readonly since: number;
}

/** Follows who holds connections for how long, and how many are left. */
export class PoolWatch {
  private readonly holds = new Set<Hold>();
  private saturated = false;
  private nextSaturationWarning = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly clock: Clock,
    private readonly options: PoolWatchOptions,
    private readonly stateOf: () => PoolState,
    private readonly reportedOf: () => PoolState,
    private readonly warn: (warning: DatabaseWarning) => void,
  ) {}

  /** Notes that `trace` holds a connection until the returned function is called. */
  hold(trace: CallTrace, tenantId: TenantId | undefined): () => void {
    const { name: pool, heldWarningMs } = this.options;
    const hold: Hold = { trace, since: this.clock.monotonic() };
    this.holds.add(hold);
    const timer = this.clock.schedule(heldWarningMs, () => {
      const { origin } = trace;
      const heldMs = this.clock.monotonic() - hold.since;
      channels.database.publish({
        kind: 'connection_held_long',
        pool,
        ...(tenantId && { tenantId }),
        heldMs,
        ...(origin && { origin }),
      });
      this.warn({
        kind: 'held',
        message:
          `A connection of the pool "${pool}" has been held for ${Math.round(heldMs)} ms` +
          `${trace
            .callers(SHOWN_HOLDERS)
            .map((caller) => `\n    at ${caller}`)
            .join('')}`,
      });
    });
    return () => {
      timer.cancel();
      this.holds.delete(hold);
      const heldMs = this.clock.monotonic() - hold.since;
      channels.database.publish({ kind: 'connection_held', pool, heldMs });
    };
  }

  /** To be called whenever the pool has changed. */
  poolChanged(): void {
    const state = this.stateOf();
    const { name: pool, capacity, saturationWarningRatio } = this.options;
    channels.database.publish({ kind: 'pool', pool, ...this.reportedOf() });
    const use = state.checkedOut / capacity;
    if (use <= saturationWarningRatio * CALM_RATIO) this.saturated = false;
    if (use <= saturationWarningRatio || this.saturated) return;
    this.saturated = true;
    const now = this.clock.monotonic();
    channels.database.publish({ kind: 'pool_saturated', pool, checkedOut: state.checkedOut, capacity });
    if (now < this.nextSaturationWarning) return;
    this.nextSaturationWarning = now + SATURATION_PAUSE_MS;
    this.warn({
      kind: 'saturated',
      message:
        `The pool "${pool}" has ${state.checkedOut} of ${capacity} connections in use and ${state.waiting} ` +
        `callers waiting. Most are held by:${this.topHolders(now)}`,
    });
  }

  private topHolders(now: number): string {
    const byOrigin = new Map<string, { count: number; longestMs: number }>();
    for (const { trace, since } of this.holds) {
      const origin = trace.origin ?? 'unknown';
      const entry = byOrigin.get(origin) ?? { count: 0, longestMs: 0 };
      byOrigin.set(origin, { count: entry.count + 1, longestMs: Math.max(entry.longestMs, now - since) });
    }
    return [...byOrigin]
      .sort(([, a], [, b]) => b.count - a.count || b.longestMs - a.longestMs)
      .slice(0, SHOWN_HOLDERS)
      .map(
        ([origin, { count, longestMs }]) => `\n    ${count} × ${origin}, longest ${Math.round(longestMs)} ms`,
      )
      .join('');
  }
}
