import { setImmediate as nextTick } from 'node:timers/promises';

/** Work on this many rows takes some milliseconds. */
const SLICE = 10_000;

/** Goes through rows in order and lets others have their turn between slices. */
export async function inSlices<Row>(
  rows: Iterable<Row>,
  work: (row: Row, index: number) => void,
): Promise<void> {
  let index = 0;
  for (const row of rows) {
    if (index > 0 && index % SLICE === 0) await nextTick();
    work(row, index);
    index += 1;
  }
}
