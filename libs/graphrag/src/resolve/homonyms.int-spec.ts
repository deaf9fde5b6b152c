import type { TenantId } from '@sparkle/contracts';
import type { TestDatabase } from '@sparkle/database/testing';
import { LocalEmbeddingModel } from '@sparkle/llm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dumpGraph } from '../testing/graph-dump.js';
import { createGraphragDatabase, createTestGraphragOn, type TestGraphrag } from '../testing/test-graphrag.js';

/** With the embedder that the product has without a key: ties are broken by it or not at all. */
let test: TestDatabase;
let rag: TestGraphrag;
let embeddings: LocalEmbeddingModel;
let sequence = 0;

beforeAll(async () => {
  test = await createGraphragDatabase();
  embeddings = new LocalEmbeddingModel();
  rag = createTestGraphragOn(test, { embeddings });
});
afterAll(async () => {
  await embeddings?.close();
  await test?.drop();
});

/** The documents (by position) that mention what each name stands for. */
async function meanings(name: string, texts: readonly (readonly [title: string, text: string])[]) {
  const tenantId = await test.createTenant(`homonym${++sequence}`);
  const ids: string[] = [];
  for (const [title, text] of texts) ids.push(await rag.ingest(tenantId, text, title));
  return { tenantId, groups: await groupsOf(tenantId, name, ids) };
}

async function groupsOf(tenantId: TenantId, name: string, ids: readonly string[]) {
  const graph = (await dumpGraph(test.database, tenantId)) as unknown as {
    nodes: { id: string; key: string }[];
    aliases: { node_id: string; alias_key: string; document_id: string }[];
    mentions: { node_id: string; document_id: string }[];
  };
  const called = new Set(graph.nodes.filter(({ key }) => key === name).map(({ id }) => id));
  for (const alias of graph.aliases) if (alias.alias_key === name) called.add(alias.node_id);
  return (
    graph.nodes
      .filter(({ id }) => called.has(id))
      .map(({ id }) => [
        ...new Set(
          graph.mentions.filter((row) => row.node_id === id).map((row) => ids.indexOf(row.document_id)),
        ),
      ])
      .map((documents) => documents.sort())
      // A node that was merged into another is kept for the undo, and nothing mentions it.
      .filter((documents) => documents.length > 0)
      .sort()
  );
}

describe('homonyms', () => {
  it('are kept apart when documents say that they are different things', async () => {
    const { tenantId, groups } = await meanings('mercury', [
      [
        'Inner planets',
        'Mercury is a planet. Mercury orbits the Sun and was visited by the Messenger probe.',
      ],
      [
        'Liquid metals',
        'Mercury is a chemical element. Mercury was used in thermometers and in dental fillings.',
      ],
      ['Orbits', 'Mercury is the smallest planet. The Messenger probe mapped the craters of Mercury.'],
      ['Amalgam', 'Mercury is a toxic element. Fillings made of amalgam contain Mercury and other metals.'],
    ]);
    expect(groups).toEqual([
      [0, 2],
      [1, 3],
    ]);
    const log = await rag.resolutions.list(tenantId);
    expect(log).toMatchObject([{ kind: 'split', actor: 'rule:homonym' }]);
  });

  it('are kept apart in Chinese', async () => {
    const { groups } = await meanings('苹果', [
      ['水果', '苹果是一种水果。《果树学》说，苹果长在果园的树上，味道甜美。'],
      ['科技', '苹果是一个科技品牌。《硅谷史》说，苹果发布了新手机。'],
      ['果园', '苹果是一种常见的水果。《果树学》介绍苹果的种植。'],
    ]);
    expect(groups).toEqual([[0, 2], [1]]);
  });

  it('are told apart by the words in parentheses of a title', async () => {
    const { groups } = await meanings('mercury', [
      ['Mercury (planet)', 'Mercury orbits the Sun. The Messenger probe mapped its craters.'],
      ['Mercury (element)', 'Mercury is liquid at room temperature. Old thermometers were filled with it.'],
    ]);
    expect(groups).toEqual([[0], [1]]);
  });

  it('go to the meaning that the names around them have', async () => {
    const { groups } = await meanings('mercury', [
      ['Mercury (planet)', 'Mercury orbits the Sun. The Messenger Probe mapped its craters.'],
      ['Mercury (band)', 'Mercury released its album in Leeds. Its singer was Dora Finch.'],
      ['Space', 'The Messenger Probe arrived at Mercury in spring.'],
      ['Music', 'Dora Finch left Mercury after a tour.'],
    ]);
    expect(groups).toEqual([
      [0, 2],
      [1, 3],
    ]);
  });

  it('go to the meaning that the embeddings of what is said are nearest to, when names decide nothing', async () => {
    const { groups } = await meanings('mercury', [
      ['Mercury (planet)', 'Mercury is the planet closest to the Sun and has no moons or atmosphere.'],
      ['Mercury (band)', 'Mercury is a rock band that released three albums and toured Europe.'],
      ['Notes', 'The surface of the planet Mercury is full of craters and very hot by day.'],
      ['Diary', 'We heard Mercury play songs from their second album at the concert.'],
    ]);
    expect(groups).toEqual([
      [0, 2],
      [1, 3],
    ]);
  });

  it('are kept from a name with parentheses that has nothing to do with them', async () => {
    const { groups } = await meanings('mercury', [
      ['Mercury (planet)', 'Mercury is the planet closest to the Sun and has no moons or atmosphere.'],
      ['Concerts', 'We heard Mercury play songs from their second album, and the singer was superb.'],
    ]);
    expect(groups).toEqual([[0], [1]]);
  });

  it('do not join a place with a person of the same first name', async () => {
    const { groups } = await meanings('paris', [
      ['France', 'Paris is a city. Paris lies on the Seine.'],
      ['Paris Hilton', 'Paris Hilton is an American heiress. Paris Hilton lives in Los Angeles.'],
      ['Travel', 'The Seine flows through Paris.'],
    ]);
    expect(groups).toEqual([[0, 2]]);
  });
});

describe('one entity', () => {
  it('stays one when documents describe it in different words', async () => {
    const { tenantId, groups } = await meanings('marie curie', [
      ['Nobel prizes', 'Marie Curie was a physicist. Marie Curie worked with Pierre Curie in Paris.'],
      ['Women in science', 'Marie Curie was a chemist. She and Pierre Curie found Polonium in Paris.'],
      ['Lives', 'Marie Curie was a professor. Her husband was Pierre Curie, and they lived in Paris.'],
    ]);
    expect(groups).toEqual([[0, 1, 2]]);
    expect(await rag.resolutions.list(tenantId)).toEqual([]);
  });

  it('is one under its Chinese name and the translation that a document gives', async () => {
    const { groups } = await meanings('gradient descent', [
      ['优化', '梯度下降（Gradient Descent）是一种优化算法。'],
      ['Training', 'Gradient Descent trains neural networks.'],
      ['训练', '神经网络通过梯度下降来训练。'],
    ]);
    expect(groups[0]).toEqual(expect.arrayContaining([0, 1]));
    expect(groups).toHaveLength(1);
  });

  it('takes in the node that earlier documents named by the acronym, which is logged and can be undone', async () => {
    const { tenantId, groups } = await meanings('esa', [
      ['Launches', 'ESA launched the Rosetta Probe from Kourou.'],
      ['Europe', 'The European Space Agency built the Rosetta Probe.'],
      ['Agencies', 'The European Space Agency (ESA) has a port at Kourou.'],
    ]);
    expect(groups).toEqual([[0, 1, 2]]);
    const [merge] = await rag.resolutions.list(tenantId);
    expect(merge).toMatchObject({ kind: 'merge', actor: 'rule:acronym' });
    await rag.resolutions.undo(tenantId, {
      resolutionId: merge!.id,
      actor: 'ada',
      reason: 'it is the other ESA',
    });
    await rag.ingest(tenantId, 'The European Space Agency (ESA) met in Kourou.', 'Meetings');
    expect(await rag.resolutions.list(tenantId)).toHaveLength(2);
  });

  it('is decided anew when the document that gave the reason is deleted', async () => {
    const tenantId = await test.createTenant(`homonym${++sequence}`);
    const ids = [
      await rag.ingest(tenantId, 'ESA launched the Rosetta Probe from Kourou.', 'Launches'),
      await rag.ingest(tenantId, 'The European Space Agency built the Rosetta Probe.', 'Europe'),
    ];
    const before = await dumpGraph(test.database, tenantId);
    const third = await rag.ingest(
      tenantId,
      'The European Space Agency (ESA) has a port at Kourou.',
      'Agencies',
    );
    expect(await groupsOf(tenantId, 'esa', ids)).toHaveLength(1);
    await rag.documents.delete(tenantId, third);
    expect(await dumpGraph(test.database, tenantId)).toEqual(before);
    expect(await rag.resolutions.list(tenantId)).toEqual([]);
  });
});
