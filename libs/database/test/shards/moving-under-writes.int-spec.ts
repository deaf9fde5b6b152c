import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Shards } from '../../src/index.js';
import { createTenant, ShardCluster } from './shard-cluster.js';
import { expectIntact, killProcess, startProcess, Writer } from './workload.js';

const BUCKETS = 4;

let cluster: ShardCluster;
let operator: Shards;

beforeAll(async () => {
  cluster = await ShardCluster.start(3, BUCKETS);
  operator = await cluster.open();
  await operator.administration.createMap(['a', 'b']);
});
afterAll(() => cluster.stop());

// Long on a machine that is busy with other suites.
describe('moving buckets under writes', { timeout: 180_000 }, () => {
  it('loses and doubles nothing, with writers in five routers and another process, and a third server added', async () => {
    const writers: Writer[] = [];
    for (let router = 0; router < 4; router++) {
      const shards = await cluster.open();
      for (const bucket of [router % 2, 2 + (router % 2)]) {
        const tenant = cluster.tenantsOf(bucket, 4)[router]!;
        await createTenant(shards, tenant);
        writers.push(new Writer(shards, tenant, writers.length));
      }
    }
    const elsewhere = cluster.tenantsOf(0, 5)[4]!;
    await createTenant(operator, elsewhere);
    const process = startProcess('writer.fixture.ts', { options: cluster.options(), tenant: elsewhere });
    const printed: string[] = [];
    process.lines.on('line', (line) => printed.push(line));
    const running = writers.map((writer) => writer.run());
    try {
      await operator.administration.addShard('c');
      const added = await operator.administration.rebalance();
      expect(added.every((move) => move.target === 'c')).toBe(true);
      const here = await cluster.open();
      for (const [bucket, targets] of [
        [0, ['b', 'c']],
        [1, ['a', 'c']],
        [2, ['c', 'a']],
      ] as const)
        for (const target of targets) {
          const report = await here.administration.moveBucket(bucket, target);
          expect(report?.target ?? target).toBe(target);
        }
    } finally {
      for (const writer of writers) writer.stop();
      await Promise.all(running);
      await killProcess(process.child);
    }
    expect(writers.reduce((sum, writer) => sum + writer.failed, 0)).toBe(0);
    expect(writers.reduce((sum, writer) => sum + writer.acknowledged, 0)).toBeGreaterThan(500);
    await expectIntact(cluster, writers);
    const users = await cluster.everywhere<{ count: number; last: number }>(
      `SELECT count(*)::int AS count, max(substr(id, 6)::int) AS last FROM users WHERE tenant_id = $1
       HAVING count(*) > 0`,
      [elsewhere],
    );
    expect(users).toHaveLength(1);
    const { count, last } = users[0]![1][0]!;
    expect(count).toBe(last);
    expect(printed).toEqual(printed.map((_, index) => String(index + 1)));
    expect(printed.length).toBeGreaterThan(50);
    // The last commit may not have been printed.
    expect([printed.length, printed.length + 1]).toContain(count);
  });

  it('empties a shard and takes it out of the map', async () => {
    const writers = [0, 1, 2, 3].map(
      (bucket, seed) => new Writer(operator, cluster.tenantsOf(bucket, 6)[5]!, seed),
    );
    for (const { tenant } of writers) await createTenant(operator, tenant);
    const running = writers.map((writer) => writer.run());
    expect(await operator.administration.removeShard('b')).toBe(true);
    for (const writer of writers) writer.stop();
    await Promise.all(running);
    expect((await operator.administration.shards()).map(({ name }) => name)).toEqual(['a', 'c']);
    await expectIntact(cluster, writers);
    expect(await cluster.server('b').query('SELECT id FROM tenants')).toEqual([]);
  });
});
