import type { InvalidationBus, Touched } from '../ports/invalidation-bus.port.js';
import type { CacheParts } from './cache-parts.js';
import { type CacheScope, decodeSegment } from './cache-scope.js';

/** How long touched entries are gathered: by then this process's own writes have reached its memory. */
const GATHER_MS = 20;

/**
 * Takes out of memory what the second tier says was touched. An entry that may be as it was, because this
 * process wrote it itself or because it was merely looked after, is read again and stays if it is the same.
 */
export class TouchedEntries {
  private readonly gathered = new Map<string, { readonly scope: CacheScope; readonly keys: Set<string> }>();
  private readonly stop: (() => void) | undefined;

  constructor(
    private readonly parts: CacheParts,
    bus: InvalidationBus,
  ) {
    this.stop = bus.onTouched?.((touched) => this.note(touched));
  }

  close(): void {
    this.stop?.();
    this.gathered.clear();
  }

  private note(touched: Touched): void {
    const { memory, link } = this.parts;
    switch (touched.kind) {
      case 'everything':
        link.suspect();
        return;
      case 'tenant':
        memory.clear(touched.tenantId);
        return;
      case 'namespace':
        memory.clear(touched.tenantId, touched.namespace);
        return;
      case 'tags': {
        const scope = memory.known(touched);
        if (scope) memory.invalidateTags(scope, touched.tags);
        return;
      }
      case 'entries':
        this.gather(touched, touched.keys);
    }
  }

  private gather({ tenantId, namespace }: CacheScope, segments: readonly string[]): void {
    if (!this.parts.memory.known({ tenantId, namespace })) return;
    const keys = segments.map(decodeSegment);
    if (keys.includes(undefined)) {
      // It may be any key.
      this.parts.memory.clear(tenantId, namespace);
      return;
    }
    const id = `${tenantId}\0${namespace}`;
    if (this.gathered.size === 0) this.parts.clock.schedule(GATHER_MS, () => this.look());
    const group = this.gathered.get(id) ?? { scope: { tenantId, namespace }, keys: new Set() };
    this.gathered.set(id, group);
    for (const key of keys) if (key !== undefined) group.keys.add(key);
  }

  private look(): void {
    const { memory, clock } = this.parts;
    const groups = [...this.gathered.values()];
    this.gathered.clear();
    for (const { scope, keys } of groups) {
      const state = memory.known(scope);
      if (!state) continue;
      for (const key of keys) {
        const held = memory.lookup(state, key, clock.monotonic(), true);
        if (held) void this.compare(state, key, held.sequence);
      }
    }
  }

  private async compare(
    scope: Parameters<CacheParts['memory']['invalidateKeys']>[0],
    key: string,
    sequence: number,
  ): Promise<void> {
    const { gateway, memory, link } = this.parts;
    try {
      const { entry } = await gateway.read(scope, key);
      if (entry?.sequence !== sequence) memory.invalidateKeys(scope, [key]);
    } catch {
      link.suspect();
    }
  }
}
