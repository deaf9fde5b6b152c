import type { ClockTimer } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import type pg from 'pg';
import { beforeEach, describe, expect, it } from 'vitest';
import { SilenceWatch } from '../src/core/silence-watch.js';

/** As much of a client as the watch looks at. */
class Line {
  bytesRead = 0;
  cut = false;
  readonly connection = { stream: this };

  destroy(): void {
    this.cut = true;
  }

  async end(): Promise<void> {}
}

/** The clock of a process that stood still: its timers come late. */
class LateClock extends TestClock {
  lateByMs = 0;

  override schedule(delayMs: number, callback: () => void): ClockTimer {
    return super.schedule(delayMs + this.lateByMs, callback);
  }
}

let clock: LateClock;
let line: Line;
let watch: SilenceWatch;

beforeEach(() => {
  clock = new LateClock();
  line = new Line();
  watch = new SilenceWatch(line as unknown as pg.Client, clock);
  watch.limitMs = 1_000;
});

const never = () => new Promise<never>(() => undefined);

describe('a connection', () => {
  it('is cut when nothing has come for as long as it may be silent', async () => {
    void watch.expect(never());
    await clock.advance(999);
    expect([line.cut, watch.silentMs]).toEqual([false, undefined]);
    await clock.advance(1);
    expect([line.cut, watch.silentMs]).toEqual([true, 1_000]);
  });

  it('is not cut while no answer is due, or when any silence is borne', async () => {
    await watch.expect(Promise.resolve());
    await clock.advance(10_000);
    watch.limitMs = 0;
    void watch.expect(never());
    await clock.advance(1_000_000);
    expect(line.cut).toBe(false);
    expect(clock.pendingTimers).toBe(0);
  });

  it('is not cut while a long answer is coming in', async () => {
    void watch.expect(never());
    for (let chunk = 0; chunk < 20; chunk++) {
      await clock.advance(900);
      line.bytesRead += 1_000;
    }
    expect(line.cut).toBe(false);
    await clock.advance(2_000);
    expect(line.cut).toBe(true);
  });

  it('gives each of the statements that wait on it its full time', async () => {
    let answer!: () => void;
    const first = watch.expect(
      new Promise<void>((resolve) => {
        answer = resolve;
      }),
    );
    void watch.expect(never());
    await clock.advance(900);
    answer();
    await first;
    await clock.advance(900);
    expect(line.cut).toBe(false);
    await clock.advance(100);
    expect(line.cut).toBe(true);
  });

  it('is not blamed for a process that stood still, but for no more than three times in a row', async () => {
    clock.lateByMs = 500;
    void watch.expect(never());
    await clock.advance(3 * 1_500);
    expect(line.cut).toBe(false);
    await clock.advance(1_500);
    expect(line.cut).toBe(true);
  });
});
