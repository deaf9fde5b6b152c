import { TestClock } from '@sparkle/contracts/testing';
import { describe, expect, it } from 'vitest';
import { normaliseEntityName } from '../extract/entity-name.js';
import { extractByRules } from '../extract/rule-based-extractor.js';
import { buildSnapshot } from '../index/graph-snapshot.js';
import { SnapshotReader } from '../index/snapshot-reader.js';
import type { SnapshotRows } from '../model.js';
import { Rarity } from './rarity.js';
import { RANKING_PARTS, type RankingPart } from './retrieval-query.js';
import { retrieveGraph } from './retrieve-graph.js';
import { retrievePlain } from './retrieve-plain.js';

const dependencies = { vectors: { search: async () => [] }, clock: new TestClock() };

/** Passages as documents, extracted by rules; an entity's id is its normal form. */
function readerOf(passages: readonly (readonly [title: string, text: string])[]): SnapshotReader {
  const nodes = new Map<string, SnapshotRows['nodes'][number]>();
  const edges = new Map<string, SnapshotRows['edges'][number]>();
  const mentions: SnapshotRows['mentions'][number][] = [];
  const evidence: SnapshotRows['evidence'][number][] = [];
  const chunks = passages.map(([documentTitle, text], at) => {
    const chunk = {
      id: `c${at}`,
      documentId: `d${at}`,
      documentTitle,
      ordinal: 0,
      headings: [],
      text,
      tokens: 1,
    };
    const { entities, relations } = extractByRules(chunk);
    for (const { name, type, aliases, mentions: count = 1 } of entities) {
      const key = normaliseEntityName(name);
      nodes.set(key, { id: key, key, name, type, aliases, aliasKeys: aliases.map(normaliseEntityName) });
      mentions.push({ nodeId: key, chunkId: chunk.id, count });
    }
    for (const { source, target, type, statement, confidence } of relations) {
      const [sourceId, targetId] = [normaliseEntityName(source), normaliseEntityName(target)];
      const id = `${sourceId}|${type}|${targetId}`;
      edges.set(id, { id, sourceId, targetId, type, weight: 1, confidence });
      evidence.push({ edgeId: id, chunkId: chunk.id, statement });
    }
    return chunk;
  });
  const rows = { nodes: [...nodes.values()], edges: [...edges.values()], chunks, mentions, evidence };
  return new SnapshotReader(buildSnapshot(rows), 1);
}

async function titles(reader: SnapshotReader, question: string, without: readonly RankingPart[] = []) {
  const { chunks } = await retrieveGraph(reader, { question, without }, dependencies);
  return chunks.map(({ documentTitle }) => documentTitle);
}

describe('what the best passage covers', () => {
  const games = [
    ['Orbit Runner 2016', 'Orbit Runner 2016 is a game. Its cover shows Neymo.'],
    ['Orbit Runner 2014', 'Orbit Runner 2014 is a game of the series Orbit Runner. Its cover is blue.'],
    ['Orbit Runner 2015', 'Orbit Runner 2015 is a game of the series Orbit Runner. Its cover is red.'],
    ['Orbit Runner 2017', 'Orbit Runner 2017 is a game of the series Orbit Runner. Its cover is grey.'],
    ['Neymo', 'Neymo was born in Santos. He plays for the city.'],
    ['Santos', 'Santos is a harbour town.'],
    ['Lighthouse', 'A lighthouse guides ships at night.'],
  ] as const;
  const question = 'Which town was the man on the cover of Orbit Runner 2016 born in?';

  it('comes once: the next fact stands before passages that only resemble the first', async () => {
    const order = await titles(readerOf(games), question);
    expect(order[0]).toBe('Orbit Runner 2016');
    expect(order.indexOf('Neymo')).toBeLessThan(order.indexOf('Orbit Runner 2014'));
    expect(order.indexOf('Neymo')).toBeLessThan(order.indexOf('Orbit Runner 2015'));
  });

  it('comes once in Chinese, too', async () => {
    const order = await titles(
      readerOf([
        ['星轨二代', '《星轨二代》是一款游戏，封面人物是林远舟。'],
        ['星轨一代', '《星轨一代》是一款游戏，封面是蓝色的，封面人物没有。'],
        ['星轨三代', '《星轨三代》是一款游戏，封面是红色的，封面人物没有。'],
        ['林远舟', '林远舟出生于泉港。'],
        ['灯塔', '灯塔在夜间指引船只。'],
      ]),
      '《星轨二代》的封面人物出生在哪里？',
    );
    expect(order[0]).toBe('星轨二代');
    expect(order.indexOf('林远舟')).toBeLessThan(order.indexOf('星轨一代'));
  });
});

describe('names that lead everywhere', () => {
  const chats = Array.from({ length: 120 }, (_, day) => {
    const said =
      day === 60
        ? 'Wolfgang told Jennifer that the bakery closes early on Friday.'
        : `Wolfgang told Jennifer about walk number ${day}. Jennifer thanked Wolfgang.`;
    return [`Day ${day}`, said] as const;
  });
  const question = 'What did Wolfgang tell Jennifer about the bakery on Friday?';

  it('leave the order of the passages to plain retrieval', async () => {
    const reader = readerOf(chats);
    const plain = await retrievePlain(reader, { question }, dependencies);
    const graph = await retrieveGraph(reader, { question }, dependencies);
    expect(plain.chunks[0]!.documentTitle).toBe('Day 60');
    expect(graph.chunks[0]!.documentTitle).toBe('Day 60');
  });
});

describe('Rarity', () => {
  it('takes a name of one word for as common as the word', async () => {
    const reader = readerOf([
      ['Change', 'A song that is not well known at all.'],
      ['Harbours', 'Every harbour must change with its ships.'],
      ['Ships', 'Some ships change hands often.'],
      ['Free Guy', 'A film about a change of mind.'],
    ]);
    const rarity = new Rarity(reader);
    const named = await reader.nodesNamed(['change', 'free guy']);
    const [word] = named.get('change')!;
    const [film] = named.get('free guy')!;
    await rarity.load(['ship', 'harbour'], [word!, film!]);
    expect(rarity.of(word!)).toBe(1 / 4);
    expect(rarity.of(film!)).toBe(1);
    expect(rarity.specificity(film!)).toBe(1);
    expect(rarity.specificity(word!)).toBeLessThan(1);
    expect(rarity.coverage(['ship', 'harbour'], new Set(['ship']))).toBeGreaterThan(0);
    expect(rarity.coverage(['ship', 'harbour'], new Set(['ship', 'harbour']))).toBe(1);
    expect(rarity.coverage([], new Set())).toBe(0);
  });
});

describe('an ablation', () => {
  it.each(RANKING_PARTS)('can leave out %s', async (part) => {
    const reader = readerOf([
      ['Free Guy', 'Free Guy is a comedy film directed by Shawn Levy.'],
      ['Shawn Levy', 'Shawn Levy is a filmmaker. He was born in Montreal.'],
      ['Montreal', 'Montreal is a city in Quebec.'],
    ]);
    const order = await titles(reader, 'In which city was the director of Free Guy born?', [part]);
    expect(order.length).toBeGreaterThan(0);
  });
});

describe('the ends of paths', () => {
  it('are names of several words however often they occur, and the path that joins them is found', async () => {
    const reader = readerOf([
      ['Beacon', 'Harbour Council founded Port Beacon. Port Beacon guides Northern Fleet.'],
      ...Array.from(
        { length: 60 },
        (_, at) => [`Day ${at}`, `On day ${at} Harbour Council met at noon.`] as const,
      ),
    ]);
    const { paths } = await retrieveGraph(
      reader,
      { question: 'How does Harbour Council relate to Northern Fleet?' },
      dependencies,
    );
    const ends = paths.map(({ nodes }) => [nodes[0]!.name, nodes.at(-1)!.name]);
    expect(ends).toContainEqual(['Harbour Council', 'Northern Fleet']);
  });
});
