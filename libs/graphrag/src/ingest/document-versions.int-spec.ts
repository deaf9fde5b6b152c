import type { TenantId } from '@sparkle/contracts';
import type { TestDatabase } from '@sparkle/database/testing';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExtractedPassages, Extractor, PassagesRequest } from '../extract/extractor.port.js';
import { RuleBasedExtractor } from '../extract/rule-based-extractor.js';
import { FaultyEmbeddingModel } from '../testing/faulty-embedding-model.js';
import { dumpGraph } from '../testing/graph-dump.js';
import { HashEmbeddingModel } from '../testing/hash-embedding-model.js';
import { createGraphragDatabase, createTestGraphragOn, type TestGraphrag } from '../testing/test-graphrag.js';

const section = (name: string, fact: string) =>
  `## ${name}\n\n${name} is a town. ${fact} ${`${name} has a market, a bridge and a school. `.repeat(15)}`;
const guide = (...facts: string[]) =>
  `# Guide\n\n${facts.map((fact, index) => section(`Town${index}`, fact)).join('\n\n')}\n`;
const OLD = guide('Alice Archer lives there.', 'Bob Baker lives there.', 'Carol Cooper lives there.');
const NEW = guide('Alice Archer lives there.', 'Boris Brewer lives there.', 'Carol Cooper lives there.');
const OTHER = '# Notes\n\nAlice Archer met Dora Dyer in Town0.';

let test: TestDatabase;
let sequence = 0;
const newTenant = () => test.createTenant(`versions${++sequence}`);
const upload = (tenantId: TenantId, content: string) => ({
  tenantId,
  userId: 'teacher',
  format: 'markdown',
  content,
});

beforeAll(async () => {
  test = await createGraphragDatabase();
});
afterAll(() => test?.drop());

/** Names and what is said of them, comparable between tenants. */
async function graphOf(tenantId: TenantId) {
  const dump = await dumpGraph(test.database, tenantId);
  const rows = <Row>(name: string) => dump[name] as unknown as Row[];
  const nodes = rows<{ id: string; key: string }>('nodes');
  const names = new Map(nodes.map(({ id, key }) => [id, key]));
  const chunks = new Map(rows<{ id: string; content: string }>('chunks').map((row) => [row.id, row.content]));
  const edges = rows<{ id: string; source_id: string; target_id: string; type: string; weight: number }>(
    'edges',
  );
  return {
    documents: rows<{ content_hash: string; state: string }>('documents')
      .map((row) => `${row.content_hash} ${row.state}`)
      .sort(),
    nodes: nodes.map(({ key }) => key).sort(),
    aliases: rows<{ node_id: string; alias_key: string }>('aliases')
      .map((row) => `${names.get(row.node_id)} ${row.alias_key}`)
      .sort(),
    mentions: rows<{ node_id: string; chunk_id: string; count: number }>('mentions')
      .map((row) => `${names.get(row.node_id)} ${row.count} ${chunks.get(row.chunk_id)}`)
      .sort(),
    edges: edges
      .map((row) => `${names.get(row.source_id)} ${row.type} ${names.get(row.target_id)} ${row.weight}`)
      .sort(),
    embeddings: rows<{ content: string; embedding: string }>('chunks')
      .map((row) => `${row.content} ${row.embedding}`)
      .sort(),
  };
}

/** Names that other documents brought depend on who came first; without them extraction does not. */
function independentExtractor(): Extractor {
  const rules = new RuleBasedExtractor();
  return { id: rules.id, extract: ({ known: _, ...request }) => rules.extract(request) };
}

/** A dear extractor that counts its passages. */
function dearExtractor(fault: (asked: number) => Error | undefined = () => undefined) {
  const rules = independentExtractor();
  const asked: string[] = [];
  const extractor: Extractor = {
    id: 'dear-1',
    extract: (request) => rules.extract(request),
    async *extractMany({ passages, ...document }: PassagesRequest): AsyncGenerator<ExtractedPassages> {
      for (const [index, passage] of passages.entries()) {
        const error = fault(asked.length + 1);
        if (error) throw error;
        asked.push(passage.text);
        const extraction = await rules.extract({ ...document, ...passage });
        const usage = { modelCalls: 1, inputTokens: 100, outputTokens: 50, costUsd: 0.01 };
        yield { passages: [{ index, extraction, by: 'dear-1' }], usage };
      }
    },
  };
  return { extractor, asked };
}

describe('a new version of a document', () => {
  it('replaces the one before in the moment it is ready, and leaves the graph of itself alone', async () => {
    const rag = createTestGraphragOn(test, { extractor: independentExtractor() });
    const [tenantId, alone] = [await newTenant(), await newTenant()];
    const id = await rag.ingest(tenantId, OLD);
    await rag.ingest(tenantId, OTHER);
    const { document, duplicate } = await rag.documents.replace(id, upload(tenantId, NEW));
    expect(duplicate).toBe(false);
    expect(document.id).not.toBe(id);
    expect(await rag.documents.get(tenantId, id)).toMatchObject({ state: 'ready' });
    await rag.work();
    await expect(rag.documents.get(tenantId, id)).rejects.toMatchObject({ code: 'DOCUMENT_NOT_FOUND' });

    await rag.ingest(alone, OTHER);
    await rag.ingest(alone, NEW);
    expect(await graphOf(tenantId)).toEqual(await graphOf(alone));
    const { snapshot } = await rag.snapshots.current(tenantId);
    const keys = snapshot.nodes.map((node) => node.key);
    expect(keys).toContain('boris brewer');
    expect(keys).not.toContain('bob baker');
  });

  it('computes nothing again for passages that stand unchanged', async () => {
    const embeddings = new FaultyEmbeddingModel(new HashEmbeddingModel());
    const { extractor, asked } = dearExtractor();
    const rag = createTestGraphragOn(test, { embeddings, extractor });
    const tenantId = await newTenant();
    const id = await rag.ingest(tenantId, OLD);
    expect([asked.length, embeddings.texts]).toEqual([3, 3]);
    const { document, job } = await rag.documents.replace(id, upload(tenantId, NEW));
    await rag.work();
    expect([asked.length, embeddings.texts]).toEqual([4, 4]);
    expect(asked[3]).toContain('Boris Brewer');
    const { cost } = await rag.jobs.get(tenantId, job.id);
    expect(cost).toMatchObject({ reusedPassages: 2, modelCalls: 1, inputTokens: 100, costUsd: 0.01 });
    expect((await rag.documents.get(tenantId, document.id)).cost).toMatchObject({ reusedPassages: 2 });
  });

  it('that cannot be ingested leaves the one before in place', async () => {
    const embeddings = new FaultyEmbeddingModel(new HashEmbeddingModel());
    const rag = createTestGraphragOn(test, { embeddings });
    const tenantId = await newTenant();
    const id = await rag.ingest(tenantId, OLD);
    embeddings.fault = () => new Error('down');
    const { job } = await rag.documents.replace(id, upload(tenantId, NEW));
    await expect(rag.work()).rejects.toThrow('down');
    await rag.ingestion.fail({ tenantId, jobId: job.id, error: new Error('down') });
    expect(await rag.documents.get(tenantId, id)).toMatchObject({ state: 'ready' });
    const keys = (await rag.snapshots.current(tenantId)).snapshot.nodes.map((node) => node.key);
    expect(keys).toContain('bob baker');
    expect(keys).not.toContain('boris brewer');

    embeddings.fault = () => undefined;
    await rag.documents.replace(id, upload(tenantId, NEW));
    await rag.work();
    await expect(rag.documents.get(tenantId, id)).rejects.toMatchObject({ code: 'DOCUMENT_NOT_FOUND' });
  });

  it('with the same content is the document itself', async () => {
    const rag = createTestGraphragOn(test);
    const tenantId = await newTenant();
    const id = await rag.ingest(tenantId, OLD);
    expect(await rag.documents.replace(id, upload(tenantId, OLD))).toMatchObject({
      duplicate: true,
      document: { id, state: 'ready' },
    });
    await rag.work();
    expect(await rag.documents.list(tenantId)).toHaveLength(1);
  });

  it('with the content of another document makes that one take its place', async () => {
    const rag = createTestGraphragOn(test);
    const tenantId = await newTenant();
    const id = await rag.ingest(tenantId, OLD);
    const other = await rag.ingest(tenantId, OTHER);
    await rag.documents.replace(id, upload(tenantId, OTHER));
    expect((await rag.documents.list(tenantId)).map((document) => document.id)).toEqual([other]);
  });

  it('gives way to a newer one, whichever of them the newer one names', async () => {
    const rag = createTestGraphragOn(test);
    for (const names of ['the first', 'the second']) {
      const tenantId = await newTenant();
      const first = await rag.ingest(tenantId, OLD);
      const second = await rag.documents.replace(first, upload(tenantId, NEW));
      const named = names === 'the first' ? first : second.document.id;
      const third = await rag.documents.replace(named, upload(tenantId, guide('Only this.')));
      expect(await rag.documents.get(tenantId, first)).toMatchObject({ state: 'ready' });
      await rag.work();
      expect((await rag.documents.list(tenantId)).map(({ id }) => id)).toEqual([third.document.id]);
    }
  });

  it('taken back before it is ready leaves the first', async () => {
    const rag = createTestGraphragOn(test);
    for (const back of ['replace', 'submit'] as const) {
      const tenantId = await newTenant();
      const id = await rag.ingest(tenantId, OLD);
      const { document } = await rag.documents.replace(id, upload(tenantId, NEW));
      if (back === 'replace') await rag.documents.replace(document.id, upload(tenantId, OLD));
      else await rag.documents.submit(upload(tenantId, OLD));
      await rag.work();
      expect(await rag.documents.get(tenantId, id)).toMatchObject({ state: 'ready' });
    }
  });

  it('of a document that is not there is refused', async () => {
    const rag = createTestGraphragOn(test);
    const [mine, theirs] = [await newTenant(), await newTenant()];
    const id = await rag.ingest(theirs, OLD);
    for (const asked of [id, 'nonsense'])
      await expect(rag.documents.replace(asked, upload(mine, NEW))).rejects.toMatchObject({
        code: 'DOCUMENT_NOT_FOUND',
      });
  });

  it('asked for several times at once ends as one document', async () => {
    const rag = createTestGraphragOn(test);
    const tenantId = await newTenant();
    const id = await rag.ingest(tenantId, OLD);
    const versions = ['One.', 'Two.', 'Three.', 'Four.'].map((fact) => guide(fact));
    await Promise.all(versions.map((content) => rag.documents.replace(id, upload(tenantId, content))));
    await rag.work();
    const left = await rag.documents.list(tenantId);
    expect(left).toEqual([expect.objectContaining({ state: 'ready' })]);
  });
});

describe('a dear extraction', () => {
  it('goes on after a crash with the passages it has not paid for, and counts all it took', async () => {
    let broken = true;
    const { extractor, asked } = dearExtractor((number) =>
      broken && number === 3 ? new Error('model down') : undefined,
    );
    const rag = createTestGraphragOn(test, { extractor });
    const tenantId = await newTenant();
    const { job } = await rag.documents.submit(upload(tenantId, OLD));
    await expect(rag.work()).rejects.toThrow('model down');
    const halfway = await rag.jobs.get(tenantId, job.id);
    expect(halfway).toMatchObject({ step: 'chunk', cost: { modelCalls: 2, costUsd: 0.02 } });
    expect(halfway.progress).toBeGreaterThan(0.1);
    broken = false;
    await rag.ingestion.process({ tenantId, jobId: job.id });
    expect(asked).toHaveLength(3);
    expect(await rag.jobs.get(tenantId, job.id)).toMatchObject({
      state: 'completed',
      cost: { modelCalls: 3, inputTokens: 300, outputTokens: 150 },
    });
  });
});

describe('whatever is uploaded, replaced and deleted in whatever order', () => {
  const PEOPLE = ['Alice Archer', 'Bob Baker', 'Carol Cooper', 'Dora Dyer', 'Evan Ellis'];
  const PLACES = ['Port Alpha', 'Mount Beta', 'Lake Gamma'];
  /** Each text has words of its own, and shares its names with others. */
  const text = (number: number) =>
    `# Report ${number}\n\n${PEOPLE[number % 5]} met ${PEOPLE[(number * 3 + 1) % 5]} in ${PLACES[number % 3]} about secret${number}x.\n`;
  const command = fc.record({
    kind: fc.constantFrom('upload', 'upload', 'replace', 'delete'),
    text: fc.nat(11),
    target: fc.nat(20),
    work: fc.boolean(),
  });

  it('the graph is that of the documents that are left, and nothing else is recalled', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 3, maxLength: 9 }), async (commands) => {
        const rag = createTestGraphragOn(test, { extractor: independentExtractor() });
        const [tenantId, fresh] = [await newTenant(), await newTenant()];
        const left = new Set<number>();
        const idOf = new Map<number, string>();
        for (const { kind, text: number, target, work } of commands) {
          const present = [...left];
          const old = present[target % Math.max(1, present.length)];
          if (kind === 'upload' || old === undefined) {
            idOf.set(number, (await rag.documents.submit(upload(tenantId, text(number)))).document.id);
            left.add(number);
          } else if (kind === 'replace') {
            const { document } = await rag.documents.replace(idOf.get(old)!, upload(tenantId, text(number)));
            idOf.set(number, document.id);
            left.delete(old);
            left.add(number);
          } else {
            // A version deleted before it is ready leaves the one it was to replace.
            await rag.work();
            await rag.documents.delete(tenantId, idOf.get(old)!);
            left.delete(old);
          }
          if (work) await rag.work();
        }
        await rag.work();
        for (const number of [...left].sort()) await rag.ingest(fresh, text(number), undefined);
        const { mentions, ...graph } = await graphOf(tenantId);
        const { mentions: expected, ...others } = await graphOf(fresh);
        expect(mentions).toEqual(expected);
        expect(graph.nodes).toEqual(others.nodes);
        expect(graph.edges).toEqual(others.edges);
        await expectRecallOf(rag, tenantId, left);
      }),
      { numRuns: 8, seed: 7 },
    );
  }, 120_000);

  async function expectRecallOf(rag: TestGraphrag, tenantId: TenantId, left: ReadonlySet<number>) {
    const { snapshot } = await rag.snapshots.current(tenantId);
    const recalled = new Set(
      snapshot.chunks.flatMap((chunk) => [...chunk.text.matchAll(/secret(\d+)x/g)].map(([, n]) => Number(n))),
    );
    expect(recalled).toEqual(left);
  }
});
