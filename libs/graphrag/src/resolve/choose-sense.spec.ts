import { describe, expect, it } from 'vitest';
import { chooseSense, type SenseCandidate } from './choose-sense.js';
import { type ContextVector, hypernymHead, isProperName, type NameContext } from './name-context.js';

/** A direction in the plane, far from the background. */
const towards = (degrees: number): ContextVector => ({
  values: Float32Array.from([Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)]),
  background: 0.2,
});
const context = (
  hypernyms: string[] = [],
  neighbours: string[] = [],
  vectors: ContextVector[] = [],
): NameContext => ({ hypernyms: new Set(hypernyms), neighbours: new Set(neighbours), vectors });
const candidate = (of: NameContext, form: Partial<SenseCandidate> = {}): SenseCandidate => ({
  type: 'term',
  plain: false,
  qualified: false,
  ...form,
  context: of,
});
const choose = (of: NameContext, ...candidates: SenseCandidate[]) =>
  chooseSense({ type: 'term', context: of }, candidates);

describe('the sense of a name', () => {
  it('is the one of its kind, whatever is around it', () => {
    const planet = candidate(context(['planet'], [], [towards(90)]), { plain: true });
    const metal = candidate(context(['metal'], ['sun'], [towards(0)]));
    expect(choose(context(['planet'], ['sun'], [towards(0)]), planet, metal)).toBe(0);
    const chinese = candidate(context(['液态金属']));
    expect(choose(context(['金属']), candidate(context(['行星']), { plain: true }), chinese)).toBe(1);
  });

  it('is the one that shares most names, and clearly more than the next', () => {
    const first = candidate(context([], ['sun', 'moon', 'probe']));
    const second = candidate(context([], ['sun']), { plain: true });
    expect(choose(context([], ['sun', 'moon']), first, second)).toBe(0);
    expect(choose(context([], ['sun']), first, second)).toBe(1);
  });

  it('is the nearest by embedding only with a margin, and else the plain name', () => {
    const left = candidate(context([], [], [towards(0)]));
    const right = candidate(context([], [], [towards(80)]), { plain: true });
    expect(choose(context([], [], [towards(10)]), left, right)).toBe(0);
    expect(choose(context([], [], [towards(39)]), left, right)).toBe(1);
    expect(choose(context(), left, candidate(context([], [], [towards(80)])))).toBeUndefined();
  });

  it('is none when all contradict, unless the surroundings say that they do so in words only', () => {
    const planet = candidate(context(['planet'], ['sun', 'moon'], [towards(0)]), { plain: true });
    expect(choose(context(['metal'], ['sun'], [towards(80)]), planet)).toBeUndefined();
    expect(choose(context(['world'], ['sun', 'moon'], []), planet)).toBe(0);
    expect(choose(context(['world'], [], [towards(10)]), planet)).toBe(0);
    const person = candidate(context(), { type: 'person', plain: true });
    expect(chooseSense({ type: 'place', context: context() }, [person])).toBeUndefined();
  });

  it('is a name with parentheses only when something speaks for it', () => {
    const qualified = candidate(context([], ['sun'], [towards(0)]), { qualified: true });
    expect(choose(context([], [], [towards(80)]), qualified)).toBeUndefined();
    expect(choose(context([], ['sun'], []), qualified)).toBe(0);
    expect(choose(context([], [], [towards(10)]), qualified)).toBe(0);
  });
});

describe('what a name is said to be', () => {
  it.each([
    ['the smallest planet of the Solar System', 'planet'],
    ['chemical element', 'element'],
    ['优化算法', '优化算法'],
    ['defending champions', undefined],
    ['one of the names', undefined],
  ])('comes down from "%s" to %s', (name, head) => {
    expect(hypernymHead(name)).toBe(head);
  });

  it.each([
    ['Mercury', true],
    ['The Who', false],
    ['苹果', true],
    ['the film', false],
    ['It is', false],
    ['Bank of America', true],
  ])('%s is written like a name: %s', (name, expected) => {
    expect(isProperName(name)).toBe(expected);
  });
});
