import type { Database, Transaction } from '@sparkle/database';

/** How much to load; `1` is what the report promises. Smaller scales are for tests: their plans mean nothing. */
export interface DataScale {
  readonly tenants: number;
  readonly users: number;
  readonly documents: number;
  readonly chunksPerDocument: number;
  readonly nodes: number;
  readonly edges: number;
  readonly mentionsPerChunk: number;
  readonly nodeStatuses: number;
  readonly studyRecords: number;
  readonly conversations: number;
  readonly cachedAnswers: number;
}

export function dataScale(scale: number): DataScale {
  const of = (count: number) => Math.max(500, Math.round(count * scale));
  return {
    tenants: 20,
    users: of(20_000),
    documents: of(12_500),
    chunksPerDocument: 2,
    nodes: of(50_100),
    edges: of(520_000),
    mentionsPerChunk: 5,
    nodeStatuses: of(200_000),
    studyRecords: of(1_050_000),
    conversations: of(12_500),
    cachedAnswers: of(12_500),
  };
}

const DIMENSIONS_OF =
  "SELECT atttypmod AS dimensions FROM pg_attribute WHERE attrelid = 'chunks'::regclass AND attname = 'embedding'";

/** Tenant number `n` of the loaded data; 1 is the largest. */
export function tenantName(n: number): string {
  return `school-${n}`;
}

/**
 * Fills a migrated database as two years of use would: tenants of very different sizes, study records in the
 * order of their time, a graph whose nodes are linked unevenly, vectors in clusters. The same every time.
 * Secondary indexes are taken down and built again at the end, which is far faster than filling them row by
 * row; the login must be a superuser, since foreign keys are not checked meanwhile.
 */
export async function loadData(
  database: Database,
  scale: DataScale,
  log: (text: string) => void,
): Promise<void> {
  const indexes = await database.asSystem(takeDownIndexes);
  await database.asSystem(async (sql) => {
    await prepare(sql, scale);
    for (const [table, statement] of Object.entries(FILL)) {
      log(`loading ${table}`);
      await sql.query(statement(scale));
    }
  });
  for (const definition of indexes) {
    log(`building ${/INDEX (\S+)/.exec(definition)?.[1]}`);
    await database.asSystem(async (sql) => {
      await generous(sql);
      await sql.query(definition);
    });
  }
  log('analysing');
  await database.asSystem(async (sql) => {
    await generous(sql);
    await sql.query('ANALYZE');
  });
}

/** Index builds and bulk loads may take longer than a request's statement, and more memory. */
async function generous(sql: Transaction): Promise<void> {
  await sql.query(
    `SELECT set_config('statement_timeout', '0', true), set_config('maintenance_work_mem', '512MB', true),
       set_config('max_parallel_maintenance_workers', '2', true)`,
  );
}

async function takeDownIndexes(sql: Transaction): Promise<string[]> {
  const indexes = await sql.query<{ name: string; definition: string }>(
    `SELECT c.relname AS name, replace(pg_get_indexdef(c.oid), ' ON ONLY ', ' ON ') AS definition
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition AND NOT i.indisunique
     ORDER BY c.relname`,
  );
  for (const { name } of indexes) await sql.query(`DROP INDEX "${name}"`);
  return indexes.map(({ definition }) => definition);
}

/**
 * Temporary tables that say what belongs to whom. Tenant `n` of 20 has a share in proportion to
 * `1/(n + 2)`, from 15 % down to 2 %; its documents,
 * nodes and users have consecutive numbers, `first` to `first + count - 1`.
 */
async function prepare(sql: Transaction, scale: DataScale): Promise<void> {
  await generous(sql);
  await sql.query(`SELECT set_config('session_replication_role', 'replica', true), setseed(0.42)`);
  const [column] = await sql.query<{ dimensions: number }>(DIMENSIONS_OF);
  const vectors = async (name: string, count: number) => {
    // The inner query names `g`, or PostgreSQL would draw one vector for all rows.
    await sql.query(`CREATE TEMP TABLE ${name} ON COMMIT DROP AS
      SELECT g AS ${name}_no,
        ARRAY(SELECT random() - 0.5 FROM generate_series(1, ${column!.dimensions} + 0 * g))::vector AS ${name}_vector
      FROM generate_series(0, ${count - 1}) g`);
    await sql.query(`ALTER TABLE ${name} ADD PRIMARY KEY (${name}_no)`);
  };
  await vectors('centre', 200);
  // Prime to the number of centres: every pair of the two is another vector.
  await vectors('noise', 1999);
  const owned = (name: string, total: number) =>
    sql.query(`CREATE TEMP TABLE ${name} ON COMMIT DROP AS
      WITH share AS (
        SELECT rank, 'school-' || rank AS tenant_id, 1.0 / (rank + 2) / sum(1.0 / (rank + 2)) OVER () AS part
        FROM generate_series(1, ${scale.tenants}) rank),
      counted AS (SELECT rank, tenant_id, greatest(1, floor(part * ${total}))::integer AS count FROM share)
      SELECT tenant_id, count, (sum(count) OVER (ORDER BY rank) - count)::integer AS first FROM counted`);
  await owned('users_of', scale.users);
  await owned('documents_of', scale.documents);
  await owned('nodes_of', scale.nodes);
  await owned('edges_of', scale.edges);
  await owned('records_of', scale.studyRecords);
  await owned('conversations_of', scale.conversations);
  await owned('answers_of', scale.cachedAnswers);
  await sql.query(`CREATE TEMP TABLE word ON COMMIT DROP AS SELECT * FROM unnest(
    '{gradient,kernel,tensor,policy,cluster,network,margin,entropy,sample,regression,boosting,attention,encoder,
      vector,matrix,bayes,markov,reward,ensemble,pruning,dropout,batch,epoch,loss,metric,latent,graph,node,edge,
      spectral}'::text[],
    '{梯度,内核,张量,策略,聚类,网络,间隔,熵,样本,回归,提升,注意力,编码器,向量,矩阵,贝叶斯,马尔可夫,奖励,集成,
      剪枝,随机失活,批次,轮次,损失,度量,潜变量,图谱,节点,边,谱}'::text[]) WITH ORDINALITY AS w(en, zh, word_no)`);
  await sql.query(PARTITIONS);
}

/** The months the records are of; the application itself makes those to come. */
const PARTITIONS = `DO $$
DECLARE
  month timestamptz := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '24 months';
  name text;
BEGIN
  FOR step IN 0..24 LOOP
    name := 'study_records_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
    IF to_regclass(name) IS NULL THEN
      EXECUTE format('CREATE TABLE %I PARTITION OF study_records FOR VALUES FROM (%L) TO (%L)',
        name, month, month + interval '1 month');
    END IF;
    month := month + interval '1 month';
  END LOOP;
END $$`;

const id = (kind: string, number: string) => `md5('${kind}' || ${number})::uuid`;
const vectorOf = (number: string) =>
  `(SELECT centre_vector + noise_vector FROM centre, noise
    WHERE centre_no = (${number}) % 200 AND noise_no = (${number})::bigint * 7919 % 1999)`;
/** Three words, picked by a number. */
const words = (number: string, language = 'en') =>
  `(SELECT string_agg(${language}, ' ' ORDER BY word_no) FROM word
    WHERE word_no IN (1 + (${number}) % 30, 1 + (${number}) / 30 % 30, 1 + (${number}) / 900 % 30))`;
const nodeName = (number: string) =>
  `CASE WHEN (${number}) % 10 = 0 THEN replace(${words(number, 'zh')}, ' ', '') || (${number})
    ELSE initcap(${words(number)}) || ' ' || (${number}) END`;

/** One statement per table, in the order of their references. */
const FILL: Readonly<Record<string, (scale: DataScale) => string>> = {
  tenants: () =>
    `INSERT INTO tenants (id, name, plan, corpus_version)
     SELECT tenant_id, tenant_id, '{"qps":20,"burst":40,"permits":8,"threadShare":4,
       "tokenBudget":{"tokens":1000000,"windowMs":3600000}}', count FROM documents_of`,
  users: () =>
    `INSERT INTO users (tenant_id, id, status, created_at)
     SELECT tenant_id, 'user-' || k, CASE WHEN k % 50 = 0 THEN 'suspended' ELSE 'active' END,
       now() - random() * interval '730 days'
     FROM users_of, generate_series(0, count - 1) k`,
  documents: ({ chunksPerDocument }) =>
    `INSERT INTO documents (tenant_id, id, title, title_key, format, content, content_hash, byte_size, state, step,
       chunk_count, created_by, created_at)
     SELECT tenant_id, ${id('document', 'd')}, initcap(${words('d')}) || ' ' || d, ${words('d')} || ' ' || d, 'markdown',
       repeat(${words('d * 31')} || ' ', 60), md5('hash' || d), 1500, CASE WHEN d % 400 = 7 THEN 'processing' ELSE 'ready' END, 'publish', ${chunksPerDocument},
       'user-' || d % 50, now() - interval '730 days' + (d - first) * interval '730 days' / count
     FROM documents_of, generate_series(first, first + count - 1) d`,
  jobs: () =>
    `INSERT INTO jobs (tenant_id, id, kind, subject_id, state, step, progress, attempts, created_at, updated_at)
     SELECT tenant_id, ${id('job', 'd')}, 'ingestion', ${id('document', 'd')},
       CASE WHEN d % 500 = 0 THEN 'queued' ELSE 'completed' END, 'publish', 1, 1, now() - interval '1 day',
       now() - interval '1 day'
     FROM documents_of, generate_series(first, first + count - 1) d`,
  chunks: ({ chunksPerDocument }) =>
    `INSERT INTO chunks (tenant_id, id, document_id, ordinal, headings, content, start_offset, end_offset,
       token_count, terms, embedding)
     SELECT tenant_id, ${id('chunk', 'c')}, ${id('document', `c / ${chunksPerDocument}`)}, c % ${chunksPerDocument},
       '{}', repeat(${words('c * 17')} || ' ', 20), 0, 400, 90, ${words('c * 17')} || ' ' || ${words('c * 5 + 3')} || ' term' || c,
       ${vectorOf('c')}
     FROM documents_of, generate_series(first * ${chunksPerDocument}, (first + count) * ${chunksPerDocument} - 1) c`,
  graph_changes: () =>
    `INSERT INTO graph_changes (tenant_id, version, document_id, kind)
     SELECT tenant_id, d - first + 1, ${id('document', 'd')}, 'added'
     FROM documents_of, generate_series(first, first + count - 1) d`,
  knowledge_nodes: () =>
    `INSERT INTO knowledge_nodes (tenant_id, id, key, name, type, description, attributes, embedding)
     SELECT tenant_id, ${id('node', 'n')}, lower(name), name,
       (ARRAY['concept', 'person', 'place', 'work', 'organisation'])[1 + n % 5], 'About ' || name,
       CASE WHEN (n - first) % 1000 < 50 THEN '{"hours": 2, "difficulty": 3}'::jsonb ELSE '{}' END, ${vectorOf('n')}
     FROM (SELECT tenant_id, first, n, ${nodeName('n')} AS name
           FROM (SELECT tenant_id, first, generate_series(first, first + count - 1) AS n FROM nodes_of) x) y`,
  node_names: () =>
    `INSERT INTO node_names (tenant_id, node_id, terms) SELECT tenant_id, id, lower(name) FROM knowledge_nodes`,
  node_aliases: ({ chunksPerDocument }) =>
    `INSERT INTO node_aliases (tenant_id, node_id, alias_key, alias, document_id)
     SELECT o.tenant_id, ${id('node', 'n')}, lower(${words('n + 1')}) || ' alias ' || n, initcap(${words('n + 1')}) || ' alias ' || n,
       ${id('document', `(d.first * ${chunksPerDocument} + n % (d.count * ${chunksPerDocument})) / ${chunksPerDocument}`)}
     FROM nodes_of o JOIN documents_of d USING (tenant_id), generate_series(o.first, o.first + o.count - 1) n
     WHERE n % 5 <> 0`,
  // One edge in twenty is a prerequisite; those stay inside a course of 50 concepts, and point forward.
  knowledge_edges: () =>
    `INSERT INTO knowledge_edges (tenant_id, id, source_id, target_id, type, confidence)
     SELECT tenant_id, ${id('edge', 'e')}, ${id('node', 'source')}, ${id('node', 'target')}, type,
       CASE WHEN type = 'prerequisite_of' THEN 0.9 ELSE 0.5 + random() / 2 END
     FROM (
       SELECT tenant_id, e, o.first + floor(random() * o.count)::integer AS source,
         o.first + floor(random() ^ 3 * o.count)::integer AS target,
         (ARRAY['related_to', 'is_a', 'part_of', 'uses', 'located_in'])[1 + e % 5] AS type
       FROM edges_of x JOIN nodes_of o USING (tenant_id), generate_series(x.first, x.first + x.count - 1) e
       WHERE e % 20 <> 0
       UNION ALL
       SELECT tenant_id, e, o.first + least(course * 1000 + concept, o.count - 1),
         o.first + least(course * 1000 + least(concept + 1 + e / 20 % 5, 49), o.count - 1), 'prerequisite_of'
       FROM edges_of x JOIN nodes_of o USING (tenant_id), generate_series(x.first, x.first + x.count - 1) e,
         LATERAL (SELECT e / 20 % 49 AS concept, e / 980 % ((o.count + 999) / 1000) AS course) placed
       WHERE e % 20 = 0
     ) drawn
     WHERE source <> target
     ON CONFLICT DO NOTHING`,
  edge_evidence: ({ chunksPerDocument }) =>
    `INSERT INTO edge_evidence (tenant_id, edge_id, chunk_id, document_id, statement, terms, confidence)
     SELECT tenant_id, edge_id, ${id('chunk', 'c')}, ${id('document', `c / ${chunksPerDocument}`)},
       'It is stated in ' || c, ${words('c')} || ' ' || ${words('c * 11')} || ' state' || c, confidence
     FROM (
       SELECT k.tenant_id, k.id AS edge_id, k.confidence,
         d.first * ${chunksPerDocument} + floor(random() * d.count * ${chunksPerDocument})::integer AS c
       FROM knowledge_edges k JOIN documents_of d USING (tenant_id)) placed`,
  node_mentions: ({ chunksPerDocument, mentionsPerChunk }) =>
    `INSERT INTO node_mentions (tenant_id, node_id, chunk_id, document_id, count)
     SELECT tenant_id, ${id('node', 'node')}, ${id('chunk', 'c')}, ${id('document', `c / ${chunksPerDocument}`)}, 1
     FROM (
       SELECT DISTINCT d.tenant_id, c, n.first + (c * 13 + m * 7 + m * floor(random() * 100)::integer) % n.count AS node
       FROM documents_of d JOIN nodes_of n USING (tenant_id),
         generate_series(d.first * ${chunksPerDocument}, (d.first + d.count) * ${chunksPerDocument} - 1) c,
         generate_series(1, ${mentionsPerChunk}) m) placed`,
  user_node_status: ({ nodeStatuses, users }) =>
    `INSERT INTO user_node_status (tenant_id, user_id, node_id, mastered, mastery_level, last_review_date)
     SELECT DISTINCT ON (1, 2, 3) u.tenant_id, 'user-' || k, ${id('node', `n.first + (k * 31 + s * 17) % n.count`)}, s % 3 = 0,
       CASE WHEN s % 3 = 0 THEN 1 ELSE 0.4 END, now() - random() * interval '300 days'
     FROM users_of u JOIN nodes_of n USING (tenant_id), generate_series(0, u.count - 1) k,
       generate_series(1, ${Math.ceil(nodeStatuses / users) + 1}) s`,
  study_records: ({ studyRecords }) =>
    `INSERT INTO study_records (tenant_id, id, user_id, node_id, activity, duration_seconds, score, study_time,
       created_at)
     SELECT tenant_id, ${id('record', 'r')}, 'user-' || floor(random() ^ 2 * users)::integer,
       ${id('node', 'first_node + r % nodes')}, 'read', 60 + r % 1200, random(), at, at + interval '2 seconds'
     FROM (
       SELECT o.tenant_id, r, u.count AS users, n.first AS first_node, n.count AS nodes,
         now() - interval '729 days' + ((r::bigint * 7919) % ${studyRecords}) * interval '728 days' / ${studyRecords} AS at
       FROM records_of o JOIN users_of u USING (tenant_id) JOIN nodes_of n USING (tenant_id),
         generate_series(o.first, o.first + o.count - 1) r
       ORDER BY at) ordered`,
  // Most conversations are short; one in a hundred is long, and one in three of those has no summary yet.
  conversations: () =>
    `INSERT INTO conversations (tenant_id, id, user_id, title, message_count, summarised_to, created_at, updated_at)
     SELECT c.tenant_id, ${id('conversation', 'k')}, 'user-' || k % u.count, 'Conversation ' || k,
       CASE WHEN (k - c.first) % 100 = 0 THEN 320 ELSE 4 + k % 28 END, CASE WHEN (k - c.first) % 100 = 0 AND (k - c.first) % 300 <> 100 THEN 300 ELSE 0 END,
       now() - interval '60 days', now() - random() * interval '60 days'
     FROM conversations_of c JOIN users_of u USING (tenant_id), generate_series(c.first, c.first + c.count - 1) k`,
  messages: () =>
    `INSERT INTO messages (tenant_id, conversation_id, seq, id, role, content, idempotency_key, metadata, token_count, words, embedding)
     SELECT c.tenant_id, c.id, s, gen_random_uuid(), CASE WHEN s % 2 = 1 THEN 'user' ELSE 'assistant' END,
       'What is ' || ${words('s * 37')} || '?', 'key-' || s / 2, '{}', 12,
       to_tsvector('simple', ${words('s * 37')}),
       CASE WHEN c.summarised_to >= s THEN ${vectorOf('s')} END
     FROM conversations c, generate_series(1, c.message_count) s`,
  conversation_summaries: () =>
    `INSERT INTO conversation_summaries (tenant_id, conversation_id, from_seq, to_seq, content, method, token_count)
     SELECT tenant_id, id, s - 99, s, 'They talked about ' || ${words('s')}, 'model', 80
     FROM conversations, generate_series(100, summarised_to, 100) s`,
  semantic_cache_entries: () =>
    `INSERT INTO semantic_cache_entries (tenant_id, partition_digest, canonical_hash, question, embedding, answer, threshold,
       document_ids, expires_at)
     SELECT a.tenant_id, 'partition-' || k % 3, md5('question' || k), 'What is ' || ${words('k')} || '?', ${vectorOf('k')},
       '{"text":"An answer."}', 0.95, ARRAY[${id('document', 'd.first + k % d.count')}::text],
       now() + (random() - 0.02) * interval '24 hours'
     FROM answers_of a JOIN documents_of d USING (tenant_id), generate_series(a.first, a.first + a.count - 1) k`,
  // Those of the tenants that the report does not work for; it finds the others' itself.
  communities: () =>
    `INSERT INTO communities (tenant_id, id, level, title, node_count, chunk_count, document_count, content_hash, updated_at)
     SELECT tenant_id, md5('community' || c)::uuid, 0, ${words('c')}, 50, 40, 20, md5('content' || c), now()
     FROM nodes_of, generate_series(first / 50, (first + count) / 50) c
     WHERE tenant_id NOT IN ('school-1', 'school-2', 'school-5', 'school-20')
     ON CONFLICT DO NOTHING`,
  community_members: () =>
    `INSERT INTO community_members (tenant_id, member_id, kind, community_id)
     SELECT o.tenant_id, ${id('node', 'n')}, 'node', md5('community' || n / 50)::uuid
     FROM nodes_of o, generate_series(o.first, o.first + o.count - 1) n
     WHERE EXISTS (SELECT FROM communities c WHERE c.tenant_id = o.tenant_id AND c.id = md5('community' || n / 50)::uuid)`,
  semantic_cache_purges: () =>
    `INSERT INTO semantic_cache_purges (tenant_id, document_id, mark, expires_at)
     SELECT tenant_id, md5('purged' || k), nextval('semantic_cache_purge_marks'), now() + (random() - 0.02) * interval '24 hours'
     FROM answers_of, generate_series(first, first + count / 10) k`,
};
