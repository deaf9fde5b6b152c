import type { TenantId } from '@sparkle/contracts';
import type { TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeBlankPdf, makePdf, makePdfBomb } from '../testing/pdf-files.js';
import { createGraphragDatabase, createTestGraphragOn, type TestGraphrag } from '../testing/test-graphrag.js';

const HTML = `<!doctype html><meta charset="utf-8"><title>Marie Curie</title><nav>Home</nav>
<main><h1>Marie Curie</h1><p>Marie Curie was born in <a href="/warsaw">Warsaw</a> in 1867.</p>
<h2>在巴黎</h2><p>居里夫人在1898年发现了镭。</p></main>`;
const FILLER = 'The text of this page goes on for a while so that it fills a passage of its own. '.repeat(20);

let test: TestDatabase;
let rag: TestGraphrag;
let sequence = 0;
const newTenant = () => test.createTenant(`files${++sequence}`);

beforeAll(async () => {
  test = await createGraphragDatabase();
  rag = createTestGraphragOn(test, { options: { readMaxMemoryBytes: 256 * 1024 * 1024 } });
});
afterAll(async () => {
  rag?.reader.onApplicationShutdown();
  await test?.drop();
});

async function stored(tenantId: TenantId) {
  return test.database.withTenant(tenantId, async (sql) => ({
    documents: await sql.query<{ id: string; content: string; source: unknown; title: string }>(
      'SELECT id, content, source, title FROM documents WHERE tenant_id = $1 ORDER BY title',
      [tenantId],
    ),
    chunks: await sql.query<{
      document_id: string;
      content: string;
      start_offset: number;
      end_offset: number;
      page: number | null;
      headings: string[];
    }>(
      `SELECT document_id, content, start_offset, end_offset, page, headings FROM chunks
       WHERE tenant_id = $1 ORDER BY document_id, ordinal`,
      [tenantId],
    ),
  }));
}

async function upload(tenantId: TenantId, format: string, content: string | Uint8Array, title?: string) {
  const submission = await rag.documents.submit({ tenantId, userId: 'u', format, content, title });
  await rag.work();
  return {
    submission,
    document: await rag.documents.get(tenantId, submission.document.id),
    job: await rag.jobs.get(tenantId, submission.job.id),
  };
}

describe('an HTML or PDF upload', () => {
  it('becomes the text that its passages are stretches of, named by its own title', async () => {
    const tenantId = await newTenant();
    const { submission, document } = await upload(tenantId, 'html', HTML);
    expect(submission.document).toMatchObject({ title: 'Untitled', format: 'html', state: 'queued' });
    expect(document).toMatchObject({ title: 'Marie Curie', state: 'ready', bytes: Buffer.byteLength(HTML) });
    const { documents, chunks } = await stored(tenantId);
    expect(documents[0]).toMatchObject({
      content:
        '# Marie Curie\n\nMarie Curie was born in Warsaw in 1867.\n\n## 在巴黎\n\n居里夫人在1898年发现了镭。',
      source: null,
    });
    for (const chunk of chunks)
      expect(chunk.content).toBe(documents[0]!.content.slice(chunk.start_offset, chunk.end_offset));
    const { snapshot } = await rag.snapshots.current(tenantId);
    const keys = snapshot.nodes.map((node) => node.key);
    expect(keys).toEqual(expect.arrayContaining(['marie curie', 'warsaw', '1867', '1898']));
  });

  it('in PDF knows the page of each passage', async () => {
    const tenantId = await newTenant();
    const pages = ['One', 'Two', 'Three'].map((heading) => [
      { text: heading, y: 560, size: 20 },
      ...FILLER.match(/.{1,70}(?:\s|$)/g)!.map((text, line) => ({ text: text.trim(), y: 520 - line * 15 })),
    ]);
    await upload(tenantId, 'pdf', await makePdf(pages, 'A paper'));
    const { documents, chunks } = await stored(tenantId);
    expect(documents[0]!.title).toBe('A paper');
    expect(chunks.map(({ page, headings }) => [page, headings.at(-1)])).toEqual(
      expect.arrayContaining([
        [1, 'One'],
        [2, 'Two'],
        [3, 'Three'],
      ]),
    );
    for (const chunk of chunks)
      expect(chunk.content).toBe(documents[0]!.content.slice(chunk.start_offset, chunk.end_offset));
  });

  it('keeps the title it was given', async () => {
    const tenantId = await newTenant();
    expect((await upload(tenantId, 'html', HTML, 'Mine')).document.title).toBe('Mine');
  });

  it('is the same document when the same bytes come again, and another one in another format', async () => {
    const tenantId = await newTenant();
    const first = await upload(tenantId, 'html', HTML);
    const again = await upload(tenantId, 'html', Buffer.from(HTML));
    expect(again.submission).toMatchObject({ duplicate: true, document: { id: first.document.id } });
    expect((await upload(tenantId, 'text', HTML)).submission.duplicate).toBe(false);
  });

  it('that cannot be read fails alone with its reason, and takes nobody down', async () => {
    const tenantId = await newTenant();
    const bad: [string, Uint8Array, string][] = [
      ['pdf', await makeBlankPdf(), 'DOCUMENT_WITHOUT_TEXT'],
      ['pdf', Buffer.from('%PDF-1.7\nnothing'), 'DOCUMENT_CORRUPT'],
      ['pdf', await makePdfBomb(600 * 1024 * 1024), 'DOCUMENT_TOO_COMPLEX'],
      ['html', Buffer.from('<script>only</script>'), 'DOCUMENT_EMPTY'],
    ];
    for (const [format, content, code] of bad) {
      const { document, job } = await upload(tenantId, format, content);
      expect([document.state, document.error?.code, job.state]).toEqual(['failed', code, 'failed']);
    }
    expect((await upload(tenantId, 'html', HTML)).document.state).toBe('ready');
  });

  it('in bulk leaves out the bad ones', async () => {
    const tenantId = await newTenant();
    const { documents, failures } = await rag.ingestion.ingestMany(tenantId, [
      { userId: 'u', format: 'html', content: HTML },
      { userId: 'u', format: 'pdf', content: await makeBlankPdf() },
      { userId: 'u', format: 'pdf', content: 'not a PDF' },
      { userId: 'u', format: 'markdown', content: '# Notes\n\nMarie Curie lived in Paris.' },
    ]);
    expect(documents.map(Boolean)).toEqual([true, false, false, true]);
    expect(failures.map(({ index, code }) => [index, code])).toEqual([
      [1, 'DOCUMENT_WITHOUT_TEXT'],
      [2, 'DOCUMENT_FORMAT_MISMATCH'],
    ]);
  });
});

describe('what an ingestion took', () => {
  it('shows on the job and the document, step by step', async () => {
    const tenantId = await newTenant();
    const { job, document } = await upload(tenantId, 'html', HTML);
    expect(job.cost).toMatchObject({
      extractor: 'rules-2',
      embeddingModel: 'test-hash',
      embeddedTokens: expect.any(Number),
    });
    expect(Object.keys(job.cost.durationsMs ?? {}).sort()).toEqual([
      'chunk',
      'embed',
      'extract',
      'publish',
      'resolve',
    ]);
    expect({ ...document.cost, durationsMs: undefined }).toEqual({ ...job.cost, durationsMs: undefined });
  });
});

describe('a tenant’s quota', () => {
  it('of documents refuses the one too many, however many come at the same time', async () => {
    const tenantId = await newTenant();
    const { documents } = createTestGraphragOn(test, { options: { maxDocumentsPerTenant: 3 } });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, i) =>
        documents.submit({ tenantId, userId: 'u', format: 'text', content: `Note ${i}` }),
      ),
    );
    const refusals = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refusals).toHaveLength(5);
    expect(refusals[0]!.reason).toMatchObject({
      code: 'DOCUMENT_QUOTA_EXCEEDED',
      unit: 'documents',
      limit: 3,
    });
    const kept = await documents.list(tenantId);
    expect(kept).toHaveLength(3);
    await documents.submit({ tenantId, userId: 'u', format: 'text', content: `${kept[0]!.title}` });
    await documents.delete(tenantId, kept[0]!.id);
    await documents.submit({ tenantId, userId: 'u', format: 'text', content: 'In its place' });
  });

  it('of bytes counts a new version in place of the one it replaces', async () => {
    const tenantId = await newTenant();
    const limited = createTestGraphragOn(test, { options: { maxBytesPerTenant: 1000 } });
    const content = (word: string) => `${word} `.repeat(150).slice(0, 700);
    const id = await limited.ingest(tenantId, content('alpha'));
    const upload = { tenantId, userId: 'u', format: 'markdown' };
    await expect(limited.documents.submit({ ...upload, content: content('beta') })).rejects.toMatchObject({
      code: 'DOCUMENT_QUOTA_EXCEEDED',
      unit: 'bytes',
    });
    const { duplicate } = await limited.documents.replace(id, { ...upload, content: content('beta') });
    expect(duplicate).toBe(false);
  });
});
