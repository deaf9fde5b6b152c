import { Inject, Injectable } from '@nestjs/common';
import { Clock, type SqlClient, TenantDatabase, type TenantId } from '@sparkle/contracts';
import { hasRevisions, readCorpusVersion } from '../adapters/postgres/corpus-version.js';
import { PgVectorIndex, TransactionVectorIndex } from '../adapters/postgres/pg-vector-index.js';
import { lacksSearchTerms, makeSearchTerms } from '../adapters/postgres/search-terms.store.js';
import { estimateSnapshotBytes, readSnapshot } from '../adapters/postgres/snapshot.store.js';
import { type CorpusStatistics, SqlGraphReader } from '../adapters/postgres/sql-graph-reader.js';
import { SnapshotTooLargeError } from '../errors.js';
import { GraphragOptions } from '../graphrag.options.js';
import type { GraphReader } from '../index/graph-reader.port.js';
import type { GraphSnapshot } from '../index/graph-snapshot.js';
import { SnapshotReader } from '../index/snapshot-reader.js';
import type { VectorIndex } from '../retrieve/vector-index.port.js';

/** A tenant's graph and the corpus version it shows. */
export interface VersionedSnapshot {
  readonly version: number;
  readonly snapshot: GraphSnapshot;
}

export type Freshness = 'affordable' | 'latest';

interface KeptSnapshot extends VersionedSnapshot {
  /** When the build ended and how long it took, on the monotonic clock. */
  readonly builtAt: number;
  readonly buildMs: number;
}

/** A graph that was found to be over the bound, and when. */
interface TooLarge {
  readonly version: number;
  readonly estimatedBytes: number;
  readonly estimatedAt: number;
}

type Built = KeptSnapshot | TooLarge;

/** Builds below this are repeated for every new document. */
const CHEAP_BUILD_MS = 500;
const LONGEST_DELAY_MS = 60_000;
/** Tenants whose corpus statistics and sizes are remembered. */
const REMEMBERED_TENANTS = 1000;
/** A graph found to be over the bound is measured again for new versions no more often than this. */
const ESTIMATE_DELAY_MS = 60_000;

/**
 * Hands out readers of tenants' graphs: from a snapshot kept in memory, or over SQL for a graph over the bound.
 * What a snapshot would take is estimated before it is loaded.
 *
 * Each request asks the database for the corpus version and gets a graph without anything deleted before. It also
 * has everything published before, with one exception: a large graph in memory, whose build takes over half a
 * second, is rebuilt for new documents only as often as `snapshotBuildShare` allows, a minute late at most. One
 * build per tenant runs at a time; the least recently used tenants make room for it.
 */
@Injectable()
export class SnapshotProvider {
  private readonly kept = new Map<TenantId, KeptSnapshot>();
  private readonly building = new Map<TenantId, Promise<Built>>();
  private readonly tooLarge = new Map<TenantId, TooLarge>();
  private readonly statistics = new Map<TenantId, CorpusStatistics>();
  private bytes = 0;

  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(Clock) private readonly clock: Clock,
    @Inject(GraphragOptions) private readonly options: GraphragOptions,
  ) {}

  /**
   * Runs `work` with a reader of the tenant's graph, which is valid until the work's promise settles, and a
   * search over its passages' vectors. `latest` asks for everything published, whatever the build costs; over
   * SQL it always is.
   * @throws TenantUnknownError when the tenant is not registered.
   */
  async read<T>(
    tenantId: TenantId,
    work: (reader: GraphReader, vectors: VectorIndex) => Promise<T>,
    freshness: Freshness = 'affordable',
  ): Promise<T> {
    const built = await this.reach(tenantId, freshness);
    if (!('snapshot' in built)) return this.readOverSql(tenantId, work);
    return work(
      new SnapshotReader(built.snapshot, built.version),
      new PgVectorIndex(this.database, tenantId, this.options.efSearch),
    );
  }

  /**
   * The tenant's graph in memory. Freshness as for {@link read}.
   * @throws TenantUnknownError when the tenant is not registered.
   * @throws SnapshotTooLargeError for a graph over the bound, which only {@link read} can read.
   */
  async current(tenantId: TenantId, freshness: Freshness = 'affordable'): Promise<VersionedSnapshot> {
    const built = await this.reach(tenantId, freshness);
    if ('snapshot' in built) return built;
    throw new SnapshotTooLargeError(built.estimatedBytes, this.tenantBound);
  }

  /** The tenant's corpus version: it moves with every document that is published or deleted. */
  version(tenantId: TenantId): Promise<number> {
    return this.database.withTenant(tenantId, (sql) => readCorpusVersion(sql, tenantId));
  }

  /** Bytes the kept snapshots take, as estimated. */
  get size(): { tenants: number; bytes: number } {
    return { tenants: this.kept.size, bytes: this.bytes };
  }

  private get tenantBound(): number {
    return Math.min(this.options.snapshotMaxTenantBytes, this.options.snapshotMaxBytes);
  }

  private async reach(tenantId: TenantId, freshness: Freshness): Promise<Built> {
    const wanted = await this.wantedVersion(tenantId, freshness);
    for (;;) {
      const kept = this.kept.get(tenantId);
      if (kept && kept.version >= wanted) {
        this.kept.delete(tenantId);
        this.kept.set(tenantId, kept);
        return kept;
      }
      const large = this.tooLarge.get(tenantId);
      if (
        large &&
        (large.version >= wanted || this.clock.monotonic() < large.estimatedAt + ESTIMATE_DELAY_MS)
      )
        return large;
      // A build that began before the version moved may fall short; then the next round builds once more.
      const built = await this.build(tenantId);
      if (built.version >= wanted) return built;
    }
  }

  /** The corpus version, or the kept one while rebuilding for new documents would cost more than its share. */
  private wantedVersion(tenantId: TenantId, freshness: Freshness): Promise<number> {
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
      return (await hasRevisions(sql, tenantId, kept.version)) ? version : kept.version;
    });
  }

  private build(tenantId: TenantId): Promise<Built> {
    const running = this.building.get(tenantId);
    if (running) return running;
    const build = this.load(tenantId).finally(() => this.building.delete(tenantId));
    this.building.set(tenantId, build);
    return build;
  }

  private async load(tenantId: TenantId): Promise<Built> {
    const startedAt = this.clock.monotonic();
    const loaded = await this.database.withTenant(
      tenantId,
      async (sql): Promise<VersionedSnapshot | Omit<TooLarge, 'estimatedAt'>> => {
        const version = await readCorpusVersion(sql, tenantId);
        const estimatedBytes = await estimateSnapshotBytes(sql, tenantId);
        if (estimatedBytes > this.tenantBound) return { version, estimatedBytes };
        this.makeRoom(estimatedBytes, tenantId);
        return { version, snapshot: await readSnapshot(sql, tenantId) };
      },
      { isolation: 'REPEATABLE READ' },
    );
    const endedAt = this.clock.monotonic();
    this.forget(tenantId);
    if (!('snapshot' in loaded)) {
      const large = { ...loaded, estimatedAt: endedAt };
      remember(this.tooLarge, tenantId, large);
      return large;
    }
    const built = { ...loaded, builtAt: endedAt, buildMs: endedAt - startedAt };
    this.tooLarge.delete(tenantId);
    this.kept.set(tenantId, built);
    this.bytes += built.snapshot.bytes;
    this.makeRoom(0, tenantId);
    return built;
  }

  /** Forgets the least recently used of other tenants until `bytes` more fit. */
  private makeRoom(bytes: number, besides: TenantId): void {
    for (const oldest of [...this.kept.keys()]) {
      if (this.bytes + bytes <= this.options.snapshotMaxBytes) return;
      if (oldest !== besides) this.forget(oldest);
    }
  }

  private forget(tenantId: TenantId): void {
    const kept = this.kept.get(tenantId);
    if (!kept) return;
    this.kept.delete(tenantId);
    this.bytes -= kept.snapshot.bytes;
  }

  private async readOverSql<T>(
    tenantId: TenantId,
    work: (reader: GraphReader, vectors: VectorIndex) => Promise<T>,
  ): Promise<T> {
    for (;;) {
      const outcome = await this.database.withTenant(
        tenantId,
        async (sql): Promise<{ result: T } | undefined> => {
          // Something came since they were made, or the tables are older than they are.
          if (await lacksSearchTerms(sql, tenantId)) return undefined;
          return { result: await work(await this.openSql(sql, tenantId), this.vectorsIn(sql, tenantId)) };
        },
        { isolation: 'REPEATABLE READ' },
      );
      if (outcome) return outcome.result;
      await this.makeSearchTerms(tenantId);
    }
  }

  private async openSql(sql: SqlClient, tenantId: TenantId): Promise<GraphReader> {
    const known = this.statistics.get(tenantId);
    const { reader, statistics } = await SqlGraphReader.open(sql, tenantId, (version) =>
      known?.version === version ? known : undefined,
    );
    remember(this.statistics, tenantId, statistics);
    return reader;
  }

  private vectorsIn(sql: SqlClient, tenantId: TenantId): VectorIndex {
    return new TransactionVectorIndex(sql, tenantId, this.options.efSearch);
  }

  /** Batch by batch, each in a transaction of its own. */
  private async makeSearchTerms(tenantId: TenantId): Promise<void> {
    const make = () =>
      this.database.withTenant(tenantId, (sql) => makeSearchTerms(sql, tenantId, { wait: true }));
    while (await make());
  }
}

function remember<Value>(values: Map<TenantId, Value>, tenantId: TenantId, value: Value): void {
  values.delete(tenantId);
  values.set(tenantId, value);
  for (const oldest of values.keys()) {
    if (values.size <= REMEMBERED_TENANTS) return;
    values.delete(oldest);
  }
}
