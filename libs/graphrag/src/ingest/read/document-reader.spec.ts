import { SystemClock } from '@sparkle/contracts';
import { afterAll, describe, expect, it } from 'vitest';
import { type GraphragOptionsInput, parseGraphragOptions } from '../../graphrag.options.js';
import {
  makeBlankPdf,
  makeEncryptedPdf,
  makePdf,
  makePdfBomb,
  makeUnicodePdf,
} from '../../testing/pdf-files.js';
import { DocumentReader } from './document-reader.js';
import { readHtml } from './read-html.js';

const LIMIT = 5 * 1024 * 1024;
const MEBIBYTE = 1024 * 1024;
const newReader = (options: GraphragOptionsInput) =>
  new DocumentReader(new SystemClock(), parseGraphragOptions(options));
const reader = newReader({ readMaxMemoryBytes: 256 * MEBIBYTE });
afterAll(() => reader.onApplicationShutdown());

const bytesOf = (text: string) => new TextEncoder().encode(text);
const read = (format: 'html' | 'pdf', bytes: Uint8Array, limitBytes = LIMIT) =>
  reader.read({ format, bytes, limitBytes });
const html = (markup: string | Uint8Array) => {
  const result = readHtml({
    format: 'html',
    bytes: typeof markup === 'string' ? bytesOf(markup) : markup,
    limitBytes: LIMIT,
  });
  return result.kind === 'text' ? result.text : result.reason;
};

describe('an HTML file', () => {
  it('reads as Markdown with its headings, lists, tables, quotes and code', async () => {
    const page = `<!doctype html><html><head><title>Gradient  Descent – Notes</title></head><body>
      <h1>Gradient Descent</h1><p>It is an <b>optimisation</b> <a href="https://x.example/a?b=1">algorithm</a>.</p>
      <h2>Steps</h2><ul><li>Compute the gradient<ul><li>by hand</li></ul></li><li>Step back</li></ul>
      <ol><li>First</li><li>Second</li></ol>
      <table><tr><th>Rate</th><th>Loss</th></tr><tr><td>0.1</td><td>a|b</td></tr></table>
      <blockquote><p>Quoted</p></blockquote><pre><code>x = 1
y = 2</code></pre></body></html>`;
    const { text, title, pageStarts } = await read('html', bytesOf(page));
    expect(title).toBe('Gradient Descent – Notes');
    expect(pageStarts).toEqual([]);
    expect(text).toBe(
      [
        '# Gradient Descent',
        'It is an optimisation algorithm.',
        '## Steps',
        '- Compute the gradient\n  - by hand\n- Step back',
        '1. First\n2. Second',
        '| Rate | Loss |\n| - | - |\n| 0.1 | a\\|b |',
        '> Quoted',
        '```\nx = 1\ny = 2\n```',
      ].join('\n\n'),
    );
  });

  it('leaves out scripts, styles, navigation, forms’ controls and what is hidden', () => {
    expect(
      html(`<body><nav>Home Products</nav><header role="banner">Site</header><script>track()</script>
        <style>p{}</style><p>Kept.</p><p hidden>Hidden</p><p style="display: none">Hidden</p>
        <p aria-hidden="true">Icon</p><form><p>Also kept.</p><button>Send</button><input value="x"></form>
        <aside>Related</aside><footer>Imprint</footer></body>`),
    ).toBe('Kept.\n\nAlso kept.');
  });

  it('is its main part alone when it names one, and its frame when there is nothing else', () => {
    expect(html('<div>Cookie banner</div><main><p>The text.</p></main><div>Links</div>')).toBe('The text.');
    expect(html('<div>Menu</div><article><p>One.</p></article><article><p>Two.</p></article>')).toBe(
      'Menu\n\nOne.\n\nTwo.',
    );
    expect(html('<nav><p>Only this.</p></nav>')).toBe('Only this.');
  });

  it('quotes characters as they stand there, whatever Markdown makes of them', () => {
    expect(html('<p>snake_case * 2 &lt;b&gt; [x](y) &amp; 5 &gt; 3</p>')).toBe(
      'snake_case * 2 <b> [x](y) & 5 > 3',
    );
    expect(html('<p># no heading</p><p>``` no fence</p>')).toBe('\\# no heading\n\n\\``` no fence');
  });

  it('reads malformed markup as browsers do', () => {
    expect(html('<p>One<p>Two <b>bold<i>both</b>after</i><div>Three</span></td><li>Four')).toBe(
      'One\n\nTwo boldbothafter\n\nThree\n\n- Four',
    );
    expect(html('<table><td>A<td>B<tr><td>C')).toContain('A');
    expect(html('<!-- never closed <p>gone</p>')).toBe('');
  });

  it.each([
    [
      'a byte order mark',
      Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('<p>梯度下降</p>', 'utf16le')]),
    ],
    [
      'its meta element',
      Buffer.concat([Buffer.from('<meta charset="gbk"><p>'), gbk('cc dd b6 c8 cf c2 bd b5')]),
    ],
    [
      'its http-equiv element',
      Buffer.concat([
        Buffer.from('<meta http-equiv="Content-Type" content="text/html; charset=GB2312"><p>'),
        gbk('cc dd b6 c8 cf c2 bd b5'),
      ]),
    ],
    ['UTF-8 otherwise', Buffer.from('<p>梯度下降</p>')],
  ])('is decoded by %s', (_what, bytes) => {
    expect(html(bytes)).toBe('梯度下降');
  });

  it('in no encoding that it announces is refused', async () => {
    await expect(read('html', Buffer.from('<p>caf\xe9</p>', 'latin1'))).rejects.toMatchObject({
      code: 'DOCUMENT_ENCODING_INVALID',
    });
    await expect(read('html', bytesOf('<meta charset="klingon"><p>x</p>'))).rejects.toMatchObject({
      code: 'DOCUMENT_ENCODING_INVALID',
    });
  });

  it('without text, nested endlessly, or larger than allowed fails with its reason', async () => {
    await expect(read('html', bytesOf('<script>only()</script>'))).rejects.toMatchObject({
      code: 'DOCUMENT_EMPTY',
    });
    const deep = bytesOf(`${'<div>'.repeat(20_000)}deep`);
    await expect(read('html', deep)).rejects.toMatchObject({ code: 'DOCUMENT_TOO_DEEP' });
    await expect(read('html', bytesOf(`<p>${'word '.repeat(500)}</p>`), 1000)).rejects.toMatchObject({
      code: 'DOCUMENT_TOO_LARGE',
    });
  });

  it('that takes too long to read is given up, and the next one is read', async () => {
    const hasty = newReader({ readTimeoutMs: 1500 });
    // Each start of a paragraph looks through all open elements: quadratic.
    const slow = bytesOf('<b><p>'.repeat(200_000));
    await expect(hasty.read({ format: 'html', bytes: slow, limitBytes: LIMIT })).rejects.toMatchObject({
      code: 'DOCUMENT_TOO_COMPLEX',
    });
    const patient = await read('html', bytesOf('<p>Next</p>'));
    expect(patient.text).toBe('Next');
    hasty.onApplicationShutdown();
  });
});

describe('a PDF file', () => {
  it('reads as paragraphs and headings, with words joined over line ends', async () => {
    const bytes = await makePdf(
      [
        [
          { text: 'Gradient Descent', y: 550, size: 24 },
          {
            text: 'It was described by Cauchy in 1847. Several exam-\nples follow on the\nnext lines.',
            y: 510,
          },
          { text: 'A second paragraph.', y: 440 },
          { text: 'History', y: 400, size: 16 },
          { text: 'Cauchy lived in Paris.', y: 370 },
          { text: '• one item\n• another item', y: 330 },
        ],
      ],
      'Notes on descent',
    );
    const { text, title } = await read('pdf', bytes);
    expect(title).toBe('Notes on descent');
    expect(text).toBe(
      [
        '# Gradient Descent',
        'It was described by Cauchy in 1847. Several examples follow on the next lines.',
        'A second paragraph.',
        '## History',
        'Cauchy lived in Paris.',
        '- one item\n- another item',
      ].join('\n\n'),
    );
  });

  it('knows where its pages begin, goes on over their ends, and leaves out running heads and page numbers', async () => {
    const pages = [
      'The first page ends in the',
      'middle of a sentence. The second ends.',
      'The third follows.',
    ].map((text, index) => [
      { text: `Course notes, part ${index + 1}`, y: 580, size: 9 },
      { text, y: 500 },
      { text: 'More text stands here, enough to be the body.', y: 485 },
      { text: String(index + 1), y: 20, size: 9, x: 200 },
    ]);
    const { text, pageStarts } = await read('pdf', await makePdf(pages));
    expect(text).not.toMatch(/Course notes|\n\d\n/);
    expect(text.slice(pageStarts[0]).startsWith('middle of a sentence.')).toBe(true);
    expect(text.slice(pageStarts[1]).startsWith('The third follows.')).toBe(true);
    expect(pageStarts).toHaveLength(2);
  });

  it('in Chinese reads without spaces between its lines', async () => {
    const { text } = await read('pdf', await makeUnicodePdf(['梯度下降是一种', '优化算法。']));
    expect(text).toBe('梯度下降是一种优化算法。');
  });

  it.each([
    ['protected by a password', makeEncryptedPdf, 'DOCUMENT_ENCRYPTED'],
    ['without text, as a scan is', makeBlankPdf, 'DOCUMENT_WITHOUT_TEXT'],
    ['cut off', async () => (await makePdf([[{ text: 'x', y: 100 }]])).slice(0, 300), 'DOCUMENT_CORRUPT'],
    ['of noise', async () => Buffer.from(`%PDF-1.7\n${'\x01\x02noise'.repeat(1000)}`), 'DOCUMENT_CORRUPT'],
  ])('%s fails alone, with its reason', async (_what, make, code) => {
    await expect(read('pdf', await make())).rejects.toMatchObject({ code });
    const next = await read('pdf', await makePdf([[{ text: 'The next one is read.', y: 500 }]]));
    expect(next.text).toBe('The next one is read.');
  });

  it('that holds more text than allowed is refused before all of it is read', async () => {
    const pages = Array.from({ length: 40 }, () => [{ text: 'word '.repeat(12), y: 500 }]);
    await expect(read('pdf', await makePdf(pages), 1000)).rejects.toMatchObject({
      code: 'DOCUMENT_TOO_LARGE',
    });
  });

  it('that inflates without end takes its reader down and nothing else', async () => {
    const bomb = await makePdfBomb(600 * MEBIBYTE);
    expect(bomb.length).toBeLessThan(100_000);
    const before = process.memoryUsage().rss;
    await expect(read('pdf', bomb)).rejects.toMatchObject({ code: 'DOCUMENT_TOO_COMPLEX' });
    expect(process.memoryUsage().rss - before).toBeLessThan(256 * MEBIBYTE);
    const next = await read('pdf', await makePdf([[{ text: 'The next one is read.', y: 500 }]]));
    expect(next.text).toBe('The next one is read.');
  });
});

describe('the reader', () => {
  it('reads files that come at the same time, each with its own result', async () => {
    const texts = await Promise.all(
      Array.from(
        { length: 8 },
        async (_, index) => (await read('html', bytesOf(`<p>Text ${index}</p>`))).text,
      ),
    );
    expect(texts).toEqual(Array.from({ length: 8 }, (_, index) => `Text ${index}`));
  });

  it('stops when it is told to, and goes on with the next file', async () => {
    const controller = new AbortController();
    const reading = reader.read({
      format: 'html',
      bytes: bytesOf('<b><p>'.repeat(200_000)),
      limitBytes: LIMIT,
      signal: controller.signal,
    });
    controller.abort(new Error('shutting down'));
    await expect(reading).rejects.toThrow('shutting down');
    expect((await read('html', bytesOf('<p>Next</p>'))).text).toBe('Next');
  });
});

function gbk(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex');
}
