import { expect } from 'vitest';
import type { CacheService } from '../../src/core/cache.service.js';
import type { CacheScope } from '../../src/core/cache-scope.js';
import type { BusMessage, InvalidationBus } from '../../src/ports/invalidation-bus.port.js';

/** One cached thing of the model: where it is kept and by which tags it can be invalidated. */
export interface Cell {
  readonly scope: CacheScope;
  readonly key: string;
  readonly tags: readonly string[];
}

export interface Member {
  readonly cache: CacheService;
  readonly bus: InvalidationBus;
}

export type Invalidation = Exclude<BusMessage, { kind: 'settled' }>;

interface Applied {
  readonly name: string;
  /** Who has to have heard how many messages of this name before it counts for them. */
  readonly due: Map<number, number>;
  readonly versions: ReadonlyMap<Cell, number>;
}

/**
 * What several caches may answer, given who has changed what and who has heard of it.
 *
 * The truth has a version per cell. A change takes the next version, then invalidates or sets the cache. Once
 * that has resolved,
 *
 * 1. no read that starts in the same process gives an older version, and
 * 2. no read that starts in another process after the change's message has arrived there does, nor one that
 *    starts while that process knows that its bus is cut, nor any after it is back.
 *
 * Before the message arrives, another process may answer from its memory or from a load it has in progress. Sets
 * exclude other changes, as writers of one row exclude each other: which of two concurrent writers is the later
 * one is not for a cache to say. Reads, loads and invalidations are free to overlap with everything.
 */
export class CoherenceModel {
  private version = 0;
  private readonly truth = new Map<Cell, number>();
  private readonly appliedTo = new Map<Cell, number>();
  private readonly floors: Map<Cell, number>[];
  private readonly heard: Map<string, number>[];
  private readonly cut: boolean[];
  private readonly sent: Map<string, number>[];
  private undelivered: Applied[] = [];
  readsChecked = 0;

  constructor(
    private readonly members: readonly Member[],
    private readonly cells: readonly Cell[],
  ) {
    this.floors = members.map(() => new Map());
    this.heard = members.map(() => new Map());
    this.sent = members.map(() => new Map());
    this.cut = members.map(() => false);
    for (const [index, { bus }] of members.entries())
      bus.subscribe((message) => {
        if (message.kind !== 'settled') this.hears(index, message);
      });
  }

  /** What the source of truth says now. */
  current(cell: Cell): number {
    return this.truth.get(cell) ?? 0;
  }

  /** A read in one process, checked against what it may give. */
  async read(member: number, cell: Cell, run: () => Promise<number | undefined>): Promise<void> {
    const floor = this.floorOf(member, cell);
    const value = await run();
    this.readsChecked++;
    if (value === undefined) return;
    expect(value, `version of ${cell.key} in process ${member}`).toBeGreaterThanOrEqual(floor);
    expect(value).toBeLessThanOrEqual(this.current(cell));
  }

  /** A change made in one process: `run` tells the cache of it. */
  async change(
    member: number,
    change: Invalidation,
    run: (versions: ReadonlyMap<Cell, number>) => Promise<unknown>,
  ): Promise<void> {
    const name = nameOf(change);
    const versions = new Map<Cell, number>();
    for (const cell of this.cells)
      if (concerns(change, cell)) {
        this.truth.set(cell, ++this.version);
        versions.set(cell, this.version);
      }
    count(this.sent[member]!, name);
    await run(versions);
    for (const [cell, version] of versions) raise(this.appliedTo, cell, version);
    const due = new Map<number, number>();
    for (const other of this.members.keys()) {
      if (other === member) for (const [cell, version] of versions) raise(this.floors[other]!, cell, version);
      else due.set(other, this.sentToOthers(other, name));
    }
    this.undelivered.push({ name, due, versions });
    this.settleDeliveries();
  }

  /** A message for a process got lost because its bus is cut. */
  loses(member: number, message: BusMessage): void {
    if (message.kind !== 'settled') this.hears(member, message);
  }

  setCut(member: number, isCut: boolean): void {
    // Healing a bus that was not cut tells its process nothing.
    if (this.cut[member] === isCut) return;
    // What is in memory by now is suspect from here on, and so is what was being loaded.
    for (const [cell, version] of this.appliedTo) raise(this.floors[member]!, cell, version);
    this.cut[member] = isCut;
  }

  /** Whether every resolved change has arrived everywhere. */
  get delivered(): boolean {
    return this.undelivered.length === 0;
  }

  private floorOf(member: number, cell: Cell): number {
    return (this.cut[member] ? this.appliedTo : this.floors[member]!).get(cell) ?? 0;
  }

  private hears(member: number, message: Invalidation): void {
    count(this.heard[member]!, nameOf(message));
    this.settleDeliveries();
  }

  private sentToOthers(member: number, name: string): number {
    return this.sent.reduce((sum, sent, by) => sum + (by === member ? 0 : (sent.get(name) ?? 0)), 0);
  }

  private settleDeliveries(): void {
    this.undelivered = this.undelivered.filter(({ name, due, versions }) => {
      for (const [member, needed] of due) {
        if ((this.heard[member]!.get(name) ?? 0) < needed) continue;
        for (const [cell, version] of versions) raise(this.floors[member]!, cell, version);
        due.delete(member);
      }
      return due.size > 0;
    });
  }
}

function nameOf(change: Invalidation): string {
  const { kind, tenantId } = change;
  if (kind === 'tenant') return `${kind} ${tenantId}`;
  const what = kind === 'keys' ? change.keys : kind === 'tags' ? change.tags : [];
  return [kind, tenantId, change.namespace, ...what].join(' ');
}

function concerns(change: Invalidation, { scope, key, tags }: Cell): boolean {
  if (change.tenantId !== scope.tenantId) return false;
  if (change.kind === 'tenant') return true;
  if (change.namespace !== scope.namespace) return false;
  if (change.kind === 'namespace') return true;
  return change.kind === 'keys' ? change.keys.includes(key) : change.tags.some((tag) => tags.includes(tag));
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

function raise(versions: Map<Cell, number>, cell: Cell, version: number): void {
  versions.set(cell, Math.max(versions.get(cell) ?? 0, version));
}
