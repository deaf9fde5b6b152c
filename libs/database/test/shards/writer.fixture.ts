/**
 * A process that writes rows of one tenant through a router of its own, given the shards' options, printing
 * the number of each after its commit; or what went wrong.
 */
import { parseTenantId } from '@sparkle/contracts';
import { openShards, parseShardsOptions, type ShardsOptions } from '../../src/index.js';

async function write({ options, tenant }: { options: ShardsOptions; tenant: string }): Promise<void> {
  const { router } = await openShards(parseShardsOptions(options));
  const tenantId = parseTenantId(tenant);
  for (let n = 1; ; n++) {
    await router.withKey(tenantId, tenantId, (tx) =>
      tx.query('INSERT INTO users (tenant_id, id) VALUES ($1, $2)', [tenantId, `user-${n}`]),
    );
    process.stdout.write(`${n}\n`);
  }
}

write(JSON.parse(process.argv[2]!)).catch((error: unknown) => {
  process.stdout.write(`${String(error)}\n`);
  process.exitCode = 1;
});
