import type { TenantId } from '@sparkle/contracts';
import type { TestDatabase } from '@sparkle/database/testing';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dumpGraph } from '../testing/graph-dump.js';
import { createGraphragDatabase, createTestGraphragOn, type TestGraphrag } from '../testing/test-graphrag.js';
import { Decisions } from './decisions.js';

const NAMES = ['Ada Lane', 'Bo Marsh', 'Cy Noble', 'Di Orchard', 'Ed Pike', 'Flo Quill'];

/** Documents in which each name of a pair met the other; a document of few names repeats them. */
const documents = fc.uniqueArray(
  fc.array(fc.tuple(fc.nat(NAMES.length - 1), fc.nat(NAMES.length - 1)), { minLength: 1, maxLength: 4 }),
  { minLength: 3, maxLength: 5, selector: (pairs) => JSON.stringify(pairs) },
);
const textOf = (pairs: readonly (readonly [number, number])[]) =>
  pairs.map(([a, b]) => `Then ${NAMES[a]} met ${NAMES[b]} in the garden.`).join(' ');

type Step =
  | { do: 'ingest'; document: number }
  | { do: 'delete'; document: number }
  | { do: 'merge'; keep: number; gone: number }
  | { do: 'split'; node: number; documents: number }
  | { do: 'undo'; decision: number };
const index = fc.nat(1000);
const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constantFrom('ingest' as const, 'delete' as const), document: index }),
    fc.record({ do: fc.constant('merge' as const), keep: index, gone: index }),
    fc.record({ do: fc.constant('split' as const), node: index, documents: index }),
    fc.record({ do: fc.constant('undo' as const), decision: index }),
  ),
  { minLength: 4, maxLength: 12 },
) as fc.Arbitrary<Step[]>;

interface Dump {
  nodes: { id: string; key: string }[];
  mentions: { node_id: string; chunk_id: string; document_id: string; count: number }[];
  aliases: unknown[];
  edges: { id: string; source_id: string; target_id: string }[];
  evidence: { edge_id: string; chunk_id: string; statement: string }[];
}

/** Two databases, so that one tenant can live in both: with decisions, and without any. */
let decided: TestDatabase;
let plain: TestDatabase;
let withDecisions: TestGraphrag;
let without: TestGraphrag;
let sequence = 0;

beforeAll(async () => {
  [decided, plain] = await Promise.all([createGraphragDatabase(), createGraphragDatabase()]);
  withDecisions = createTestGraphragOn(decided);
  without = createTestGraphragOn(plain);
});
afterAll(() => Promise.all([decided?.drop(), plain?.drop()]));

const dump = async (database: TestDatabase, tenantId: TenantId) => {
  const { nodes, mentions, aliases, edges, evidence } = (await dumpGraph(
    database.database,
    tenantId,
  )) as unknown as Dump;
  // How a shared node is written and what type it has may have been learnt from a document that left.
  return { nodes: nodes.map(({ id, key }) => ({ id, key })), mentions, aliases, edges, evidence };
};
const perChunk = (mentions: Dump['mentions']) => {
  const counts = new Map<string, number>();
  for (const { chunk_id, count } of mentions) counts.set(chunk_id, (counts.get(chunk_id) ?? 0) + count);
  return new Map([...counts].sort());
};

describe('entity resolution', () => {
  it('loses and doubles no mention through merges, splits, undos, uploads and deletions in any order, and ends, all undone, in the graph of the uploads and deletions alone', async () => {
    await fc.assert(
      fc.asyncProperty(documents, steps, async (library, plan) => {
        const name = `walk${++sequence}`;
        const tenantId = await decided.createTenant(name);
        await plain.createTenant(name);
        const ids = new Map<number, string>();
        const open: string[] = [];
        const ingest = async (document: number) => {
          const text = textOf(library[document]!);
          const id = await withDecisions.ingest(tenantId, text, `Walk ${document}`);
          expect(await without.ingest(tenantId, text, `Walk ${document}`)).toBe(id);
          ids.set(document, id);
        };
        const decision = { actor: 'ada', reason: 'at random' };
        await ingest(0);
        await ingest(1);
        for (const step of plan) {
          const graph = await dump(decided, tenantId);
          const shown = [...new Set(graph.mentions.map(({ node_id }) => node_id))].sort();
          if (step.do === 'ingest') await ingest(step.document % library.length);
          else if (step.do === 'delete') {
            const present = [...ids.keys()];
            const document = present[step.document % Math.max(1, present.length)];
            if (document === undefined) continue;
            await withDecisions.documents.delete(tenantId, ids.get(document)!);
            await without.documents.delete(tenantId, ids.get(document)!);
            ids.delete(document);
          } else if (step.do === 'merge') {
            const keepId = shown[step.keep % Math.max(1, shown.length)];
            const others = shown.filter((id) => id !== keepId);
            const gone = others[step.gone % Math.max(1, others.length)];
            if (keepId === undefined || gone === undefined) continue;
            open.push(
              (await withDecisions.resolutions.merge(tenantId, { ...decision, keepId, mergeIds: [gone] })).id,
            );
          } else if (step.do === 'split') {
            const nodeId = shown[step.node % Math.max(1, shown.length)];
            const stated = [
              ...new Set(
                graph.mentions.filter((row) => row.node_id === nodeId).map((row) => row.document_id),
              ),
            ].sort();
            if (nodeId === undefined || stated.length < 2) continue;
            const documentIds = stated.slice(0, 1 + (step.documents % (stated.length - 1)));
            open.push(
              (await withDecisions.resolutions.split(tenantId, { ...decision, nodeId, documentIds })).id,
            );
          } else {
            const [resolutionId] = open.splice(step.decision % Math.max(1, open.length), 1);
            if (resolutionId === undefined) continue;
            await withDecisions.resolutions.undo(tenantId, { ...decision, resolutionId });
          }
          const after = await dump(decided, tenantId);
          const stated = await dump(plain, tenantId);
          expect(perChunk(after.mentions)).toEqual(perChunk(stated.mentions));
          const nodes = new Set(after.nodes.map(({ id }) => id));
          for (const { source_id, target_id } of after.edges) {
            expect(nodes.has(source_id) && nodes.has(target_id)).toBe(true);
            expect(source_id).not.toBe(target_id);
          }
          const said = new Set(stated.evidence.map((row) => `${row.chunk_id} ${row.statement}`));
          for (const row of after.evidence) expect(said.has(`${row.chunk_id} ${row.statement}`)).toBe(true);
        }
        for (const resolutionId of open.reverse())
          await withDecisions.resolutions.undo(tenantId, { ...decision, resolutionId });
        expect(await dump(decided, tenantId)).toEqual(await dump(plain, tenantId));
      }),
      { numRuns: 12, seed: 6, endOnFailure: true },
    );
  }, 120_000);
});

describe('decisions', () => {
  const node = fc.constantFrom('a', 'b', 'c', 'd');
  const assignments = fc
    .array(
      fc.record({
        nodeId: node,
        targetId: node,
        documentId: fc.constantFrom(null, 'd1', 'd2'),
      }),
      { maxLength: 8 },
    )
    .map((list) => list.map((each, number) => ({ ...each, number })));

  it('always come to an end, whatever circles they make, as if taken one after another', () => {
    fc.assert(
      fc.property(assignments, node, fc.constantFrom('d1', 'd2'), (list, start, document) => {
        let expected = start;
        for (const each of list)
          if (each.nodeId === expected && (each.documentId === null || each.documentId === document))
            expected = each.targetId;
        expect(new Decisions(list).nodeOf(start, document)).toBe(expected);
      }),
    );
  });

  it('connect exactly the nodes between which something can move', () => {
    fc.assert(
      fc.property(assignments, node, (list, start) => {
        const decisions = new Decisions(list);
        const connected = decisions.connected([start]);
        expect(connected.has(start)).toBe(true);
        for (const document of ['d1', 'd2'])
          for (const inside of connected)
            expect(connected.has(decisions.nodeOf(inside, document))).toBe(true);
        for (const { nodeId, targetId } of list) expect(connected.has(nodeId)).toBe(connected.has(targetId));
      }),
    );
  });
});
