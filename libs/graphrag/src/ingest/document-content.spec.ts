import { describe, expect, it } from 'vitest';
import { readDocument } from './document-content.js';

const read = (content: string | Uint8Array, more: { title?: string; format?: string; limit?: number } = {}) =>
  readDocument({ content, format: more.format ?? 'markdown', title: more.title }, more.limit ?? 10_000);
const codeOf = (work: () => unknown): unknown => {
  try {
    work();
  } catch (error) {
    return (error as { code: unknown }).code;
  }
  return undefined;
};

describe('reading an upload', () => {
  it('decodes UTF-8 and UTF-16 with a byte order mark to the same text and hash', () => {
    const text = '# Café 梯度\n\nText.';
    const little = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')]);
    const big = Buffer.from(little).swap16();
    const variants = [text, `\uFEFF${text}`, text.replaceAll('\n', '\r\n'), Buffer.from(text), little, big];
    expect(new Set(variants.map((variant) => read(variant).hash)).size).toBe(1);
    expect(read(big).text).toBe(text);
  });

  it('names the reason why it refuses content', () => {
    expect(codeOf(() => read(''))).toBe('DOCUMENT_EMPTY');
    expect(codeOf(() => read(' \n --- \n'))).toBe('DOCUMENT_EMPTY');
    expect(codeOf(() => read('x'.repeat(101), { limit: 100 }))).toBe('DOCUMENT_TOO_LARGE');
    expect(codeOf(() => read('é'.repeat(60), { limit: 100 }))).toBe('DOCUMENT_TOO_LARGE');
    expect(codeOf(() => read('a\u0000b'))).toBe('DOCUMENT_BINARY');
    expect(codeOf(() => read(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0, 0xff])))).toBe('DOCUMENT_BINARY');
    expect(codeOf(() => read('escape \u001b[31m'))).toBe('DOCUMENT_BINARY');
    expect(codeOf(() => read(Buffer.from([0x41, 0xff, 0x42])))).toBe('DOCUMENT_ENCODING_INVALID');
    expect(codeOf(() => read('half \ud83d character'))).toBe('DOCUMENT_ENCODING_INVALID');
    expect(codeOf(() => read(`${'> '.repeat(500)}deep`))).toBe('DOCUMENT_TOO_DEEP');
    expect(codeOf(() => read(`${'>'.repeat(500)}deep`))).toBe('DOCUMENT_TOO_DEEP');
    expect(codeOf(() => read(`${' '.repeat(4000)}- deep`))).toBe('DOCUMENT_TOO_DEEP');
    expect(codeOf(() => read('x', { format: 'docx' }))).toBe('DOCUMENT_FORMAT_INVALID');
    for (const title of ['', '  ', 'x'.repeat(301), 'a\nb'])
      expect(codeOf(() => read('x', { title }))).toBe('DOCUMENT_TITLE_INVALID');
  });

  it('does not look for quotes in plain text', () => {
    expect(read(`${'> '.repeat(500)}deep`, { format: 'text' }).text).toContain('deep');
  });

  it('takes the title from the first heading, or else the first line with words', () => {
    expect(read('intro\n\n## The  Title ##\n').title).toBe('The Title');
    expect(read('\n---\nFirst line\nsecond').title).toBe('First line');
    expect(read('x'.repeat(500)).title).toHaveLength(120);
    expect(read('text', { title: ' Given ' }).title).toBe('Given');
  });

  it('stays fast on hostile input', () => {
    expect(codeOf(() => read(`${'- '.repeat(50_000)}a`, { limit: 1e6 }))).toBe('DOCUMENT_TOO_DEEP');
    expect(read(`${'[*_`'.repeat(20_000)}`.concat('a'), { limit: 1e6 }).text.length).toBe(80_001);
  });
});
