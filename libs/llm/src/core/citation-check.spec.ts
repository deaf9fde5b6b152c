import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkCitations } from './citation-check.js';

describe('checking citations', () => {
  it('keeps markers of given passages and drops the others', () => {
    expect(checkCitations('Fact one [c1]. Fact two [c9]. Fact three [c1][c2].', ['c1', 'c2', 'c3'])).toEqual({
      text: 'Fact one [c1]. Fact two. Fact three [c1][c2].',
      cited: ['c1', 'c2'],
      rejected: ['c9'],
    });
  });

  it('splits a list of ids and keeps the given ones', () => {
    expect(checkCitations('Both [c1, c7; c2].', ['c1', 'c2'])).toEqual({
      text: 'Both [c1][c2].',
      cited: ['c1', 'c2'],
      rejected: ['c7'],
    });
  });

  it('drops every marker when nothing was given', () => {
    expect(checkCitations('So it is [1].', [])).toMatchObject({ text: 'So it is.', rejected: ['1'] });
  });

  it('knows ids that are UUIDs', () => {
    const id = '3f2504e0-4f89-41d3-9a0c-0305e82c3301';
    const other = '00000000-4f89-41d3-9a0c-0305e82c3301';
    const checked = checkCitations(`Yes [${id}]. No [${other}].`, [id]);
    expect(checked.cited).toEqual([id]);
    expect(checked.rejected).toEqual([other]);
  });

  it('leaves brackets alone that are no markers', () => {
    const text = 'He said [sic] see [the docs](https://example.org) and [ ] done.';
    expect(checkCitations(text, ['c1'])).toEqual({ text, cited: [], rejected: [] });
  });

  it('never lets an id through that was not given', () => {
    const id = fc.constantFrom('c1', 'c2', 'c3', 'm4', '7');
    fc.assert(
      fc.property(
        fc.array(id),
        fc.array(
          fc.oneof(
            id.map((value) => `[${value}]`),
            fc.string(),
          ),
        ),
        (allowed, parts) => {
          const { text, cited } = checkCitations(parts.join(' '), allowed);
          expect(allowed).toEqual(expect.arrayContaining([...cited]));
          for (const forbidden of (['c1', 'c2', 'c3', 'm4', '7'] as const).filter(
            (value) => !allowed.includes(value),
          )) {
            expect(text).not.toContain(`[${forbidden}]`);
          }
        },
      ),
    );
  });
});
