import { randomUUID } from 'node:crypto';
import { parseTenantId } from '@sparkle/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QueryCounter } from '../core/query-counter.js';
import { createTestDatabase, type TestDatabase } from '../testing/index.js';
import { entities, KnowledgeEdgeEntity, KnowledgeNodeEntity } from './index.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await createTestDatabase({ dimensions: 3 });
  await db.createTenant('acme');
});
afterAll(() => db.drop());

interface SchemaColumn {
  name: string;
  type: string;
  nullable: boolean;
  primary: boolean;
}

const schemaColumns = (table: string): Promise<SchemaColumn[]> =>
  db.dataSource.query(
    `SELECT attname AS name, regexp_replace(format_type(atttypid, NULL), '\\(.*\\)', '') AS type,
            NOT attnotnull AS nullable, coalesce(attnum = ANY (conkey), false) AS "primary"
     FROM pg_attribute LEFT JOIN pg_constraint ON conrelid = attrelid AND contype = 'p'
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname`,
    [table],
  );

const SQL_NAMES: Record<string, string> = { timestamptz: 'timestamp with time zone', 'vector[]': 'vector' };

describe('entities', () => {
  it.each(entities.map((entity) => [entity.name, entity] as const))(
    '%s has exactly the columns, types, nullability and key of its migrated table',
    async (_, entity) => {
      const metadata = db.dataSource.getMetadata(entity);
      const mapped = metadata.columns.map((column) => {
        const type = SQL_NAMES[String(column.type)] ?? String(column.type);
        return {
          name: column.databaseName,
          type: column.isArray ? `${type}[]` : type,
          nullable: column.isNullable,
          primary: column.isPrimary,
        };
      });
      mapped.sort((a, b) => (a.name < b.name ? -1 : 1));
      expect(mapped).toEqual(await schemaColumns(metadata.tableName));
    },
  );

  it('cover every table of the schema', async () => {
    const tables: { name: string }[] = await db.dataSource.query(
      `SELECT relname AS name FROM pg_class
       WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
         AND relname <> 'schema_migrations'`,
    );
    const mapped = entities.map((entity) => db.dataSource.getMetadata(entity).tableName);
    expect(tables.map((table) => table.name).sort()).toEqual(mapped.sort());
  });

  it('store and load through the transaction, embeddings included, a graph in one query', async () => {
    const tenantId = parseTenantId('acme');
    const node = () => ({ tenantId, id: randomUUID(), type: 'concept', embedding: [1, 2, 3] });
    const hub = { ...node(), key: 'hub', name: 'hub' };
    const spokes = Array.from({ length: 100 }, (_, index) => ({
      ...node(),
      key: `spoke-${index}`,
      name: `spoke ${index}`,
    }));
    await db.database.withTenant(tenantId, async ({ manager }) => {
      await manager.insert(KnowledgeNodeEntity, [hub, ...spokes]);
      await manager.insert(
        KnowledgeEdgeEntity,
        spokes.map((spoke) => ({
          tenantId,
          id: randomUUID(),
          sourceId: hub.id,
          targetId: spoke.id,
          type: 'part_of',
        })),
      );
    });
    const { result, queries } = await QueryCounter.run(() =>
      db.database.withTenant(tenantId, ({ manager }) =>
        manager.find(KnowledgeNodeEntity, {
          where: { tenantId, key: 'hub' },
          relations: { outgoing: { target: true } },
          relationLoadStrategy: 'join',
        }),
      ),
    );
    expect(queries.count).toBe(1);
    expect(result[0]!.outgoing.map((edge) => edge.target.name)).toHaveLength(100);
    const [stored] = await db.database.withTenant(tenantId, ({ manager }) =>
      manager.find(KnowledgeNodeEntity, { select: { id: true, embedding: true }, where: { key: 'hub' } }),
    );
    expect(stored!.embedding).toEqual([1, 2, 3]);
  });
});
