import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundedLabel } from './bounded-label.js';

describe('BoundedLabel', () => {
  it('never gives out more than its bound, never moves a value, and always keeps pinned ones', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 3 })),
        fc.integer({ min: 0, max: 5 }),
        fc.uniqueArray(fc.string({ maxLength: 3 }), { maxLength: 3 }),
        (values, max, pinned) => {
          const label = new BoundedLabel(max, pinned);
          const first = new Map<string, string>();
          for (const value of [...values, ...values]) {
            const folded = label.fold(value);
            expect([value, 'other']).toContain(folded);
            expect(folded).toBe(first.get(value) ?? folded);
            first.set(value, folded);
          }
          for (const value of pinned) expect(label.fold(value)).toBe(value);
          const distinct = new Set([...first.values(), ...pinned]);
          distinct.delete('other');
          expect(distinct.size).toBeLessThanOrEqual(max + pinned.length);
        },
      ),
    );
  });
});
