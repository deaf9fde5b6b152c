import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withoutLiterals } from './slow-queries.text.js';

const secret = 'S3cret';
const quoted = fc
  .tuple(fc.string(), fc.string())
  .map(([before, after]) => (before + secret + after).replaceAll('\0', ''));
const plain = fc.string({ unit: fc.constantFrom('a', ' ', "'", '"', '\n', '-', '/', '*', '\\', ';') });
const constant = fc.oneof(
  quoted.map((text) => `'${text.replaceAll("'", "''")}'`),
  quoted.map((text) => `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`),
  fc.tuple(plain, plain).map(([before, after]) => `$tag$${before}${secret}${after}$tag$`),
  fc.tuple(plain, plain).map(([before, after]) => `$$${before}${secret}${after}$$`),
  fc
    .tuple(plain, plain)
    .map(([before, after]) => `/* ${`${before}${secret}${after}`.replaceAll('/', '')} */`),
  plain.map((text) => `-- ${text.replaceAll('\n', '')}${secret}\n`),
);
const name = fc.constantFrom('ALTER ROLE', '"Odd ""name"', 'users', 'col_1', '$1', '=', '(', ')', ',', ';');

describe('the text of a slow statement', () => {
  it('never contains a value, wherever it stands and however it is quoted', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(constant, name), { minLength: 1, maxLength: 12 }), (parts) => {
        expect(withoutLiterals(parts.join(' '))).not.toContain(secret);
      }),
      { numRuns: 2000 },
    );
  });

  it('contains no value either when it was cut in the middle of one', () => {
    fc.assert(
      fc.property(constant, fc.nat(), (text, at) => {
        const cut = `SELECT ${text}`.slice(0, 8 + (at % text.length));
        expect(withoutLiterals(cut)).not.toContain(secret);
      }),
      { numRuns: 2000 },
    );
  });

  it('loses a comment with the comments in it', () => {
    expect(withoutLiterals('SELECT /* a /* b */ S3cret */ 1 /* cut /* here */ S3cret')).toBe('SELECT ?');
  });

  it('keeps names, parameters and operators', () => {
    expect(withoutLiterals('SELECT "a 1", t1.c2 FROM t1 WHERE x = $1 AND y->>$2 = $3 LIMIT $4')).toBe(
      'SELECT "a 1", t1.c2 FROM t1 WHERE x = $1 AND y->>$2 = $3 LIMIT $4',
    );
    expect(withoutLiterals("SET a = 1.5e-3; SELECT 'x', 0x1F, .5, 10, b1, E'\\'', $1::int4")).toBe(
      'SET a = ?; SELECT ?, ?, ?, ?, b1, ?, $1::int4',
    );
  });
});
