import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BUCKET, MoveHarness } from './move-harness.js';

let harness: MoveHarness;

beforeAll(async () => {
  harness = await MoveHarness.start();
});
afterAll(() => harness.stop());

// Servers that start again take their time, on a busy machine above all.
describe('a move of a bucket under writes', { timeout: 180_000 }, () => {
  it.each(['copying', 'fenced', 'switched'] as const)(
    'survives a crash of either server at "%s"',
    async (step) => {
      for (const crashed of ['source', 'target'] as const)
        await harness.underWrites(async () => {
          const source = await harness.source();
          const target = await harness.target();
          let hit = false;
          await harness.operator.administration
            .moveBucket(BUCKET, target, {
              onProgress: async (progress) => {
                if (progress.step !== step || hit) return;
                hit = true;
                await harness.cluster.server(crashed === 'source' ? source : target).restart();
              },
            })
            .catch(() => undefined);
          expect(hit).toBe(true);
          await harness.resumeUntilDone();
          expect(await harness.source()).toBe(target);
        });
    },
  );
});
