import { SystemClock } from '@sparkle/contracts';

/** The clock of a machine that is off by so many milliseconds. */
export class ShiftedClock extends SystemClock {
  constructor(private readonly offsetMs: number) {
    super();
  }

  override now(): number {
    return super.now() + this.offsetMs;
  }

  override monotonic(): number {
    return super.monotonic() + this.offsetMs;
  }
}
