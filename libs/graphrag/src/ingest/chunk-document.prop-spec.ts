import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DocumentTooDeepError } from '../errors.js';
import { chunkDocument } from './chunk-document.js';
import { splitSentences } from './sentences.js';

/** Words and single Chinese characters, and one for each other sign. */
const countTokens = (text: string) => text.match(/[a-zA-Z]+|\d+|[^\sa-zA-Z\d]/gu)?.length ?? 0;
const options = { countTokens, targetTokens: 25, maxTokens: 40 };

const sentence = fc.oneof(
  fc
    .array(fc.constantFrom('graph', 'node', 'Dr. Who', 'learns', '3.5', '图'), {
      minLength: 1,
      maxLength: 15,
    })
    .map((words) => `${words.join(' ')}.`),
  fc.constantFrom('机器学习是一门学科。', '为什么？', 'Really?', '"Yes!"'),
);
const block = fc.oneof(
  fc.array(sentence, { minLength: 1, maxLength: 8 }).map((sentences) => sentences.join(' ')),
  fc.constantFrom(
    '# Title',
    '## Part',
    'Setext\n===',
    '- item one\n- item two',
    '> quoted words',
    '```js\nconst a = 1;\n\nb();\n```',
  ),
  fc.constant('| a | b |\n|---|---|\n| 1 | 2 |'),
  fc.string({ unit: 'grapheme', maxLength: 60 }),
);
const documentText = fc.array(block, { maxLength: 25 }).map((blocks) => blocks.join('\n\n'));
const format = fc.constantFrom('markdown' as const, 'text' as const);

describe('chunkDocument', () => {
  it('cuts stretches of the original in order, with nothing but white space between them', () => {
    fc.assert(
      fc.property(documentText, format, (text, kind) => {
        const chunks = chunkDocument({ title: 't', format: kind, text }, options);
        let end = 0;
        chunks.forEach((chunk, ordinal) => {
          expect(chunk.ordinal).toBe(ordinal);
          expect(text.slice(chunk.start, chunk.end)).toBe(chunk.text);
          expect(chunk.start).toBeGreaterThanOrEqual(end);
          expect(text.slice(end, chunk.start).trim()).toBe('');
          end = chunk.end;
        });
        expect(text.slice(end).trim()).toBe('');
      }),
    );
  });

  it('never exceeds the limit and counts the tokens of what it returns', () => {
    fc.assert(
      fc.property(documentText, format, (text, kind) => {
        for (const chunk of chunkDocument({ title: 't', format: kind, text }, options)) {
          expect(chunk.tokens).toBe(countTokens(chunk.text));
          expect(chunk.tokens).toBeLessThanOrEqual(40);
        }
      }),
    );
  });

  it('returns a document within the limit as exactly one chunk', () => {
    fc.assert(
      fc.property(documentText, format, (text, kind) => {
        fc.pre(text.trim() !== '' && countTokens(text.trim()) <= 40);
        expect(chunkDocument({ title: 't', format: kind, text }, options)).toHaveLength(1);
      }),
    );
  });

  it('ends a chunk only where a sentence ends when every sentence fits', () => {
    fc.assert(
      fc.property(fc.array(sentence, { minLength: 1, maxLength: 40 }), (sentences) => {
        const text = sentences.join(' ');
        const spans = splitSentences(text);
        fc.pre(spans.every(({ start, end }) => countTokens(text.slice(start, end)) <= 40));
        const ends = new Set(spans.map(({ end }) => end));
        for (const chunk of chunkDocument({ title: 't', format: 'text', text }, options)) {
          expect(ends.has(chunk.end)).toBe(true);
        }
      }),
    );
  });

  it.each([
    ['brackets', '['.repeat(500_000)],
    ['one line of 5 MB', 'word '.repeat(1_000_000)],
    ['one word of 5 MB', 'a'.repeat(5_000_000)],
    ['stops', '. '.repeat(500_000)],
    ['back ticks', '`'.repeat(500_000)],
    ['pipes', '|'.repeat(500_000)],
    ['headings', '# a\n'.repeat(50_000)],
    ['line ends', `${'\n'.repeat(500_000)}x`],
    ['emphasis', '*a_'.repeat(200_000)],
  ])('counts each part of hostile input a bounded number of times: %s', (_, text) => {
    let counted = 0;
    const chunks = chunkDocument(
      { title: 't', format: 'markdown', text },
      {
        countTokens: (part) => {
          counted += part.length;
          return Math.ceil(part.length / 4);
        },
      },
    );
    expect(chunks.length).toBeGreaterThan(0);
    expect(counted).toBeLessThan(16 * text.length + 100_000);
  });

  it.each([
    ['quotes on one line', '>'.repeat(5000)],
    ['lists on one line', '- '.repeat(5000)],
    ['indented lists', Array.from({ length: 200 }, (_, level) => `${' '.repeat(level * 2)}- x`).join('\n')],
  ])('refuses nesting over the limit: %s', (_, text) => {
    expect(() => chunkDocument({ title: 't', format: 'markdown', text }, options)).toThrow(
      DocumentTooDeepError,
    );
    expect(chunkDocument({ title: 't', format: 'text', text }, options).length).toBeGreaterThan(0);
  });
});
