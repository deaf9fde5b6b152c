import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deepFreeze, jsonCodec } from '../src/core/value-codec.js';
import { StoredValueCorruptError, ValueNotSerializableError } from '../src/errors.js';

const roundTrip = (value: unknown) => jsonCodec.decode(jsonCodec.encode(value));

describe('the JSON codec', () => {
  it.each([
    ['undefined', undefined],
    ['null', null],
    ['NaN', Number.NaN],
    ['minus zero', -0],
    ['infinities', [Infinity, -Infinity]],
    ['bigint', 12345678901234567890n],
    ['dates', [new Date(0), new Date(Number.NaN)]],
    ['nested undefined', { a: undefined, b: [undefined, 1] }],
    ['maps and sets', new Map<unknown, unknown>([[{ k: 1 }, new Set([1n, 'x'])]])],
    ['buffers', Buffer.from([0, 255, 10])],
    ['typed arrays', { v: new Float32Array([0.5, -1]), w: new BigInt64Array([1n]) }],
    ['objects that look like the envelope', { $: 'date', v: 1, deeper: { $: { $: 'map' } } }],
  ])('gives back %s as they were', (_, value) => {
    expect(roundTrip(value)).toStrictEqual(value);
  });

  it('gives back any JSON-like value as it was', () => {
    const values = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withUnicodeString: true,
    } as fc.ObjectConstraints);
    fc.assert(
      fc.property(values, (value) => {
        expect(roundTrip(value)).toEqual(value);
      }),
      { numRuns: 500 },
    );
  });

  it('keeps a property named __proto__ a property', () => {
    const value = JSON.parse('{"__proto__": {"admin": true}, "d": 1}') as object;
    const restored = roundTrip({ value, when: new Date(1) }) as { value: object };
    expect(Object.keys(restored.value)).toEqual(['__proto__', 'd']);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  it('uses toJSON where an object has one', () => {
    expect(roundTrip({ at: new URL('https://example.org/x') })).toEqual({ at: 'https://example.org/x' });
  });

  it('refuses what it cannot keep, naming the place', () => {
    const cyclic: Record<string, unknown> = { a: { b: [] } };
    (cyclic.a as { b: unknown[] }).b.push(cyclic);
    const deep = Array.from({ length: 2000 }).reduce<unknown>((inner) => [inner], 1);
    for (const [value, path] of [
      [cyclic, '$.a.b[0]'],
      [{ f: () => 1 }, '$.f'],
      [[Symbol('s')], '$[0]'],
      [{ e: new Error('x') }, '$.e'],
      [Promise.resolve(1), '$'],
    ] as const) {
      expect(() => jsonCodec.encode(value)).toThrow(ValueNotSerializableError);
      expect(() => jsonCodec.encode(value)).toThrow(path);
    }
    expect(() => jsonCodec.encode(deep)).toThrow(ValueNotSerializableError);
  });

  it('encodes the same object twice in one value, which is no cycle', () => {
    const shared = { n: 1 };
    expect(roundTrip([shared, shared])).toEqual([shared, shared]);
  });

  it('refuses text that is not its own', () => {
    for (const text of ['', '{', '{"$":"nonsense"}', '{"$":"map","v":3}'])
      expect(() => jsonCodec.decode(text)).toThrow(StoredValueCorruptError);
  });

  it('says which values freezing protects', () => {
    const plain = { a: [{ b: 1 }] };
    expect(deepFreeze(plain)).toBe(true);
    expect(Object.isFrozen(plain.a[0])).toBe(true);
    expect(deepFreeze({ when: new Date() })).toBe(false);
  });
});
