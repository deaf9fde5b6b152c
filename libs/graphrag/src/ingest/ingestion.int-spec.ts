import { channels, type IngestionEvent, type TenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import type { TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DocumentError } from '../errors.js';
import type { ExtractionRequest, Extractor } from '../extract/extractor.port.js';
import { RuleBasedExtractor } from '../extract/rule-based-extractor.js';
import { FaultyEmbeddingModel } from '../testing/faulty-embedding-model.js';
import { dumpGraph } from '../testing/graph-dump.js';
import { HashEmbeddingModel } from '../testing/hash-embedding-model.js';
import { createGraphragDatabase, createTestGraphragOn, type TestGraphrag } from '../testing/test-graphrag.js';
import { INGESTION_STEPS } from './ingestion-step.js';

const ENGLISH = `# Gradient Descent

Gradient Descent is an optimisation algorithm. It was described by Augustin-Louis Cauchy in 1847 in Paris.
A Support Vector Machine (SVM) can be trained with Gradient Descent.

## History

Augustin-Louis Cauchy was a French mathematician. The SVM was invented by Vladimir Vapnik at Bell Labs.
`;
const OVERLAPPING = `# Support Vector Machine

The SVM was invented by Vladimir Vapnik at Bell Labs. Vladimir Vapnik moved from Moscow to New Jersey in 1990.
Gradient Descent trains a linear SVM. Augustin-Louis Cauchy never met Vladimir Vapnik.
`;
const CHINESE = `# 梯度下降

梯度下降是一种优化算法。柯西于1847年在巴黎提出了梯度下降。反向传播需要先学习梯度下降。

## 应用

神经网络通过反向传播和梯度下降来训练。
`;
/** Several passages, so that embedding takes several batches. */
const LONG = `# Rivers\n\n${Array.from(
  { length: 40 },
  (_, i) =>
    `## River Number ${i}\n\nThe River Alpha${i} flows from Lake Beta${i} to the Gamma Sea. ${'It crosses the old town of Delta and passes many villages. '.repeat(8)}\n`,
).join('\n')}`;

let test: TestDatabase;
let sequence = 0;
const newTenant = () => test.createTenant(`t${++sequence}`);

beforeAll(async () => {
  test = await createGraphragDatabase();
});
afterAll(() => test?.drop());

interface Dump {
  nodes: { id: string; key: string; name: string }[];
  chunks: { id: string; document_id: string; embedding: string | null }[];
  mentions: { node_id: string; document_id: string }[];
  evidence: { edge_id: string; document_id: string }[];
  edges: { id: string; weight: number; confidence: number }[];
  aliases: { node_id: string; alias_key: string; document_id: string }[];
  documents: { id: string; state: string }[];
}
const dump = async (tenantId: TenantId) => (await dumpGraph(test.database, tenantId)) as unknown as Dump;

/** Dumps compare across tenants: ids are made from the tenant's name among other things. */
async function nameDump(tenantId: TenantId) {
  const raw = await dump(tenantId);
  const names = new Map(raw.nodes.map((node) => [node.id, node.key]));
  return {
    nodes: raw.nodes.map(({ key, name }) => `${key}|${name}`).sort(),
    mentions: raw.mentions.map(({ node_id }) => names.get(node_id)).sort(),
    edges: raw.edges.map(({ weight, confidence }) => `${weight}|${confidence}`).sort(),
    aliases: raw.aliases.map(({ node_id, alias_key }) => `${names.get(node_id)}|${alias_key}`).sort(),
    evidence: raw.evidence.length,
  };
}

/** What kind of thing a shared node is may have been learnt from any of its documents. */
const withoutTypes = (graph: Dump) => ({
  ...graph,
  nodes: graph.nodes.map((node) => ({ ...node, type: undefined })),
});

describe('ingestion', () => {
  it('turns English and Chinese documents into passages, entities, relations and embeddings', async () => {
    const rag = createTestGraphragOn(test);
    const tenantId = await newTenant();
    const english = await rag.ingest(tenantId, ENGLISH);
    const chinese = await rag.ingest(tenantId, CHINESE);

    expect(await rag.documents.get(tenantId, english)).toMatchObject({
      title: 'Gradient Descent',
      state: 'ready',
      step: 'publish',
      error: null,
      cost: { extractor: 'rules-2', embeddingModel: 'test-hash', embeddedTokens: expect.any(Number) },
    });
    const graph = await dump(tenantId);
    const keys = graph.nodes.map((node) => node.key);
    expect(keys).toEqual(
      expect.arrayContaining(['gradient descent', 'augustin louis cauchy', 'vladimir vapnik', '梯度下降']),
    );
    expect(graph.aliases.map((alias) => alias.alias_key)).toContain('svm');
    expect(keys).not.toContain('svm');
    expect(graph.chunks.every((chunk) => chunk.embedding)).toBe(true);
    expect(graph.evidence.some((row) => row.document_id === chinese)).toBe(true);
  });

  it('reports each step as an event and the job as completed with its counts', async () => {
    const rag = createTestGraphragOn(test);
    const tenantId = await newTenant();
    const events: IngestionEvent[] = [];
    const stop = channels.ingestion.subscribe((event) => events.push(event));
    const { job, document } = await rag.documents.submit({
      tenantId,
      userId: 'u',
      format: 'markdown',
      content: ENGLISH,
    });
    expect(job).toMatchObject({ state: 'queued', progress: 0, documentId: document.id });
    await rag.work();
    stop();
    expect(events.filter((event) => event.tenantId === tenantId).map((event) => event.step)).toEqual([
      ...INGESTION_STEPS,
    ]);
    expect(await rag.jobs.get(tenantId, job.id)).toMatchObject({
      state: 'completed',
      progress: 1,
      attempts: 1,
      result: { documentId: document.id, chunks: 1 },
      finishedAt: expect.any(Number),
    });
  });

  it('goes on after a crash at any step and ends in exactly the graph of an undisturbed run', async () => {
    const undisturbed = createTestGraphragOn(test);
    const tenantId = await newTenant();
    await undisturbed.ingest(tenantId, OVERLAPPING);
    await undisturbed.ingest(tenantId, LONG);
    const expected = await dump(tenantId);

    for (const crashing of INGESTION_STEPS) {
      for (const document of (await dump(tenantId)).documents)
        await undisturbed.documents.delete(tenantId, document.id);
      expect((await dump(tenantId)).nodes).toEqual([]);
      await undisturbed.ingest(tenantId, OVERLAPPING);

      const crash = new Error(`crash in ${crashing}`);
      const database = crashingDatabase(test, crashing, crash);
      const faulty = createTestGraphragOn({ ...test, database } as TestDatabase, {
        options: { embedBatchSize: 8 },
      });
      const { job } = await undisturbed.documents.submit({
        tenantId,
        userId: 'teacher',
        format: 'markdown',
        content: LONG,
      });
      undisturbed.queue.drain();
      await expect(faulty.ingestion.process({ tenantId, jobId: job.id })).rejects.toThrow(crash.message);
      const halfway = await undisturbed.jobs.get(tenantId, job.id);
      expect(halfway.state).toBe('running');
      expect(halfway.step).toBe(INGESTION_STEPS[INGESTION_STEPS.indexOf(crashing) - 1] ?? null);

      await undisturbed.ingestion.process({ tenantId, jobId: job.id });
      expect(await dump(tenantId)).toEqual(expected);
      expect((await undisturbed.jobs.get(tenantId, job.id)).attempts).toBe(2);
    }
  });

  it('does not embed again what was embedded before the embedding model failed', async () => {
    const embeddings = new FaultyEmbeddingModel(new HashEmbeddingModel(), (call) =>
      call === 3 ? new Error('model down') : undefined,
    );
    const rag = createTestGraphragOn(test, { embeddings, options: { embedBatchSize: 8 } });
    const tenantId = await newTenant();
    const { job } = await rag.documents.submit({ tenantId, userId: 'u', format: 'markdown', content: LONG });
    await expect(rag.work()).rejects.toThrow('model down');
    expect((await rag.jobs.get(tenantId, job.id)).progress).toBeGreaterThan(0.4);
    await rag.ingestion.process({ tenantId, jobId: job.id });
    expect(embeddings.texts).toBe((await dump(tenantId)).chunks.length);
  });

  it('stops between batches when aborted and stays resumable', async () => {
    const controller = new AbortController();
    const embeddings = new FaultyEmbeddingModel(new HashEmbeddingModel(), (call) => {
      if (call === 2) controller.abort(new Error('shutting down'));
      return undefined;
    });
    const rag = createTestGraphragOn(test, { embeddings, options: { embedBatchSize: 8 } });
    const tenantId = await newTenant();
    const { job } = await rag.documents.submit({ tenantId, userId: 'u', format: 'markdown', content: LONG });
    await expect(
      rag.ingestion.process({ tenantId, jobId: job.id, signal: controller.signal }),
    ).rejects.toThrow('shutting down');
    expect(await rag.ingestion.process({ tenantId, jobId: job.id })).toMatchObject({ state: 'completed' });
  });

  it('writes everything once when two workers process one job at the same time', async () => {
    const rag = createTestGraphragOn(test, { options: { embedBatchSize: 8 } });
    const alone = await newTenant();
    await rag.ingest(alone, LONG);
    const tenantId = await newTenant();
    const { job } = await rag.documents.submit({
      tenantId,
      userId: 'teacher',
      format: 'markdown',
      content: LONG,
    });
    await Promise.all([1, 2, 3].map(() => rag.ingestion.process({ tenantId, jobId: job.id })));
    expect(await nameDump(tenantId)).toEqual(await nameDump(alone));
    expect(await rag.snapshots.version(tenantId)).toBe(1);
  });

  it('makes one graph of overlapping documents that arrive at the same time', async () => {
    const texts = [
      OVERLAPPING,
      LONG,
      CHINESE,
      ...Array.from(
        { length: 6 },
        (_, i) => `# Note ${i}\n\nVladimir Vapnik met Augustin Number${i} at Bell Labs in Paris.\n`,
      ),
    ];
    const rag = createTestGraphragOn(test, { extractor: withoutKnownNames() });
    const baseline = await newTenant();
    for (const text of texts) await rag.ingest(baseline, text);
    const tenantId = await newTenant();
    const jobs = await Promise.all(
      texts.map((content) =>
        rag.documents.submit({ tenantId, userId: 'teacher', format: 'markdown', content }),
      ),
    );
    await Promise.all(jobs.map(({ job }) => rag.ingestion.process({ tenantId, jobId: job.id })));
    expect(await nameDump(tenantId)).toEqual(await nameDump(baseline));
    const keys = (await dump(tenantId)).nodes.map((node) => node.key);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('ingests many documents in bulk into the graph that one at a time gives', async () => {
    const rag = createTestGraphragOn(test, { extractor: withoutKnownNames(), options: { bulkBatchSize: 2 } });
    const one = await newTenant();
    const many = await newTenant();
    const texts = [ENGLISH, OVERLAPPING, CHINESE, LONG];
    for (const text of texts) await rag.ingest(one, text);
    const result = await rag.ingestion.ingestMany(
      many,
      [...texts, '\u0001', ENGLISH].map((content) => ({ userId: 'teacher', format: 'markdown', content })),
    );
    expect(result.documents.filter(Boolean)).toHaveLength(5);
    expect(result.failures).toEqual([expect.objectContaining({ index: 4, code: 'DOCUMENT_BINARY' })]);
    expect(await nameDump(many)).toEqual(await nameDump(one));
    expect(await rag.snapshots.version(many)).toBe(4);
  });

  it('fails a bad document alone, with its reason, and takes it up again when it is uploaded once more', async () => {
    const rules = new RuleBasedExtractor();
    let broken = true;
    const extractor: Extractor = {
      id: rules.id,
      extract: (request) => {
        if (broken && request.documentTitle === 'Support Vector Machine') throw new TestDocumentError();
        return rules.extract(request);
      },
    };
    const rag = createTestGraphragOn(test, { extractor });
    const tenantId = await newTenant();
    const upload = { tenantId, userId: 'u', format: 'markdown' };
    const bad = await rag.documents.submit({ ...upload, content: OVERLAPPING });
    const good = await rag.documents.submit({ ...upload, content: CHINESE });
    await rag.work();
    expect(await rag.jobs.get(tenantId, bad.job.id)).toMatchObject({
      state: 'failed',
      step: 'chunk',
      error: { code: 'TEST_DOCUMENT', message: 'unreadable' },
    });
    expect(await rag.documents.get(tenantId, bad.document.id)).toMatchObject({ state: 'failed' });
    expect(await rag.documents.get(tenantId, good.document.id)).toMatchObject({ state: 'ready' });

    broken = false;
    const again = await rag.documents.submit({ ...upload, content: OVERLAPPING });
    expect(again).toMatchObject({ duplicate: true, document: { id: bad.document.id, state: 'queued' } });
    expect(again.job.id).not.toBe(bad.job.id);
    expect(again.job.step).toBe('chunk');
    await rag.work();
    expect(await rag.documents.get(tenantId, bad.document.id)).toMatchObject({ state: 'ready', error: null });
  });

  it('gives a job up on request without telling more than that something went wrong', async () => {
    const rag = createTestGraphragOn(test);
    const tenantId = await newTenant();
    const { job } = await rag.documents.submit({
      tenantId,
      userId: 'u',
      format: 'markdown',
      content: ENGLISH,
    });
    await rag.ingestion.fail({ tenantId, jobId: job.id, error: new Error('password=secret') });
    const failed = await rag.jobs.get(tenantId, job.id);
    expect(failed).toMatchObject({ state: 'failed', error: { code: 'INGESTION_FAILED' } });
    expect(JSON.stringify(failed)).not.toContain('secret');
    expect(await rag.ingestion.process({ tenantId, jobId: job.id })).toMatchObject({ state: 'failed' });
  });

  it('can be reopened after it was given up, once or many times, and then ends as if it never had been', async () => {
    const rag = createTestGraphragOn(test);
    const tenantId = await newTenant();
    const upload = { tenantId, userId: 'u', format: 'markdown', content: ENGLISH } as const;
    const { job, document } = await rag.documents.submit(upload);
    await rag.ingestion.fail({ tenantId, jobId: job.id, error: new Error('away') });
    expect(await rag.jobs.reopen(await newTenant(), job.id)).toBe(false);
    const reopened = await Promise.all(Array.from({ length: 4 }, () => rag.jobs.reopen(tenantId, job.id)));
    expect(reopened).toEqual([true, true, true, true]);
    expect(await rag.jobs.get(tenantId, job.id)).toMatchObject({
      state: 'queued',
      error: null,
      finishedAt: null,
    });
    expect(await rag.documents.get(tenantId, document.id)).toMatchObject({ state: 'queued', error: null });
    expect(await rag.ingestion.process({ tenantId, jobId: job.id })).toMatchObject({ state: 'completed' });
    expect(await rag.jobs.reopen(tenantId, job.id)).toBe(false);
    expect(await rag.documents.get(tenantId, document.id)).toMatchObject({ state: 'ready' });
  });

  it('is not reopened once its document was uploaded again', async () => {
    const rag = createTestGraphragOn(test);
    const tenantId = await newTenant();
    const upload = { tenantId, userId: 'u', format: 'markdown', content: ENGLISH } as const;
    const first = await rag.documents.submit(upload);
    await rag.ingestion.fail({ tenantId, jobId: first.job.id, error: new Error('away') });
    const second = await rag.documents.submit(upload);
    expect(await rag.jobs.reopen(tenantId, first.job.id)).toBe(false);
    await rag.ingestion.fail({ tenantId, jobId: second.job.id, error: new Error('away') });
    expect(await rag.jobs.reopen(tenantId, first.job.id)).toBe(false);
    expect(await rag.jobs.reopen(tenantId, second.job.id)).toBe(true);
  });
});

describe('documents', () => {
  it('are stored once however often and however concurrently the same content is uploaded', async () => {
    const rag = createTestGraphragOn(test);
    const tenantId = await newTenant();
    const submissions = await Promise.all(
      Array.from({ length: 8 }, () =>
        rag.documents.submit({ tenantId, userId: 'u', format: 'markdown', content: ENGLISH }),
      ),
    );
    expect(new Set(submissions.map((submission) => submission.document.id)).size).toBe(1);
    expect(new Set(submissions.map((submission) => submission.job.id)).size).toBe(1);
    expect(submissions.filter((submission) => !submission.duplicate)).toHaveLength(1);
    await rag.work();
    const later = await rag.documents.submit({
      tenantId,
      userId: 'u',
      format: 'markdown',
      content: new TextEncoder().encode(`\uFEFF${ENGLISH.replaceAll('\n', '\r\n')}`),
    });
    expect(later).toMatchObject({
      duplicate: true,
      document: { state: 'ready' },
      job: { state: 'completed' },
    });
    expect(rag.queue.size).toBe(0);
  });

  it('stay accepted when the queue is down, and are found by the sweep', async () => {
    const rag = createTestGraphragOn(test);
    const tenantId = await newTenant();
    rag.queue.enqueue = () => Promise.reject(new Error('queue down'));
    const { job } = await rag.documents.submit({
      tenantId,
      userId: 'u',
      format: 'markdown',
      content: ENGLISH,
    });
    const other = await newTenant();
    await createTestGraphragOn(test).documents.submit({
      tenantId: other,
      userId: 'u',
      format: 'markdown',
      content: ENGLISH,
    });
    const tickets = await rag.jobs.unfinishedJobs({ idleMs: 0 });
    expect(tickets.map((ticket) => ticket.tenantId)).toEqual(expect.arrayContaining([tenantId, other]));
    const ticket = tickets.find((candidate) => candidate.jobId === job.id)!;
    await rag.ingestion.process(ticket);
    expect(await rag.jobs.unfinishedJobs({ idleMs: 3_600_000 })).toEqual([]);
  });

  it('leave the graph with everything only they stated, and nothing that others state too', async () => {
    const rag = createTestGraphragOn(test, { extractor: withoutKnownNames() });
    const tenantId = await newTenant();
    await rag.ingest(tenantId, ENGLISH);
    const before = await dump(tenantId);
    const other = await rag.ingest(tenantId, OVERLAPPING);
    const both = await dump(tenantId);
    expect(both.nodes.length).toBeGreaterThan(before.nodes.length);
    await rag.documents.delete(tenantId, other);
    const after = await dump(tenantId);
    expect(withoutTypes(after)).toEqual(withoutTypes(before));
    expect(await rag.snapshots.version(tenantId)).toBe(3);
    await expect(rag.documents.get(tenantId, other)).rejects.toMatchObject({ code: 'DOCUMENT_NOT_FOUND' });
    await expect(rag.documents.delete(tenantId, other)).rejects.toMatchObject({ code: 'DOCUMENT_NOT_FOUND' });
  });

  it('keep an alias that another document states when one of both is deleted', async () => {
    const rag = createTestGraphragOn(test);
    const tenantId = await newTenant();
    const first = await rag.ingest(tenantId, '# One\n\nThe Support Vector Machine (SVM) separates classes.');
    await rag.ingest(tenantId, '# Two\n\nA Support Vector Machine (SVM) has a margin.');
    await rag.documents.delete(tenantId, first);
    expect((await dump(tenantId)).aliases.map((alias) => alias.alias_key)).toContain('svm');
  });

  it('end their ingestion when they are deleted under way', async () => {
    const tenantId = await newTenant();
    const plain = createTestGraphragOn(test);
    const { job, document } = await plain.documents.submit({
      tenantId,
      userId: 'u',
      format: 'markdown',
      content: LONG,
    });
    const embeddings = new FaultyEmbeddingModel(new HashEmbeddingModel());
    const rag = createTestGraphragOn(test, { embeddings, options: { embedBatchSize: 8 } });
    const original = embeddings.embed.bind(embeddings);
    embeddings.embed = async (request) => {
      if (embeddings.calls === 1) await plain.documents.delete(tenantId, document.id);
      return original(request);
    };
    expect(await rag.ingestion.process({ tenantId, jobId: job.id })).toMatchObject({
      state: 'failed',
      error: { code: 'DOCUMENT_DELETED' },
    });
    const graph = await dump(tenantId);
    expect([graph.nodes, graph.chunks, graph.edges, graph.documents]).toEqual([[], [], [], []]);
  });

  it('of one tenant are nothing to another', async () => {
    const rag = createTestGraphragOn(test);
    const mine = await newTenant();
    const theirs = await newTenant();
    const id = await rag.ingest(mine, ENGLISH);
    const { job } = await rag.documents.submit({
      tenantId: mine,
      userId: 'u',
      format: 'markdown',
      content: ENGLISH,
    });
    await expect(rag.documents.get(theirs, id)).rejects.toMatchObject({ code: 'DOCUMENT_NOT_FOUND' });
    await expect(rag.documents.delete(theirs, id)).rejects.toMatchObject({ code: 'DOCUMENT_NOT_FOUND' });
    await expect(rag.jobs.get(theirs, job.id)).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' });
    await expect(rag.ingestion.process({ tenantId: theirs, jobId: job.id })).rejects.toMatchObject({
      code: 'JOB_NOT_FOUND',
    });
    expect(await rag.documents.list(theirs)).toEqual([]);
    expect((await rag.snapshots.current(theirs)).snapshot.nodes).toEqual([]);
    const own = await rag.documents.submit({
      tenantId: theirs,
      userId: 'u',
      format: 'markdown',
      content: ENGLISH,
    });
    expect(own.duplicate).toBe(false);
    expect(own.document.id).not.toBe(id);
  });

  it('are listed newest first, page by page', async () => {
    const rag = createTestGraphragOn(test);
    const tenantId = await newTenant();
    for (let i = 0; i < 5; i += 1)
      await rag.documents.submit({ tenantId, userId: 'u', format: 'text', content: `Note ${i}` });
    const all = await rag.documents.list(tenantId);
    const first = await rag.documents.list(tenantId, { limit: 2 });
    const rest = await rag.documents.list(tenantId, { limit: 10, before: first[1]! });
    expect([...first, ...rest]).toEqual(all);
    expect(all).toHaveLength(5);
    await expect(rag.documents.list(tenantId, { limit: 0 })).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
    });
  });

  it('of an unknown tenant are refused', async () => {
    const rag = createTestGraphragOn(test);
    await expect(
      rag.documents.submit({
        tenantId: 'nobody' as TenantId,
        userId: 'u',
        format: 'text',
        content: 'Hello',
      }),
    ).rejects.toMatchObject({ code: 'TENANT_UNKNOWN' });
  });
});

describe('snapshots', () => {
  it('follow the corpus: incrementally as documents come, and without those that left', async () => {
    const rag = createTestGraphragOn(test);
    const tenantId = await newTenant();
    expect(await rag.snapshots.current(tenantId)).toMatchObject({ version: 0, snapshot: { nodes: [] } });
    const ids: string[] = [];
    for (const text of [ENGLISH, OVERLAPPING, CHINESE]) {
      ids.push(await rag.ingest(tenantId, text));
      await expectSameAsFresh(rag, tenantId);
    }
    await rag.documents.delete(tenantId, ids[1]!);
    await expectSameAsFresh(rag, tenantId);
    const { snapshot, version } = await rag.snapshots.current(tenantId);
    expect(version).toBe(4);
    expect(snapshot.chunks.some((chunk) => chunk.documentId === ids[1])).toBe(false);
    expect(await rag.snapshots.current(tenantId)).toMatchObject({ version: 4 });
    expect((await rag.snapshots.current(tenantId)).snapshot).toBe(snapshot);
  });

  it('are built once for many questions at the same time', async () => {
    const rag = createTestGraphragOn(test);
    const tenantId = await newTenant();
    await rag.ingest(tenantId, ENGLISH);
    const built = await Promise.all(Array.from({ length: 8 }, () => rag.snapshots.current(tenantId)));
    expect(new Set(built.map((current) => current.snapshot)).size).toBe(1);
  });

  it('show nothing of a document that is not ready', async () => {
    const embeddings = new FaultyEmbeddingModel(new HashEmbeddingModel(), () => new Error('down'));
    const rag = createTestGraphragOn(test, { embeddings });
    const tenantId = await newTenant();
    await rag.documents.submit({ tenantId, userId: 'u', format: 'markdown', content: ENGLISH });
    await expect(rag.work()).rejects.toThrow('down');
    expect((await dump(tenantId)).nodes.length).toBeGreaterThan(0);
    const { snapshot } = await rag.snapshots.current(tenantId);
    expect([snapshot.nodes, snapshot.chunks, snapshot.edgeCount]).toEqual([[], [], 0]);
  });

  it('of a large graph wait with new documents until a rebuild is affordable, but never with a deletion', async () => {
    const clock = new TestClock();
    const rag = createTestGraphragOn(test, { clock });
    const tenantId = await newTenant();
    const first = await rag.ingest(tenantId, ENGLISH);
    // The build reads the clock when it starts and when it ends: one second apart.
    const monotonic = clock.monotonic.bind(clock);
    let reads = 0;
    clock.monotonic = () => monotonic() + (reads++ % 2) * 1000;
    await rag.snapshots.current(tenantId);
    clock.monotonic = monotonic;

    await rag.ingest(tenantId, CHINESE);
    expect((await rag.snapshots.current(tenantId)).version).toBe(1);
    expect((await rag.snapshots.current(tenantId, 'latest')).version).toBe(2);

    const other = createTestGraphragOn(test, { clock });
    clock.monotonic = () => monotonic() + (reads++ % 2) * 1000;
    await other.snapshots.current(tenantId);
    clock.monotonic = monotonic;
    await rag.ingest(tenantId, OVERLAPPING);
    expect((await other.snapshots.current(tenantId)).version).toBe(2);
    await clock.advance(10_000);
    expect((await other.snapshots.current(tenantId)).version).toBe(3);
    await rag.documents.delete(tenantId, first);
    expect((await other.snapshots.current(tenantId)).version).toBe(4);
  });

  it('stay within their bound by forgetting the tenants that were not asked for', async () => {
    const rag = createTestGraphragOn(test);
    const first = await newTenant();
    const second = await newTenant();
    await rag.ingest(first, ENGLISH);
    await rag.ingest(second, ENGLISH);
    const bytes = (await rag.snapshots.current(first)).snapshot.bytes;
    const bounded = createTestGraphragOn(test, { options: { snapshotMaxBytes: Math.ceil(bytes * 1.5) } });
    await bounded.snapshots.current(first);
    await bounded.snapshots.current(second);
    expect(bounded.snapshots.size).toEqual({ tenants: 1, bytes: expect.any(Number) });
    expect(bounded.snapshots.size.bytes).toBeLessThanOrEqual(bytes * 1.5);
  });
});

class TestDocumentError extends DocumentError {
  readonly code = 'TEST_DOCUMENT';

  constructor() {
    super('unreadable');
  }
}

/** Names that other documents brought depend on who came first; without them extraction does not. */
function withoutKnownNames(): Extractor {
  const rules = new RuleBasedExtractor();
  return { id: rules.id, extract: ({ known: _, ...request }: ExtractionRequest) => rules.extract(request) };
}

/** The database, failing in the transaction that records `step`, after all its statements. */
function crashingDatabase(target: TestDatabase, step: string, crash: Error): TestDatabase['database'] {
  const { database } = target;
  return new Proxy(database, {
    get(object, property) {
      if (property !== 'withTenant') return Reflect.get(object, property);
      return (tenantId: TenantId, work: Parameters<typeof database.withTenant>[1]) =>
        database.withTenant(tenantId, async (tx) => {
          let claims = false;
          const result = await work({
            ...tx,
            query: (text, parameters) => {
              claims ||= text.includes('SET step = $4') && parameters?.[3] === step;
              return tx.query(text, parameters);
            },
          });
          if (claims) throw crash;
          return result;
        });
    },
  });
}

/** Compares with a snapshot that a provider without a memory builds. */
async function expectSameAsFresh(rag: TestGraphrag, tenantId: TenantId): Promise<void> {
  const { snapshot } = await rag.snapshots.current(tenantId);
  const fresh = (await createTestGraphragOn(rag.test).snapshots.current(tenantId)).snapshot;
  expect(snapshot).toEqual(fresh);
}
