import { parseTenantId, type TenantDatabase } from '@sparkle/contracts';
import { openDatabase, parseDatabaseOptions } from '@sparkle/database';
import { createTestGraphragOn } from '../src/testing/test-graphrag.js';

/**
 * A process that works on jobs and kills itself right after the `dieAfter`-th statement it sent, in the middle of
 * whatever transaction that is in. Prints `done` when it got to the end.
 */
const [url, tenant, jobIds, dieAfter, embedBatchSize] = JSON.parse(process.argv[2]!) as [
  string,
  string,
  string[],
  number,
  number,
];
const database = await openDatabase(parseDatabaseOptions({ url, pool: { size: 1, overflow: 3 } }));
let statements = 0;
const mortal = new Proxy(database, {
  get(target, property) {
    if (property !== 'withTenant') return Reflect.get(target, property);
    return ((tenantId, work) =>
      target.withTenant(tenantId, (tx) =>
        work({
          ...tx,
          query: async (text, parameters) => {
            const rows = await tx.query(text, parameters);
            statements += 1;
            if (statements === dieAfter) process.kill(process.pid, 'SIGKILL');
            return rows as never;
          },
        }),
      )) satisfies TenantDatabase['withTenant'];
  },
});
const rag = createTestGraphragOn({ database: mortal }, { options: { embedBatchSize } });
await Promise.all(jobIds.map((jobId) => rag.ingestion.process({ tenantId: parseTenantId(tenant), jobId })));
process.stdout.write('done\n');
await database.close();
