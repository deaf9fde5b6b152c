import { describe, expect, it } from 'vitest';
import { fieldsOf, halfOf, questionPairs } from './labelled-pairs.js';

describe('pairs of questions', () => {
  it('fall into one half each, whichever comes first, about as many into either', () => {
    const halves = Array.from({ length: 1000 }, (_, index) => halfOf({ first: `a${index}`, second: 'b' }));
    expect(halves.filter((half) => half === 'test').length).toBeGreaterThan(430);
    expect(halves.filter((half) => half === 'development').length).toBeGreaterThan(430);
    expect(halfOf({ first: 'a', second: 'b' })).toBe(halfOf({ first: 'b', second: 'a' }));
  });

  it('are read from quoted fields, too', () => {
    expect(fieldsOf('一个人。,"他说 ""好"", 走了。",3.2')).toEqual(['一个人。', '他说 "好", 走了。', '3.2']);
    expect(fieldsOf(',b,')).toEqual(['', 'b', '']);
  });

  it('that are missing are named', () => {
    expect(() => questionPairs('/nowhere/dev.tsv.gz')).toThrow(/\/nowhere\/dev\.tsv\.gz/);
  });
});
