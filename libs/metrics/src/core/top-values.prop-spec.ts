import { SeededRandom, TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PlaceChange, TopValues } from './top-values.js';

const MINUTE_MS = 60_000;

function open(max: number, pinned: readonly string[] = []) {
  const clock = new TestClock();
  const changes: PlaceChange[] = [];
  const tenants = new TopValues(clock, max, pinned, (change) => changes.push(change));
  const own = (value: string) => tenants.fold(value) === value;
  return { clock, tenants, changes, own };
}

describe('TopValues', () => {
  it('never has more places than its bound, and always keeps those that are pinned', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 40_000 })), {
          maxLength: 200,
        }),
        fc.integer({ min: 0, max: 3 }),
        fc.uniqueArray(fc.integer({ min: 0, max: 9 }).map(String), { maxLength: 2 }),
        async (uses, max, pinned) => {
          const { clock, tenants } = open(max, pinned);
          const holders = new Set(pinned);
          for (const [value, afterMs] of uses) {
            await clock.advance(afterMs);
            tenants.review();
            const folded = tenants.fold(String(value));
            expect([String(value), 'other']).toContain(folded);
          }
          for (let value = 0; value < 10; value++)
            if (tenants.fold(String(value)) !== 'other') holders.add(String(value));
          expect(holders.size).toBeLessThanOrEqual(max + pinned.length);
          for (const value of pinned) expect(tenants.fold(value)).toBe(value);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('gives a heavy value that arrives after 100,000 others its place within 5 min and a review', async () => {
    const { clock, tenants, own } = open(20);
    const random = new SeededRandom(11);
    for (let n = 0; n < 100_000; n++) tenants.fold(`noise-${Math.floor(random.next() * 1e9)}`);
    expect(own('heavy')).toBe(false);
    for (let second = 0; second < 310; second += 10) {
      await clock.advance(10_000);
      for (let n = 0; n < 300; n++) tenants.fold(`noise-${Math.floor(random.next() * 1e9)}`);
      for (let n = 0; n < 50; n++) tenants.fold('heavy');
    }
    expect(own('heavy')).toBe(true);
  });

  it('does not change places while traffic is even, however it varies by chance', async () => {
    const { clock, tenants, changes } = open(10);
    const random = new SeededRandom(5);
    for (let minute = 0; minute < 60; minute++) {
      for (let n = 0; n < 2000; n++) tenants.fold(`tenant-${Math.floor(random.next() * 20)}`);
      await clock.advance(MINUTE_MS);
      tenants.review();
    }
    expect(changes).toEqual([]);
  });

  it('leaves a value its place for at least 5 min, whatever comes', async () => {
    const { clock, tenants, changes } = open(1);
    const admittedAt = new Map([['a', 0]]);
    tenants.fold('a');
    for (let round = 0; round < 400; round++) {
      // Whoever has no place is used a hundred times as much.
      const holder = changes.at(-1)?.admitted ?? 'a';
      const rival = holder === 'a' ? 'b' : 'a';
      for (let n = 0; n < 100; n++) tenants.fold(rival);
      tenants.fold(holder);
      await clock.advance(10_000);
      const before = changes.length;
      tenants.review();
      for (const { withdrawn, admitted } of changes.slice(before)) {
        expect(clock.monotonic() - admittedAt.get(withdrawn)!).toBeGreaterThanOrEqual(5 * MINUTE_MS);
        admittedAt.set(admitted, clock.monotonic());
      }
    }
    expect(changes.length).toBeGreaterThan(5);
  });

  it('finds the heaviest values of a skewed stream', async () => {
    const { clock, tenants, own } = open(10);
    const random = new SeededRandom(23);
    for (let step = 0; step < 60; step++) {
      for (let n = 0; n < 3000; n++) {
        // Zipf-like over 50,000 values.
        const rank = Math.floor(50_000 ** random.next());
        tenants.fold(`t${rank}`);
      }
      await clock.advance(10_000);
    }
    for (let rank = 1; rank <= 5; rank++) expect(own(`t${rank}`), `t${rank}`).toBe(true);
  });
});
