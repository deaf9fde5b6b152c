import type { SqlClient, TenantId } from '@sparkle/contracts';
import { BatchLoaders, defineLoader, QueryCounter } from '@sparkle/database';
import { interleaved, median } from '../interleaved.js';
import type { Report } from '../report.js';
import { type BenchTarget, timed } from './own-database.js';

const NODES = 100;
const USERS = 30;
const ROUNDS = 7;

interface Status {
  readonly node_id: string;
  readonly mastery_level: number;
}

const STATUSES =
  'SELECT node_id, mastery_level FROM user_node_status WHERE tenant_id = $1 AND user_id = $2 ORDER BY node_id';

const nodeNames = (tenantId: TenantId) =>
  defineLoader({
    name: 'node',
    read: (sql: SqlClient, ids: readonly string[]) =>
      sql.query<{ id: string; name: string }>(
        'SELECT id, name FROM knowledge_nodes WHERE tenant_id = $1 AND id = ANY($2::uuid[])',
        [tenantId, ids],
      ),
    keyOf: (row) => row.id,
  });

/** A learner's hundred nodes with their names: one by one, batched, and joined. */
export async function measureNodeLoading(report: Report, target: BenchTarget): Promise<void> {
  const tenantId = await target.tenant('school');
  await target.prepare(async (client) => {
    await client.query(`INSERT INTO knowledge_nodes (tenant_id, id, key, name, type)
      SELECT 'school', md5(n::text)::uuid, 'node ' || n, 'Node ' || n, 'concept' FROM generate_series(1, 5000) n`);
    await client.query(`INSERT INTO user_node_status (tenant_id, user_id, node_id)
      SELECT 'school', 'user-' || u, md5((1 + (u * 37 + n) % 5000)::text)::uuid
      FROM generate_series(1, ${USERS}) u, generate_series(1, ${NODES}) n`);
    await client.query('VACUUM ANALYZE');
  });
  const ways: Record<string, (tx: SqlClient, userId: string) => Promise<{ name: string }[]>> = {
    'one by one': async (tx, userId) => {
      const names: { name: string }[] = [];
      for (const { node_id } of await tx.query<Status>(STATUSES, [tenantId, userId]))
        names.push(
          ...(await tx.query<{ name: string }>(
            'SELECT id, name FROM knowledge_nodes WHERE tenant_id = $1 AND id = $2',
            [tenantId, node_id],
          )),
        );
      return names;
    },
    batched: async (tx, userId) => {
      const loaders = new BatchLoaders((load) => load(tx));
      const definition = nodeNames(tenantId);
      const statuses = await tx.query<Status>(STATUSES, [tenantId, userId]);
      return Promise.all(statuses.map(({ node_id }) => loaders.require(definition, node_id)));
    },
    joined: (tx, userId) =>
      tx.query(
        `SELECT s.node_id, s.mastery_level, n.name FROM user_node_status s
         JOIN knowledge_nodes n ON n.tenant_id = s.tenant_id AND n.id = s.node_id
         WHERE s.tenant_id = $1 AND s.user_id = $2 ORDER BY s.node_id`,
        [tenantId, userId],
      ),
  };
  const queries = new Map<string, number>();
  const cases = Object.fromEntries(
    Object.entries(ways).map(([name, load]) => [
      name,
      async () => {
        const times: number[] = [];
        for (let user = 1; user <= USERS; user += 1) {
          const counted = await QueryCounter.run(async () => {
            const ms = await timed(() =>
              target.database.withTenant(tenantId, async (tx) => {
                const nodes = await load(tx, `user-${user}`);
                if (nodes.length !== NODES) throw new Error(`${name} gave ${nodes.length} nodes`);
              }),
            );
            times.push(ms);
          });
          queries.set(name, counted.queries.count);
        }
        return [median(times)];
      },
    ]),
  );
  const times = await interleaved(cases, { rounds: ROUNDS });
  for (const name of Object.keys(ways)) {
    report.add('user_graph_queries', queries.get(name)!, 'queries', { system: name });
    const baseline = name === 'one by one' ? undefined : 'user_graph@one by one';
    report.add('user_graph', median(times[name]!), 'ms', { system: name, ...(baseline && { baseline }) });
  }
  report.note(
    `user_graph: ${NODES} nodes of one learner, over loopback; a network adds its round trip to every query.`,
  );
}
