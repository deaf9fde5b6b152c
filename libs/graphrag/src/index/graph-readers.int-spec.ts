import { randomUUID } from 'node:crypto';
import { type SqlClient, SystemClock, type TenantId } from '@sparkle/contracts';
import type { TestDatabase } from '@sparkle/database/testing';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { estimateSnapshotBytes, readSnapshot } from '../adapters/postgres/snapshot.store.js';
import { SqlGraphReader } from '../adapters/postgres/sql-graph-reader.js';
import { normaliseEntityName } from '../extract/entity-name.js';
import { deterministicId } from '../ingest/deterministic-id.js';
import type { EntityType, GraphPath, RetrievalResult, SnapshotRows } from '../model.js';
import { GraphService } from '../nest/graph.service.js';
import { findPaths } from '../retrieve/find-paths.js';
import { retrieveGraph } from '../retrieve/retrieve-graph.js';
import { retrievePlain } from '../retrieve/retrieve-plain.js';
import type { VectorHit } from '../retrieve/vector-index.port.js';
import { FaultyEmbeddingModel } from '../testing/faulty-embedding-model.js';
import { HashEmbeddingModel } from '../testing/hash-embedding-model.js';
import { loadGraph } from '../testing/load-graph.js';
import { createGraphragDatabase, createTestGraphragOn } from '../testing/test-graphrag.js';
import type { GraphReader } from './graph-reader.port.js';
import { snapshotRows } from './graph-snapshot.js';
import { SnapshotReader } from './snapshot-reader.js';

const NAMES = [
  'Marta Kessler',
  'Kessler',
  'Graz',
  'Veldhoven Observatory',
  'neural network',
  'Gradient Descent',
  'Orion',
  'SVM',
  '梯度下降',
  '神经网络',
  '支持向量机',
  '北京',
] as const;
const WORDS = 'founded born in city the of telescope lens learning 学习 方法 天文台 是'.split(' ');
const TYPES = ['born_in', 'founded_by', 'prerequisite_of', 'related_to'] as const;

const name = fc.nat(NAMES.length - 1);
const text = fc
  .array(fc.oneof({ arbitrary: fc.constantFrom(...WORDS), weight: 3 }, fc.constantFrom(...NAMES)), {
    minLength: 1,
    maxLength: 12,
  })
  .map((words) => words.join(' '));

/** A graph over {@link NAMES}: each passage is a document, some are titled by a name. */
const graph = fc
  .record({
    passages: fc.array(
      fc.record({
        title: fc.oneof(fc.constantFrom(...NAMES), fc.constant('Notes')),
        text,
        mentions: fc.array(fc.tuple(name, fc.integer({ min: 1, max: 3 })), { minLength: 1, maxLength: 4 }),
        facts: fc.array(
          fc.record({
            source: name,
            target: name,
            type: fc.constantFrom(...TYPES),
            confidence: fc.constantFrom(0.3, 0.7, 0.8, 1),
            statement: text,
          }),
          { maxLength: 4 },
        ),
      }),
      { minLength: 1, maxLength: 8 },
    ),
    aliases: fc.array(fc.tuple(name, fc.constantFrom('Levy', 'GD', '下降法', 'Star', '网络')), {
      maxLength: 4,
    }),
  })
  .map(({ passages, aliases }): SnapshotRows => {
    const salt = randomUUID();
    const nodeId = (index: number) => deterministicId(salt, 'node', NAMES[index]!);
    const used = new Set(
      passages.flatMap(({ mentions, facts }) => [
        ...mentions.map(([node]) => node),
        ...facts.flatMap(({ source, target }) => [source, target]),
      ]),
    );
    const edges = new Map<string, SnapshotRows['edges'][number]>();
    const evidence = new Map<string, SnapshotRows['evidence'][number]>();
    const mentions = new Map<string, SnapshotRows['mentions'][number]>();
    const chunks = passages.map(({ title, text: content, mentions: mentioned, facts }, at) => {
      const chunkId = deterministicId(salt, 'chunk', String(at));
      for (const [node, count] of mentioned)
        mentions.set(`${node} ${at}`, { nodeId: nodeId(node), chunkId, count });
      for (const { source, target, type, confidence, statement } of facts) {
        const id = deterministicId(salt, 'edge', String(source), type, String(target));
        const known = edges.get(id);
        if (evidence.has(`${id} ${at}`)) continue;
        evidence.set(`${id} ${at}`, { edgeId: id, chunkId, statement });
        edges.set(id, {
          id,
          sourceId: nodeId(source),
          targetId: nodeId(target),
          type,
          weight: (known?.weight ?? 0) + 1,
          confidence: known?.confidence ?? confidence,
        });
      }
      return {
        id: chunkId,
        documentId: deterministicId(salt, 'document', String(at)),
        documentTitle: title,
        ordinal: 0,
        headings: at % 2 === 0 ? [] : ['Part'],
        text: content,
        tokens: content.length,
      };
    });
    return {
      nodes: [...used].map((index) => {
        const own = [...new Set(aliases.filter(([node]) => node === index).map(([, alias]) => alias))];
        const written = NAMES[index]!;
        const type: EntityType = index % 3 === 0 ? 'concept' : 'term';
        return {
          id: nodeId(index),
          key: normaliseEntityName(written),
          name: written,
          type,
          aliases: own,
          aliasKeys: own.map(normaliseEntityName),
        };
      }),
      edges: [...edges.values()],
      evidence: [...evidence.values()],
      mentions: [...mentions.values()],
      chunks,
    };
  });

const question = fc
  .array(
    fc.oneof(
      fc.constantFrom(...NAMES),
      fc.constantFrom(...WORDS),
      fc.constantFrom('Levy', 'GD', 'telescopes'),
    ),
    {
      minLength: 1,
      maxLength: 6,
    },
  )
  .map((words) => `${words.join(' ')}?`);

let test: TestDatabase;
beforeAll(async () => {
  test = await createGraphragDatabase();
});
afterAll(() => test?.drop());

const newTenant = () => test.createTenant(`t-${randomUUID()}`);

/** Runs `work` with both readers of one state of the tenant's graph. */
function withBoth<T>(
  tenantId: TenantId,
  work: (readers: { memory: GraphReader; sql: GraphReader; client: SqlClient }) => Promise<T>,
): Promise<T> {
  return test.database.withTenant(
    tenantId,
    async (client) => {
      const { reader } = await SqlGraphReader.open(client, tenantId);
      const snapshot = await readSnapshot(client, tenantId);
      return work({ memory: new SnapshotReader(snapshot, reader.version), sql: reader, client });
    },
    { isolation: 'REPEATABLE READ' },
  );
}

const withoutTime = ({ durationMs: _, ...result }: RetrievalResult) => result;

/** Everything the readers are used for, asked of one of them. */
async function ask(
  reader: GraphReader,
  rows: SnapshotRows,
  asked: string,
  near: readonly number[],
): Promise<{ results: unknown[]; paths: GraphPath[] }> {
  const hits: VectorHit[] = near
    .filter((index) => index < rows.chunks.length)
    .map((index, at) => ({ chunkId: rows.chunks[index]!.id, similarity: 0.9 - at / 10 }));
  const dependencies = { vectors: { search: async () => hits }, clock: new SystemClock() };
  const query = { question: asked, vector: new Float32Array(1), limit: 5 };
  const graph = await retrieveGraph(reader, query, dependencies);
  const plain = await retrievePlain(reader, query, dependencies);
  const [from, to] = [rows.nodes[0]!.id, rows.nodes.at(-1)!.id];
  const paths = await findPaths(reader, from, to, { count: 3, maxHops: 5 });
  return { results: [withoutTime(graph), withoutTime(plain)], paths };
}

/** Asks both readers everything and compares. */
async function expectSame(
  tenantId: TenantId,
  rows: SnapshotRows,
  questions: readonly string[],
  near: readonly number[] = [0],
): Promise<void> {
  await withBoth(tenantId, async ({ memory, sql }) => {
    for (const asked of questions)
      expect(await ask(sql, rows, asked, near)).toEqual(await ask(memory, rows, asked, near));
    const terms = ['founded', 'learn', '学习', 'absent'];
    expect(await sql.countPassages(terms)).toEqual(await memory.countPassages(terms));
  });
}

/** Compares what surrounds a node, through the service and its two kinds of readers. */
async function expectSameSurroundings(tenantId: TenantId, node: string): Promise<void> {
  const [memory, sql] = await Promise.all(
    [1024 ** 3, 1].map((snapshotMaxTenantBytes) => {
      const { snapshots } = createTestGraphragOn(test, { options: { snapshotMaxTenantBytes } });
      const graphs = new GraphService(test.database, snapshots);
      return graphs.neighbourhood(tenantId, node, { depth: 2, limit: 4 });
    }),
  );
  expect(sql).toEqual(memory);
}

const store = (tenantId: TenantId, rows: SnapshotRows) =>
  test.database.withTenant(tenantId, (client) => loadGraph(client, tenantId, rows));

describe('a reader in memory and one over SQL', () => {
  it('give the same ranking, scores, links and paths for any graph and question', async () => {
    await fc.assert(
      fc.asyncProperty(
        graph,
        fc.array(question, { minLength: 1, maxLength: 3 }),
        fc.uniqueArray(fc.nat(7), { maxLength: 5 }),
        async (rows, questions, near) => {
          const tenantId = await newTenant();
          await store(tenantId, rows);
          await expectSame(tenantId, rows, questions, near);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('give the same for two tenants whose entities have the same names, each its own', async () => {
    const [first, second] = [await newTenant(), await newTenant()];
    const [mine, theirs] = fc.sample(graph, { numRuns: 2, seed: 7 });
    await store(first, mine!);
    await store(second, theirs!);
    const asked = `How are ${NAMES.join(' and ')} related?`;
    await expectSame(first, mine!, [asked]);
    await expectSame(second, theirs!, [asked]);
    await withBoth(first, async ({ memory, sql }) => {
      const foreign = theirs!.chunks.map(({ id }) => id);
      for (const reader of [memory, sql])
        expect(await reader.chunksOf(foreign)).toEqual(foreign.map(() => undefined));
    });
  });

  it('give the same after documents came and went, whatever their order', async () => {
    const texts = [
      'Marta Kessler was born in Graz. Marta Kessler founded the Veldhoven Observatory.',
      'The Veldhoven Observatory is a research station. Kessler studied neural networks.',
      'Gradient Descent (GD) is an optimisation method. Gradient Descent requires calculus.',
      '梯度下降是一种优化方法。神经网络需要梯度下降。',
      'Graz is a city in Austria. The Veldhoven Observatory was founded in 1931 by Marta Kessler.',
    ];
    const questions = [
      'Where was the founder of the Veldhoven Observatory born?',
      'How is Graz related to Marta Kessler?',
      '神经网络需要什么？',
      'What does GD require?',
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ document: fc.nat(texts.length - 1), comes: fc.boolean() }), {
          minLength: 3,
          maxLength: 8,
        }),
        async (changes) => {
          const rag = createTestGraphragOn(test);
          const tenantId = await newTenant();
          const present = new Map<number, string>();
          for (const { document, comes } of changes) {
            const id = present.get(document);
            if (comes && id === undefined)
              present.set(document, await rag.ingest(tenantId, texts[document]!, `Page ${document}`));
            else if (!comes && id !== undefined) {
              await rag.documents.delete(tenantId, id);
              present.delete(document);
            }
            const { snapshot } = await rag.snapshots.current(tenantId);
            if (snapshot.nodeCount === 0) continue;
            await expectSame(tenantId, snapshotRows(snapshot), questions);
            await expectSameSurroundings(tenantId, snapshot.nodes[0]!.id);
          }
        },
      ),
      { numRuns: 4 },
    );
  });

  it('give the same while documents are half way in', async () => {
    const embeddings = new FaultyEmbeddingModel(new HashEmbeddingModel());
    const rag = createTestGraphragOn(test, { embeddings });
    const tenantId = await newTenant();
    await rag.ingest(tenantId, 'Marta Kessler founded the Veldhoven Observatory. Kessler was born in Graz.');
    const before = snapshotRows((await rag.snapshots.current(tenantId)).snapshot);
    embeddings.fault = () => new Error('down');
    const unpublished = 'Marta Kessler founded the Veldhoven Observatory in Utrecht. Graz lies in Austria.';
    await rag.documents.submit({ tenantId, userId: 'u', format: 'text', content: unpublished });
    await expect(rag.work()).rejects.toThrow('down');
    await expectSame(tenantId, before, ['Who founded the Veldhoven Observatory?', 'Where is Graz?']);
    await withBoth(tenantId, async ({ memory, sql }) => {
      for (const reader of [memory, sql])
        expect([...(await reader.nodesNamed(['utrecht', 'graz'])).keys()]).toEqual(['graz']);
    });
  });

  it('keep to the version they were opened at while another connection publishes', async () => {
    const rag = createTestGraphragOn(test);
    const tenantId = await newTenant();
    await rag.ingest(tenantId, 'Marta Kessler was born in Graz.');
    const rows = snapshotRows((await rag.snapshots.current(tenantId)).snapshot);
    const asked = 'Where was Marta Kessler born?';
    // Begun outside of the transaction that reads, so it is not part of it.
    let open = () => {};
    const published = new Promise<void>((resolve) => {
      open = resolve;
    }).then(() => rag.ingest(tenantId, 'Marta Kessler died in Jena. Graz is a city.'));
    await withBoth(tenantId, async ({ memory, sql, client }) => {
      open();
      const first = await ask(sql, rows, asked, [0]);
      await published;
      expect(await ask(memory, rows, asked, [0])).toEqual(first);
      const again = await ask((await SqlGraphReader.open(client, tenantId)).reader, rows, asked, [0]);
      expect(again).toEqual(first);
    });
    expect(await rag.snapshots.version(tenantId)).toBe(2);
  });
});

describe('a graph over the bound of a tenant’s memory', () => {
  it('is read over SQL, and never loaded', async () => {
    const rag = createTestGraphragOn(test, { options: { snapshotMaxTenantBytes: 1 } });
    const tenantId = await newTenant();
    await rag.ingest(tenantId, 'Marta Kessler was born in Graz.');
    const kind = await rag.snapshots.read(tenantId, async (reader) => [reader.kind, reader.version]);
    expect(kind).toEqual(['sql', 1]);
    expect(rag.snapshots.size).toEqual({ tenants: 0, bytes: 0 });
    await expect(rag.snapshots.current(tenantId)).rejects.toMatchObject({ code: 'SNAPSHOT_TOO_LARGE' });
    await rag.ingest(tenantId, 'Graz is a city in Austria.');
    expect(await rag.snapshots.read(tenantId, async ({ version }) => version)).toBe(2);
  });

  it('gets search terms that are missing before it is asked', async () => {
    const rag = createTestGraphragOn(test, { options: { snapshotMaxTenantBytes: 1 } });
    const tenantId = await newTenant();
    await rag.ingest(tenantId, 'Marta Kessler was born in Graz.');
    await test.database.withTenant(tenantId, async (client) => {
      await client.query('UPDATE node_names SET terms = NULL WHERE tenant_id = $1', [tenantId]);
      await client.query('UPDATE edge_evidence SET terms = NULL WHERE tenant_id = $1', [tenantId]);
      await client.query('UPDATE documents SET title_key = NULL WHERE tenant_id = $1', [tenantId]);
    });
    const found = await rag.snapshots.read(tenantId, async (reader) => ({
      names: (await reader.searchNames([['kessler']], 3))[0]!.length,
      facts: (await reader.searchFacts(['born'], 3)).best.length,
    }));
    expect(found.names).toBeGreaterThan(0);
    expect(found.facts).toBeGreaterThan(0);
  });

  it('costs a number of statements that does not grow with the graph', async () => {
    const counts = await Promise.all(
      [20, 200].map(async (people) => {
        const rag = createTestGraphragOn(test);
        const tenantId = await newTenant();
        const text = Array.from({ length: people }, (_, at) => `Marta Kessler met Person ${at}y in Graz.`);
        await rag.ingest(tenantId, text.join('\n\n'));
        return test.database.withTenant(
          tenantId,
          async (client) => {
            let statements = 0;
            const counting: SqlClient = {
              query: (sql, parameters) => {
                statements += 1;
                return client.query(sql, parameters);
              },
            };
            const { reader } = await SqlGraphReader.open(counting, tenantId);
            const dependencies = { vectors: { search: async () => [] }, clock: new SystemClock() };
            await retrieveGraph(reader, { question: 'How is Marta Kessler related to Graz?' }, dependencies);
            return statements;
          },
          { isolation: 'REPEATABLE READ' },
        );
      }),
    );
    // Three statements for each of at most 20 rounds, and those of the other steps.
    for (const statements of counts) expect(statements).toBeLessThan(100);
  });
});

describe('the estimate of a snapshot', () => {
  it('is near what the snapshot takes', async () => {
    const rag = createTestGraphragOn(test);
    const tenantId = await newTenant();
    for (let page = 0; page < 5; page += 1)
      await rag.ingest(
        tenantId,
        Array.from(
          { length: 40 },
          (_, at) => `Person ${page * 40 + at} founded Town ${at}. It lies in Graz.`,
        ).join('\n\n'),
      );
    const { snapshot } = await rag.snapshots.current(tenantId);
    const estimated = await test.database.withTenant(tenantId, (client) =>
      estimateSnapshotBytes(client, tenantId),
    );
    expect(estimated / snapshot.bytes).toBeGreaterThan(0.6);
    expect(estimated / snapshot.bytes).toBeLessThan(2);
    // Rows whose terms are made later count as little as they are known of.
    const withoutTerms = await test.database.withTenant(tenantId, async (client) => {
      await client.query('UPDATE edge_evidence SET terms = NULL WHERE tenant_id = $1', [tenantId]);
      return estimateSnapshotBytes(client, tenantId);
    });
    expect(withoutTerms).toBeLessThan(estimated);
  });
});
