import { SystemClock } from '@sparkle/contracts';

/** A clock that tells the time it was set to, and whose timers run as real ones do. */
export class DateClock extends SystemClock {
  constructor(public time: number) {
    super();
  }

  override now(): number {
    return this.time;
  }
}
