import { describe, expect, it } from 'vitest';
import { chunkDocument } from './chunk-document.js';
import { splitSentences } from './sentences.js';

const countTokens = (text: string) => text.match(/[a-zA-Z]+|\d+|[^\sa-zA-Z\d]/gu)?.length ?? 0;
const filler = (word: string) => `${`${word} `.repeat(7)}ends.`;
const chunk = (text: string) =>
  chunkDocument({ title: 't', format: 'markdown', text }, { countTokens, targetTokens: 25, maxTokens: 40 });

describe('headings of chunks', () => {
  it('are the path above the passage, outermost first', () => {
    const text = [
      '# Course',
      filler('intro'),
      filler('more'),
      '## Part *one*',
      filler('alpha'),
      filler('beta'),
      '# Other',
      filler('gamma'),
      filler('delta'),
    ].join('\n\n');
    expect(chunk(text).map(({ headings }) => headings)).toEqual([
      ['Course'],
      ['Course', 'Part one'],
      ['Other'],
    ]);
  });

  it('stay with what follows them', () => {
    const chunks = chunk(
      [filler('a'), filler('b'), '## Next', filler('c'), filler('d'), filler('e')].join('\n\n'),
    );
    expect(chunks.every(({ text }) => !text.endsWith('## Next'))).toBe(true);
    expect(chunks[1]?.text.startsWith('## Next')).toBe(true);
  });

  it('are not read inside fenced code', () => {
    const chunks = chunk(
      `# Real\n\n${filler('a')}\n\n${filler('b')}\n\n\`\`\`sh\n# comment\n\`\`\`\n\n${filler('c')}`,
    );
    expect(chunks.at(-1)?.headings).toEqual(['Real']);
  });
});

describe('blocks', () => {
  it('keeps a table and a code block that fit whole', () => {
    const table = '| name | value |\n|---|---|\n| a | 1 |\n| b | 2 |';
    const code = '```ts\nconst one = 1;\n\nconst two = 2;\n```';
    const chunks = chunk([filler('a'), filler('b'), table, filler('c'), code, filler('d')].join('\n\n'));
    expect(chunks.some(({ text }) => text.includes(table))).toBe(true);
    expect(chunks.some(({ text }) => text.includes(code))).toBe(true);
  });

  it('gives no chunk for blank text', () => {
    expect(chunk(' \n\n\t ')).toEqual([]);
  });
});

describe('splitSentences', () => {
  it.each([
    ['Dr. Smith met J. K. Rowling. They talked.', ['Dr. Smith met J. K. Rowling.', 'They talked.']],
    [
      'It costs 3.5 dollars, e.g. in the U.S. market. Cheap!',
      ['It costs 3.5 dollars, e.g. in the U.S. market.', 'Cheap!'],
    ],
    ['He said "Stop." Then he left.', ['He said "Stop."', 'Then he left.']],
    ['机器学习是一门学科。它很有用！真的吗？', ['机器学习是一门学科。', '它很有用！', '真的吗？']],
    ['他说：“好。”然后走了。', ['他说：“好。”', '然后走了。']],
    ['A line that wraps\nin 1984 goes on.', ['A line that wraps\nin 1984 goes on.']],
    ['- one\n- two', ['- one', '- two']],
  ])('splits %s', (text, expected) => {
    expect(splitSentences(text).map(({ start, end }) => text.slice(start, end))).toEqual(expected);
  });
});
