import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJson } from '../src/http/json-body.js';

describe('parseJson', () => {
  it('agrees with JSON.parse on every document that is not nested too deep', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 8, noUnicodeString: false } as never), (text) => {
        fc.pre(!text.includes('__proto__'));
        expect(parseJson(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it('takes an empty body for none', () => {
    expect(parseJson(' \n')).toBeUndefined();
  });

  it('counts only brackets that are not in strings', () => {
    expect(parseJson(JSON.stringify({ text: '[{"'.repeat(1000) }))).toEqual({ text: '[{"'.repeat(1000) });
    expect(parseJson('["\\\\","["]')).toEqual(['\\', '[']);
  });

  it.each(['{', '{"a":}', 'nonsense', '{"__proto__":{}}', '{"a":{"__proto__":1}}'])('refuses %s', (text) => {
    expect(() => parseJson(text)).toThrow(expect.objectContaining({ code: 'JSON_MALFORMED' }));
  });

  it('refuses deep nesting before parsing it', () => {
    expect(() => parseJson('['.repeat(1_000_000))).toThrow(
      expect.objectContaining({ code: 'JSON_TOO_DEEP' }),
    );
  });
});
