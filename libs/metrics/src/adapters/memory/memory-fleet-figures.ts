import type { Clock } from '@sparkle/contracts';
import type { FleetFigures, InstanceFigures, PublishedFigures } from '../../ports/fleet-figures.port.js';

const DEFAULT_TTL_MS = 15_000;

/** The figures of several applications in one process. */
export class MemoryFleetFigures implements FleetFigures {
  private readonly published = new Map<string, { readonly figures: InstanceFigures; readonly at: number }>();

  /** @param ttlMs how long an instance counts as alive without publishing. */
  constructor(
    private readonly clock: Pick<Clock, 'monotonic'>,
    private readonly ttlMs = DEFAULT_TTL_MS,
  ) {}

  async publish(figures: InstanceFigures): Promise<void> {
    this.published.set(idOf(figures), { figures: { ...figures }, at: this.clock.monotonic() });
  }

  async read(): Promise<readonly PublishedFigures[]> {
    const now = this.clock.monotonic();
    const live: PublishedFigures[] = [];
    for (const [id, { figures, at }] of this.published)
      if (now - at < this.ttlMs) live.push({ figures, ageMs: now - at });
      else this.published.delete(id);
    return live;
  }

  async withdraw(instance: Pick<InstanceFigures, 'service' | 'instance'>): Promise<void> {
    this.published.delete(idOf(instance));
  }
}

function idOf({ service, instance }: Pick<InstanceFigures, 'service' | 'instance'>): string {
  return JSON.stringify([service, instance]);
}
