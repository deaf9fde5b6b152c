import { Inject, Injectable } from '@nestjs/common';
import { Clock, TenantDatabase, type TenantId } from '@sparkle/contracts';
import {
  hasRemovals,
  holdCorpusVersion,
  readChanges,
  readCorpusVersion,
} from '../adapters/postgres/corpus-version.js';
import { readSnapshotRows } from '../adapters/postgres/snapshot.store.js';
import { GraphragOptions } from '../graphrag.options.js';
import { applyChanges, buildSnapshot, type GraphSnapshot } from '../index/graph-snapshot.js';

/** A tenant's graph and the corpus version it shows. */
export interface VersionedSnapshot {
  readonly version: number;
  readonly snapshot: GraphSnapshot;
}

interface KeptSnapshot extends VersionedSnapshot {
  /** When the build ended and how long it took, on the monotonic clock. */
  readonly builtAt: number;
  readonly buildMs: number;
}

/** Builds below this are repeated for every new document. */
const CHEAP_BUILD_MS = 500;
const LONGEST_DELAY_MS = 60_000;

/**
 * Keeps tenants' graphs in memory. Each request asks the database for the corpus version and gets a graph
 * without anything deleted before. It also has everything published before, with one exception: a large graph,
 * whose build takes over half a second, is rebuilt for new documents only as often as `snapshotBuildShare`
 * allows, a minute late at most. A version that is behind is brought up to date from the change log when
 * documents only came, and read anew when one left. One build per tenant runs at a time; the least recently used tenants go when all together exceed the bound, except
 * that the one just asked for stays even when it exceeds it alone.
 */
@Injectable()
export class SnapshotProvider {
  private readonly kept = new Map<TenantId, KeptSnapshot>();
  private readonly building = new Map<TenantId, Promise<VersionedSnapshot>>();
  private bytes = 0;

  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(Clock) private readonly clock: Clock,
    @Inject(GraphragOptions) private readonly options: GraphragOptions,
  ) {}

  /**
   * The tenant's graph. `latest` asks for everything published, whatever the build costs.
   * @throws TenantUnknownError when the tenant is not registered.
   */
  async current(
    tenantId: TenantId,
    freshness: 'affordable' | 'latest' = 'affordable',
  ): Promise<VersionedSnapshot> {
    const wanted = await this.wantedVersion(tenantId, freshness);
    for (;;) {
      const kept = this.kept.get(tenantId);
      if (kept && kept.version >= wanted) {
        this.kept.delete(tenantId);
        this.kept.set(tenantId, kept);
        return kept;
      }
      // A build that began before the version moved may fall short; then the next round builds once more.
      const built = await this.build(tenantId);
      if (built.version >= wanted) return built;
    }
  }

  /** The tenant's corpus version: it moves with every document that is published or deleted. */
  version(tenantId: TenantId): Promise<number> {
    return this.database.withTenant(tenantId, (sql) => readCorpusVersion(sql, tenantId));
  }

  /** Bytes the kept snapshots take, as estimated. */
  get size(): { tenants: number; bytes: number } {
    return { tenants: this.kept.size, bytes: this.bytes };
  }

  /** The corpus version, or the kept one while rebuilding for new documents would cost more than its share. */
  private wantedVersion(tenantId: TenantId, freshness: 'affordable' | 'latest'): Promise<number> {
    return this.database.withTenant(tenantId, async (sql) => {
      const version = await readCorpusVersion(sql, tenantId);
      const kept = this.kept.get(tenantId);
      if (freshness === 'latest' || !kept || kept.version >= version || kept.buildMs < CHEAP_BUILD_MS)
        return version;
      const delayMs = Math.min(
        LONGEST_DELAY_MS,
        kept.buildMs / this.options.snapshotBuildShare - kept.buildMs,
      );
      if (this.clock.monotonic() >= kept.builtAt + delayMs) return version;
      return (await hasRemovals(sql, tenantId, kept.version)) ? version : kept.version;
    });
  }

  private build(tenantId: TenantId): Promise<VersionedSnapshot> {
    const running = this.building.get(tenantId);
    if (running) return running;
    const build = this.load(tenantId, this.kept.get(tenantId))
      .then((loaded) => {
        this.keep(tenantId, loaded);
        return loaded;
      })
      .finally(() => this.building.delete(tenantId));
    this.building.set(tenantId, build);
    return build;
  }

  private async load(tenantId: TenantId, kept: KeptSnapshot | undefined): Promise<KeptSnapshot> {
    const startedAt = this.clock.monotonic();
    const read = await this.database.withTenant(tenantId, async (sql) => {
      const version = await holdCorpusVersion(sql, tenantId);
      const changes = kept ? await readChanges(sql, tenantId, kept.version) : [];
      const onlyAdded =
        kept !== undefined &&
        changes.length === version - kept.version &&
        changes.every((change) => change.kind === 'added');
      const added = onlyAdded ? changes.map((change) => change.documentId) : null;
      return { version, onlyAdded, rows: await readSnapshotRows(sql, tenantId, added) };
    });
    const snapshot =
      kept && read.onlyAdded
        ? applyChanges(kept.snapshot, { addedDocuments: read.rows, removedDocumentIds: [] })
        : buildSnapshot(read.rows);
    const builtAt = this.clock.monotonic();
    return { version: read.version, snapshot, builtAt, buildMs: builtAt - startedAt };
  }

  private keep(tenantId: TenantId, loaded: KeptSnapshot): void {
    this.forget(tenantId);
    this.kept.set(tenantId, loaded);
    this.bytes += loaded.snapshot.bytes;
    for (const oldest of this.kept.keys()) {
      if (this.bytes <= this.options.snapshotMaxBytes || oldest === tenantId) return;
      this.forget(oldest);
    }
  }

  private forget(tenantId: TenantId): void {
    const kept = this.kept.get(tenantId);
    if (!kept) return;
    this.kept.delete(tenantId);
    this.bytes -= kept.snapshot.bytes;
  }
}
