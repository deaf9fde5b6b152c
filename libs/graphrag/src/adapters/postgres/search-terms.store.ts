import type { SqlClient, TenantId } from '@sparkle/contracts';
import { normaliseEntityName } from '../../extract/entity-name.js';
import { factTerms, nameTerms } from '../../index/passage-terms.js';

const PUBLISHED = `SELECT id FROM documents WHERE tenant_id = $1 AND state = 'ready'`;

/** Rows whose terms are made in one statement. */
const BATCH = 2000;

/** Whether something published lacks its search terms. */
export async function lacksSearchTerms(sql: SqlClient, tenantId: TenantId): Promise<boolean> {
  const [row] = await sql.query<{ lacks: boolean }>(
    `SELECT EXISTS (SELECT 1 FROM documents WHERE tenant_id = $1 AND title_key IS NULL AND state = 'ready')
       OR EXISTS (SELECT 1 FROM node_names WHERE tenant_id = $1 AND terms IS NULL)
       OR EXISTS (SELECT 1 FROM edge_evidence v WHERE v.tenant_id = $1 AND v.terms IS NULL
         AND v.document_id IN (${PUBLISHED})) AS lacks`,
    [tenantId],
  );
  return row!.lacks;
}

/**
 * Makes the search terms that published rows lack, a batch of each kind. Rows that another transaction is changing
 * are left to the next call, so this never waits and cannot deadlock, unless `wait` is set.
 * @returns whether there may be more.
 */
export async function makeSearchTerms(
  sql: SqlClient,
  tenantId: TenantId,
  { wait = false }: { wait?: boolean } = {},
): Promise<boolean> {
  const skip = wait ? '' : 'SKIP LOCKED';
  const titles = await sql.query<{ id: string; title: string }>(
    `SELECT id, title FROM documents WHERE tenant_id = $1 AND title_key IS NULL AND state = 'ready'
     ORDER BY id LIMIT ${BATCH} FOR UPDATE ${skip}`,
    [tenantId],
  );
  if (titles.length > 0)
    await sql.query(
      `UPDATE documents d SET title_key = x.key FROM jsonb_to_recordset($2::jsonb) AS x(id uuid, key text)
       WHERE d.tenant_id = $1 AND d.id = x.id`,
      [tenantId, JSON.stringify(titles.map(({ id, title }) => ({ id, key: normaliseEntityName(title) })))],
    );

  const facts = await sql.query<{
    edge: string;
    chunk: string;
    source: string;
    type: string;
    target: string;
    statement: string;
  }>(
    `SELECT v.edge_id AS edge, v.chunk_id AS chunk, v.statement, e.type, s.name AS source, t.name AS target
     FROM edge_evidence v
     JOIN knowledge_edges e ON e.tenant_id = v.tenant_id AND e.id = v.edge_id
     JOIN knowledge_nodes s ON s.tenant_id = e.tenant_id AND s.id = e.source_id
     JOIN knowledge_nodes t ON t.tenant_id = e.tenant_id AND t.id = e.target_id
     WHERE v.tenant_id = $1 AND v.terms IS NULL AND v.document_id IN (${PUBLISHED})
     ORDER BY v.edge_id, v.chunk_id LIMIT ${BATCH} FOR UPDATE OF v ${skip}`,
    [tenantId],
  );
  if (facts.length > 0)
    await sql.query(
      `UPDATE edge_evidence v SET terms = x.terms
       FROM jsonb_to_recordset($2::jsonb) AS x(edge uuid, chunk uuid, terms text)
       WHERE v.tenant_id = $1 AND v.edge_id = x.edge AND v.chunk_id = x.chunk`,
      [
        tenantId,
        JSON.stringify(
          facts.map((fact) => ({ edge: fact.edge, chunk: fact.chunk, terms: factTerms(fact).join(' ') })),
        ),
      ],
    );

  const names = await sql.query<{ id: string; name: string; aliases: string[] }>(
    `SELECT m.node_id AS id, n.name, ARRAY(
       SELECT min(a.alias) FROM node_aliases a
       WHERE a.tenant_id = $1 AND a.node_id = m.node_id AND a.document_id IN (${PUBLISHED})
       GROUP BY a.alias_key ORDER BY a.alias_key) AS aliases
     FROM node_names m JOIN knowledge_nodes n ON n.tenant_id = m.tenant_id AND n.id = m.node_id
     WHERE m.tenant_id = $1 AND m.terms IS NULL
     ORDER BY m.node_id LIMIT ${BATCH} FOR UPDATE OF m ${skip}`,
    [tenantId],
  );
  if (names.length > 0)
    await sql.query(
      `UPDATE node_names n SET terms = x.terms FROM jsonb_to_recordset($2::jsonb) AS x(id uuid, terms text)
       WHERE n.tenant_id = $1 AND n.node_id = x.id`,
      [tenantId, JSON.stringify(names.map((node) => ({ id: node.id, terms: nameTerms(node).join(' ') })))],
    );
  return [titles, facts, names].some((rows) => rows.length === BATCH);
}
