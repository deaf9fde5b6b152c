import { once } from 'node:events';
import { SeededRandom } from '@sparkle/contracts';
import { until } from '@sparkle/contracts/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BUCKET, MoveHarness } from './move-harness.js';
import { killProcess, startProcess } from './workload.js';

let harness: MoveHarness;

beforeAll(async () => {
  harness = await MoveHarness.start();
});
afterAll(() => harness.stop());

// Each test makes many moves, some of them in processes of their own.
describe('a move of a bucket under writes', { timeout: 180_000 }, () => {
  it.each(['noting', 'copying', 'caught_up', 'drained', 'switched', 'redirected'] as const)(
    'goes on in another process when its own is killed at the step "%s"',
    async (step) => {
      await harness.underWrites(async (writers) => {
        const target = await harness.target();
        const mover = startProcess('mover.fixture.ts', {
          options: harness.cluster.options(),
          bucket: BUCKET,
          target,
          step,
        });
        const [, signal] = await once(mover.child, 'exit');
        expect(signal).toBe('SIGKILL');
        await harness.resumeUntilDone();
        expect(await harness.source()).toBe(target);
        expect(writers.map(({ failed }) => failed)).toEqual([0, 0, 0]);
      });
    },
  );

  it('goes on when its process is killed at no particular point', async () => {
    const random = new SeededRandom(7);
    for (let round = 0; round < 2; round++)
      await harness.underWrites(async () => {
        const target = await harness.target();
        const mover = startProcess('mover.fixture.ts', {
          options: harness.cluster.options(),
          bucket: BUCKET,
          target,
        });
        await once(mover.lines, 'line');
        await new Promise((resolve) => setTimeout(resolve, random.next() * 300));
        await killProcess(mover.child);
        await harness.resumeUntilDone();
      });
  });

  it('lets writers through though its process hangs behind the fence', async () => {
    await harness.underWrites(async (writers) => {
      const target = await harness.target();
      const mover = startProcess('mover.fixture.ts', {
        options: harness.cluster.options({ fenceMs: 500 }),
        bucket: BUCKET,
        target,
        step: 'fenced',
        signal: 'SIGSTOP',
      });
      const source = harness.cluster.server(await harness.source());
      await until(async () => {
        const fenced = await source.query(
          `SELECT FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted AND objid = $1
             AND classid = ${0x73686264}`,
          [BUCKET],
        );
        return fenced.length > 0;
      }, 'the fence');
      const before = writers[0]!.acknowledged;
      await until(async () => writers[0]!.acknowledged > before + 3, 'writes behind the fence');
      mover.child.kill('SIGKILL');
      await once(mover.child, 'exit');
      await harness.resumeUntilDone();
      expect(await harness.source()).toBe(target);
      expect(writers.map(({ failed }) => failed)).toEqual([0, 0, 0]);
    });
  });
});
