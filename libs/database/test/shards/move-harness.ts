import { until } from '@sparkle/contracts/testing';
import type { Shards } from '../../src/index.js';
import { createTenant, ShardCluster, type ShardName } from './shard-cluster.js';
import { expectIntact, Writer } from './workload.js';

/** The bucket that is moved to and fro; there is one more, which stays. */
export const BUCKET = 0;

/** Two servers with two buckets, an operator, and writers that must never notice what happens to a move. */
export class MoveHarness {
  private seed = 0;

  private constructor(
    readonly cluster: ShardCluster,
    readonly operator: Shards,
  ) {}

  static async start(): Promise<MoveHarness> {
    const cluster = await ShardCluster.start(2, 2);
    const operator = await cluster.open();
    await operator.administration.createMap(['a', 'b']);
    return new MoveHarness(cluster, operator);
  }

  /** Where the bucket is, as the catalogue says. */
  async source(): Promise<ShardName> {
    const [row] = await this.cluster
      .server('a')
      .query<{ shard: ShardName }>('SELECT shard FROM shard_buckets WHERE bucket = $1', [BUCKET]);
    return row!.shard;
  }

  /** Where it is not. */
  async target(): Promise<ShardName> {
    return (await this.source()) === 'a' ? 'b' : 'a';
  }

  /** A tenant that nobody has used, of either bucket. */
  newTenant(bucket: number) {
    const tenant = this.cluster.tenantsOf(bucket, this.seed + 1)[this.seed]!;
    this.seed++;
    return tenant;
  }

  /** Runs `work` while routers of their own write to both buckets, and looks at what is there afterwards. */
  async underWrites(work: (writers: readonly Writer[]) => Promise<void>): Promise<void> {
    const writers: Writer[] = [];
    const processes: Shards[] = [];
    for (const bucket of [BUCKET, BUCKET, 1]) {
      const shards = await this.cluster.open();
      processes.push(shards);
      const tenant = this.newTenant(bucket);
      await createTenant(shards, tenant);
      writers.push(new Writer(shards, tenant, this.seed));
    }
    const running = writers.map((writer) => writer.run());
    try {
      await work(writers);
    } finally {
      for (const writer of writers) writer.stop();
      await Promise.all(running);
      await Promise.all(processes.map((shards) => shards.close()));
    }
    await expectIntact(this.cluster, writers);
  }

  /** Goes on with the move as a job would, until it has ended. */
  async resumeUntilDone(): Promise<void> {
    await until(async () => {
      await this.operator.administration.resumeMoves();
      return (await this.operator.administration.moves()).length === 0;
    }, 'the end of the move');
  }

  async stop(): Promise<void> {
    await this.cluster.stop();
  }
}
