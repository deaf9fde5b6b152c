import type { TenantId } from '@sparkle/contracts';
import type { TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ArgumentInvalidError,
  NodeNotFoundError,
  ResolutionNotFoundError,
  ResolutionRefusedError,
} from '../errors.js';
import { dumpGraph } from '../testing/graph-dump.js';
import { createGraphragDatabase, createTestGraphragOn, type TestGraphrag } from '../testing/test-graphrag.js';

let test: TestDatabase;
let rag: TestGraphrag;
let sequence = 0;
const newTenant = () => test.createTenant(`resolution${++sequence}`);

beforeAll(async () => {
  test = await createGraphragDatabase();
  rag = createTestGraphragOn(test);
});
afterAll(() => test?.drop());

const LINNEA = `# Linnea Holm

Linnea Holm was a botanist. Linnea Holm worked at Uppsala University. She described Silver Fern in 1901.
`;
const MRS_HOLM = `# The Uppsala Herbarium

The Uppsala Herbarium was founded by Professor Holm. Professor Holm worked at Uppsala University.
Professor Holm met Karl Berg.
`;
const LATER = `# Letters

Professor Holm wrote to Karl Berg about Silver Fern.
`;

interface Dump {
  nodes: { id: string; key: string; name: string }[];
  mentions: { node_id: string; document_id: string; chunk_id: string; count: number }[];
  aliases: { node_id: string; alias_key: string; document_id: string }[];
  edges: { id: string; source_id: string; target_id: string; type: string; weight: number }[];
  evidence: { edge_id: string; chunk_id: string; document_id: string }[];
}
const dump = async (tenantId: TenantId) => (await dumpGraph(test.database, tenantId)) as unknown as Dump;
const idOf = (graph: Dump, key: string) => {
  const node = graph.nodes.find((each) => each.key === key);
  if (!node) throw new Error(`no node "${key}" among ${graph.nodes.map((each) => each.key).join(', ')}`);
  return node.id;
};
const documentsOf = (graph: Dump, key: string) =>
  [
    ...new Set(
      graph.mentions.filter((row) => row.node_id === idOf(graph, key)).map((row) => row.document_id),
    ),
  ].sort();
const actor = 'ada';
const reason = 'checked by hand';

describe('a merge', () => {
  it('moves mentions, statements and names to the node that stays, and counts what two statements add', async () => {
    const tenantId = await newTenant();
    const first = await rag.ingest(tenantId, LINNEA);
    const second = await rag.ingest(tenantId, MRS_HOLM);
    const before = await dump(tenantId);
    const keepId = idOf(before, 'linnea holm');
    const gone = idOf(before, 'professor holm');
    const merged = await rag.resolutions.merge(tenantId, { keepId, mergeIds: [gone], actor, reason });
    expect(merged).toMatchObject({
      kind: 'merge',
      actor,
      reason,
      sourceIds: [gone],
      target: { id: keepId, key: 'linnea holm' },
      moved: { documents: 1, mentions: 1 },
      undoneBy: null,
    });
    const after = await dump(tenantId);
    expect(documentsOf(after, 'linnea holm')).toEqual([first, second].sort());
    expect(after.mentions.some((row) => row.node_id === gone)).toBe(false);
    expect(after.aliases).toContainEqual(
      expect.objectContaining({ node_id: keepId, alias_key: 'professor holm', document_id: second }),
    );
    const worked = after.edges.filter(
      (edge) => edge.source_id === keepId && edge.target_id === idOf(after, 'uppsala university'),
    );
    expect(Math.max(...worked.map((edge) => edge.weight))).toBe(2);
    expect(after.edges.some((edge) => edge.source_id === gone || edge.target_id === gone)).toBe(false);
  });

  it('shows in the snapshot at once and is found under every name', async () => {
    const tenantId = await newTenant();
    await rag.ingest(tenantId, LINNEA);
    await rag.ingest(tenantId, MRS_HOLM);
    const before = await rag.snapshots.current(tenantId);
    const graph = await dump(tenantId);
    await rag.resolutions.merge(tenantId, {
      keepId: idOf(graph, 'linnea holm'),
      mergeIds: [idOf(graph, 'professor holm')],
      actor,
      reason,
    });
    const after = await rag.snapshots.current(tenantId);
    expect(after.version).toBeGreaterThan(before.version);
    const node = after.snapshot.nodes.find((each) => each.key === 'linnea holm');
    expect(node?.aliasKeys).toContain('professor holm');
    expect(after.snapshot.nodes.some((each) => each.key === 'professor holm')).toBe(false);
  });

  it('holds for later documents and for documents that are deleted and uploaded again', async () => {
    const tenantId = await newTenant();
    await rag.ingest(tenantId, LINNEA);
    const second = await rag.ingest(tenantId, MRS_HOLM);
    const graph = await dump(tenantId);
    await rag.resolutions.merge(tenantId, {
      keepId: idOf(graph, 'linnea holm'),
      mergeIds: [idOf(graph, 'professor holm')],
      actor,
      reason,
    });
    const third = await rag.ingest(tenantId, LATER);
    expect(documentsOf(await dump(tenantId), 'linnea holm')).toContain(third);
    await rag.documents.delete(tenantId, second);
    await rag.documents.delete(tenantId, third);
    await rag.ingest(tenantId, MRS_HOLM);
    await rag.ingest(tenantId, LATER);
    const after = await dump(tenantId);
    expect(documentsOf(after, 'linnea holm')).toHaveLength(3);
    expect(after.mentions.some((row) => row.node_id === idOf(graph, 'professor holm'))).toBe(false);
  });

  it('holds even when nothing of either node was left in between', async () => {
    const tenantId = await newTenant();
    const first = await rag.ingest(tenantId, LINNEA);
    const second = await rag.ingest(tenantId, MRS_HOLM);
    const graph = await dump(tenantId);
    await rag.resolutions.merge(tenantId, {
      keepId: idOf(graph, 'linnea holm'),
      mergeIds: [idOf(graph, 'professor holm')],
      actor,
      reason,
    });
    await rag.documents.delete(tenantId, first);
    expect(documentsOf(await dump(tenantId), 'linnea holm')).toEqual([second]);
    await rag.documents.delete(tenantId, second);
    expect((await dump(tenantId)).nodes).toEqual([]);
    await rag.ingest(tenantId, MRS_HOLM);
    expect(documentsOf(await dump(tenantId), 'linnea holm')).toEqual([second]);
  });
});

describe('a split', () => {
  const PLANET = 'Orion Nine shines above Lake Vann. Orion Nine was seen by Karl Berg.';
  const SHIP = 'Orion Nine sailed to Port Elsa. Orion Nine was built by Marta Lund.';

  it('gives some documents an entity of their own, found under the shared name too', async () => {
    const tenantId = await newTenant();
    const first = await rag.ingest(tenantId, PLANET, 'Stars');
    const second = await rag.ingest(tenantId, SHIP, 'Ships');
    const graph = await dump(tenantId);
    const nodeId = idOf(graph, 'orion nine');
    const split = await rag.resolutions.split(tenantId, {
      nodeId,
      documentIds: [second],
      name: 'Orion Nine (ship)',
      actor,
      reason,
    });
    const after = await dump(tenantId);
    expect(documentsOf(after, 'orion nine')).toEqual([first]);
    expect(documentsOf(after, 'orion nine ship')).toEqual([second]);
    expect(after.aliases).toContainEqual(
      expect.objectContaining({ node_id: split.target.id, alias_key: 'orion nine' }),
    );
    const ends = (key: string) =>
      after.edges
        .filter((edge) => edge.source_id === idOf(after, key) || edge.target_id === idOf(after, key))
        .flatMap((edge) => [edge.source_id, edge.target_id]);
    expect(ends('orion nine ship')).toContain(idOf(after, 'port elsa'));
    expect(ends('orion nine')).not.toContain(idOf(after, 'port elsa'));
    await rag.documents.delete(tenantId, second);
    await rag.ingest(tenantId, SHIP, 'Ships');
    expect(documentsOf(await dump(tenantId), 'orion nine ship')).toEqual([second]);
  });

  it('takes later documents whose surroundings are those of the new entity', async () => {
    const tenantId = await newTenant();
    await rag.ingest(tenantId, PLANET, 'Stars');
    const ship = await rag.ingest(tenantId, SHIP, 'Ships');
    const graph = await dump(tenantId);
    await rag.resolutions.split(tenantId, {
      nodeId: idOf(graph, 'orion nine'),
      documentIds: [ship],
      name: 'Orion Nine (ship)',
      actor,
      reason,
    });
    const later = await rag.ingest(tenantId, 'Marta Lund sold Orion Nine at Port Elsa.', 'Sales');
    const star = await rag.ingest(tenantId, 'Karl Berg drew Orion Nine at Lake Vann.', 'Drawings');
    const unknown = await rag.ingest(tenantId, 'Orion Nine is a name that many know.', 'Names');
    const after = await dump(tenantId);
    expect(documentsOf(after, 'orion nine ship')).toEqual([ship, later].sort());
    expect(documentsOf(after, 'orion nine')).toEqual(expect.arrayContaining([star, unknown]));
  });

  it('numbers entities that get no name', async () => {
    const tenantId = await newTenant();
    await rag.ingest(tenantId, PLANET, 'Stars');
    const ship = await rag.ingest(tenantId, SHIP, 'Ships');
    const graph = await dump(tenantId);
    const { target } = await rag.resolutions.split(tenantId, {
      nodeId: idOf(graph, 'orion nine'),
      documentIds: [ship],
      actor,
      reason,
    });
    expect(target).toMatchObject({ name: 'Orion Nine (2)', key: 'orion nine 2' });
  });
});

describe('an undo', () => {
  it('gives back exactly the graph there was', async () => {
    const tenantId = await newTenant();
    await rag.ingest(tenantId, LINNEA);
    const second = await rag.ingest(tenantId, MRS_HOLM);
    await rag.ingest(tenantId, LATER);
    const before = await dump(tenantId);
    const merged = await rag.resolutions.merge(tenantId, {
      keepId: idOf(before, 'linnea holm'),
      mergeIds: [idOf(before, 'professor holm'), idOf(before, 'karl berg')],
      actor,
      reason,
    });
    const between = await dump(tenantId);
    const split = await rag.resolutions.split(tenantId, {
      nodeId: idOf(before, 'linnea holm'),
      documentIds: [second],
      actor,
      reason,
    });
    await rag.resolutions.undo(tenantId, { resolutionId: split.id, actor, reason });
    expect(await dump(tenantId)).toEqual(between);
    await rag.resolutions.undo(tenantId, { resolutionId: merged.id, actor, reason });
    expect(await dump(tenantId)).toEqual(before);
    const left = await test.database.withTenant(tenantId, (sql) =>
      sql.query('SELECT 1 FROM tracked_entities UNION ALL SELECT 1 FROM origin_mentions'),
    );
    expect(left).toEqual([]);
  });

  it('leaves later decisions their meaning', async () => {
    const tenantId = await newTenant();
    await rag.ingest(tenantId, LINNEA);
    await rag.ingest(tenantId, MRS_HOLM);
    const graph = await dump(tenantId);
    const ids = ['linnea holm', 'professor holm', 'karl berg'].map((key) => idOf(graph, key));
    const first = await rag.resolutions.merge(tenantId, {
      keepId: ids[1]!,
      mergeIds: [ids[2]!],
      actor,
      reason,
    });
    await rag.resolutions.merge(tenantId, { keepId: ids[0]!, mergeIds: [ids[1]!], actor, reason });
    await rag.resolutions.undo(tenantId, { resolutionId: first.id, actor, reason });
    const after = await dump(tenantId);
    expect(documentsOf(after, 'karl berg')).toHaveLength(1);
    expect(documentsOf(after, 'linnea holm')).toHaveLength(2);
    expect(after.mentions.some((row) => row.node_id === ids[1])).toBe(false);
  });

  it('is logged with the decision it takes back, newest first', async () => {
    const tenantId = await newTenant();
    await rag.ingest(tenantId, LINNEA);
    await rag.ingest(tenantId, MRS_HOLM);
    const graph = await dump(tenantId);
    const merged = await rag.resolutions.merge(tenantId, {
      keepId: idOf(graph, 'linnea holm'),
      mergeIds: [idOf(graph, 'professor holm')],
      actor,
      reason,
    });
    const undone = await rag.resolutions.undo(tenantId, {
      resolutionId: merged.id,
      actor: 'bob',
      reason: 'no',
    });
    const log = await rag.resolutions.list(tenantId);
    expect(log).toMatchObject([
      { id: undone.id, kind: 'undo', actor: 'bob', undoes: merged.id, number: 2 },
      { id: merged.id, kind: 'merge', undoneBy: undone.id, number: 1 },
    ]);
    expect(await rag.resolutions.list(tenantId, { before: 2 })).toHaveLength(1);
    expect(await rag.resolutions.list(tenantId, { nodeId: idOf(graph, 'karl berg') })).toEqual([]);
    await expect(
      rag.resolutions.undo(tenantId, { resolutionId: merged.id, actor, reason }),
    ).rejects.toBeInstanceOf(ResolutionRefusedError);
    await expect(
      rag.resolutions.undo(tenantId, { resolutionId: undone.id, actor, reason }),
    ).rejects.toBeInstanceOf(ResolutionRefusedError);
  });
});

describe('a wrong decision', () => {
  it('is refused with a reason and writes nothing', async () => {
    const tenantId = await newTenant();
    const other = await newTenant();
    const first = await rag.ingest(tenantId, LINNEA);
    await rag.ingest(other, MRS_HOLM);
    const before = await dump(tenantId);
    const keepId = idOf(before, 'linnea holm');
    const foreign = idOf(await dump(other), 'professor holm');
    const { resolutions } = rag;
    const merge = (mergeIds: string[], why = reason) =>
      resolutions.merge(tenantId, { keepId, mergeIds, actor, reason: why });
    await expect(merge([foreign])).rejects.toBeInstanceOf(NodeNotFoundError);
    await expect(merge(['not an id'])).rejects.toBeInstanceOf(NodeNotFoundError);
    await expect(merge([])).rejects.toBeInstanceOf(ArgumentInvalidError);
    await expect(merge([keepId])).rejects.toBeInstanceOf(ArgumentInvalidError);
    await expect(merge([idOf(before, 'silver fern')], '  ')).rejects.toBeInstanceOf(ArgumentInvalidError);
    const split = (documentIds: string[], name?: string) =>
      resolutions.split(tenantId, { nodeId: keepId, documentIds, name, actor, reason });
    await expect(split([first])).rejects.toBeInstanceOf(ResolutionRefusedError);
    await expect(split(['00000000-0000-8000-8000-000000000000'])).rejects.toBeInstanceOf(
      ResolutionRefusedError,
    );
    await expect(resolutions.undo(tenantId, { resolutionId: 'x', actor, reason })).rejects.toBeInstanceOf(
      ResolutionNotFoundError,
    );
    await expect(resolutions.list(tenantId, { limit: 0 })).rejects.toBeInstanceOf(ArgumentInvalidError);
    expect(await dump(tenantId)).toEqual(before);
    expect(await resolutions.list(tenantId)).toEqual([]);
    expect(await resolutions.list(other)).toEqual([]);
  });

  it('never merges a concept of a course away, and lets it take in others', async () => {
    const tenantId = await newTenant();
    await rag.ingest(tenantId, LINNEA);
    const graph = await dump(tenantId);
    const [fern, holm] = [idOf(graph, 'silver fern'), idOf(graph, 'linnea holm')];
    await test.database.withTenant(tenantId, (sql) =>
      sql.query(
        `UPDATE knowledge_nodes SET attributes = '{"courseId": "botany", "conceptId": "fern"}' WHERE id = $1`,
        [fern],
      ),
    );
    await expect(
      rag.resolutions.merge(tenantId, { keepId: holm, mergeIds: [fern], actor, reason }),
    ).rejects.toBeInstanceOf(ResolutionRefusedError);
    await rag.resolutions.merge(tenantId, { keepId: fern, mergeIds: [holm], actor, reason });
  });
});
