import { describe, expect, it } from 'vitest';
import { denseShare, type EmbeddingStrength, probeOf, USUAL_DENSE_SHARE } from './embedding-strength.js';

describe('probeOf', () => {
  it('takes the sentence in the middle without its names and dates', () => {
    const text =
      'The observatory stands on a hill. In 1931 Marta Kessler ground its largest lens by hand. It is open on Sundays.';
    const probe = probeOf('c1', text);
    expect(probe).toMatchObject({ chunkId: 'c1' });
    expect(probe!.question).toContain('ground its largest lens by hand');
    expect(probe!.question).not.toMatch(/Kessler|1931/);
  });

  it('works for Chinese', () => {
    const probe = probeOf('c1', '天文台建在山上。它最大的镜片是手工磨制而成的。每逢周日开放。');
    expect(probe!.question).toContain('镜片是手工磨制');
  });

  it.each([
    ['one sentence says nothing but itself', 'A single sentence about gradient descent methods and lenses.'],
    ['too few words are left', 'It began. Marta Kessler came. It ended.'],
  ])('makes none where %s', (_, text) => {
    expect(probeOf('c1', text)).toBeUndefined();
  });
});

describe('denseShare', () => {
  const measured = (denseRank: number, samples = 60): EmbeddingStrength => ({
    passages: 1000,
    samples,
    lexicalRank: 0.95,
    denseRank,
  });

  it('stays at its usual value for a weak model, a few samples, or no measurement', () => {
    expect(denseShare(undefined)).toBe(USUAL_DENSE_SHARE);
    expect(denseShare(measured(0.5))).toBe(USUAL_DENSE_SHARE);
    expect(denseShare(measured(0.95, 5))).toBe(USUAL_DENSE_SHARE);
  });

  it('stays there where neither finds anything', () => {
    expect(denseShare({ ...measured(0.1), lexicalRank: 0.1 })).toBe(USUAL_DENSE_SHARE);
  });

  it('grows with the model up to 0.7', () => {
    expect(denseShare(measured(0.76))).toBeCloseTo(0.5);
    expect(denseShare(measured(1))).toBeCloseTo(0.7);
  });
});
