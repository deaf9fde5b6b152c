import type { CacheEvent, Clock } from '@sparkle/contracts';
import { RollingCounter } from './rolling-counter.js';

const SLOTS = 60;

/** Share of look-ups each cache tier answered, over a sliding window. */
export class HitRatios {
  private readonly tiers = new Map<CacheEvent['tier'], { hits: RollingCounter; lookups: RollingCounter }>();

  constructor(
    private readonly clock: Pick<Clock, 'monotonic'>,
    private readonly windowMs: number,
  ) {}

  record({ tier, outcome }: Pick<CacheEvent, 'tier' | 'outcome'>): void {
    const hit = outcome === 'hit' || outcome === 'stale' || outcome === 'negative';
    if (!hit && outcome !== 'miss') return;
    let counters = this.tiers.get(tier);
    if (!counters) {
      counters = { hits: this.newCounter(), lookups: this.newCounter() };
      this.tiers.set(tier, counters);
    }
    counters.lookups.add();
    if (hit) counters.hits.add();
  }

  /** Ratio by tier; tiers without a look-up in the window are absent. */
  read(): Map<CacheEvent['tier'], number> {
    const ratios = new Map<CacheEvent['tier'], number>();
    for (const [tier, { hits, lookups }] of this.tiers) {
      const total = lookups.sum();
      if (total > 0) ratios.set(tier, hits.sum() / total);
    }
    return ratios;
  }

  private newCounter(): RollingCounter {
    return new RollingCounter(this.clock, this.windowMs, this.windowMs / SLOTS);
  }
}
