import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ThreadTurns, type TurnTaker } from './thread-turns.js';

interface Taker extends TurnTaker {
  queued: number;
  /** When it came to be where it is. */
  since: number;
}

describe('turns', () => {
  it('are always of one with the fewest threads, of those who have been there for longest', () =>
    fc.assert(
      fc.property(
        fc.array(fc.record({ taker: fc.nat(4), ask: fc.boolean() }), { maxLength: 200 }),
        fc.integer({ min: 1, max: 6 }),
        fc.nat(2),
        (steps, threads, pausing) => {
          const reserved = threads > 1 ? 1 : 0;
          const turns = new ThreadTurns<Taker>(threads, reserved);
          const takers: Taker[] = [1, 2, 3, 4, 4].map((share) => ({
            busy: 0,
            share,
            queued: 0,
            since: 0,
            get wants() {
              return this.queued > 0;
            },
          }));
          let time = 0;
          const enter = (taker: Taker) => {
            time += 1;
            taker.since = time;
          };
          for (const { taker: index, ask } of steps) {
            const taker = takers[index]!;
            if (ask) {
              if (taker.queued === 0) enter(taker);
              taker.queued += 1;
              turns.place(taker);
            } else if (taker.busy > 0) {
              turns.count(taker, -1);
              enter(taker);
            }
            for (;;) {
              const busy = takers.reduce((sum, each) => sum + each.busy, 0);
              expect(turns.busyThreads).toBe(busy);
              const [expected] = takers
                .filter((each) => each.queued > 0 && each.busy < each.share)
                .sort((left, right) => left.busy - right.busy || left.since - right.since);
              const free = expected && busy < (expected.busy === 0 ? threads : threads - reserved - pausing);
              expect(turns.next(pausing).next().value).toBe(free ? expected : undefined);
              if (!free) break;
              expected.queued -= 1;
              turns.place(expected);
              turns.count(expected, 1);
              enter(expected);
            }
          }
        },
      ),
      { numRuns: 500 },
    ));
});
