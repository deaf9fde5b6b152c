import fc from 'fast-check';
import { encode } from 'gpt-tokenizer/encoding/o200k_base';
import { describe, expect, it } from 'vitest';
import { countTokens, truncateToTokens } from './token-count.js';

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc
    .array(fc.constantFrom('the ', 'neural', '机器学习', '。', ' ', '\n', '😀', '<|endoftext|>', 'é', '123'))
    .map((parts) => parts.join('')),
);

describe('counting tokens', () => {
  it('agrees with the tokenizer on text without long unbroken runs', () => {
    fc.assert(
      fc.property(text, (value) => {
        fc.pre(!/[\p{L}\p{M}]{128}|\s{128}|[^\s\p{L}\p{N}]{128}/u.test(value));
        expect(countTokens(value)).toBe(encode(value, { disallowedSpecial: new Set() }).length);
      }),
    );
  });

  it('takes special tokens for ordinary text', () => {
    expect(countTokens('<|endoftext|>')).toBeGreaterThan(1);
  });

  it.each(['a', '机', ' ', '!', '😀', '\n'])(
    'handles a hundred thousand times %j without freezing',
    (unit) => {
      const tokens = countTokens(unit.repeat(100_000));
      expect(tokens).toBeGreaterThan(0);
      expect(truncateToTokens(unit.repeat(100_000), 10).length).toBeLessThan(2000);
    },
  );
});

describe('cutting to a number of tokens', () => {
  it('gives a beginning of the text that fits and keeps characters whole', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 0, max: 60 }), (value, max) => {
        const cut = truncateToTokens(value, max);
        expect(value.startsWith(cut)).toBe(true);
        expect(countTokens(cut)).toBeLessThanOrEqual(max);
        expect(cut).not.toMatch(/[\uD800-\uDBFF]$/u);
        if (countTokens(value) <= max) expect(cut).toBe(value);
      }),
    );
  });

  it('gives nothing for a limit below one', () => {
    expect(truncateToTokens('text', 0)).toBe('');
    expect(truncateToTokens('text', -3)).toBe('');
  });
});
