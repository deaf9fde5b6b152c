import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { MoveStep, Shards } from '../../src/index.js';
import { BUCKET, MoveHarness } from './move-harness.js';
import { createTenant } from './shard-cluster.js';
import { expectIntact, Writer } from './workload.js';

const STEPS: readonly MoveStep[] = [
  ...([
    'begun',
    'noting',
    'receiving',
    'copying',
    'copied',
    'caught_up',
    'verified',
    'fenced',
    'drained',
  ] as const),
  ...(['switched', 'accepted', 'redirected', 'cleaned'] as const),
];

type Action =
  | { readonly kind: 'write'; readonly writer: number; readonly count: number }
  /** A mover that writes `count` changes at the step, and dies there. */
  | { readonly kind: 'crash'; readonly step: MoveStep; readonly count: number }
  | { readonly kind: 'resume' }
  | { readonly kind: 'abort' };

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    kind: fc.constant('write' as const),
    writer: fc.nat(1),
    count: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({
    kind: fc.constant('crash' as const),
    step: fc.constantFrom(...STEPS),
    count: fc.nat(3),
  }),
  fc.record({ kind: fc.constant('resume' as const) }),
  fc.record({ kind: fc.constant('abort' as const) }),
);

let harness: MoveHarness;
let stale: Shards;

beforeAll(async () => {
  harness = await MoveHarness.start();
  stale = await harness.cluster.open();
});
afterAll(() => harness.stop());

class Crash extends Error {}

it('keeps exactly what was acknowledged, whatever order writes, crashes, resumed and undone moves come in', async () => {
  const { operator, cluster } = harness;
  const fence = (step: MoveStep) => step === 'fenced' || step === 'drained';
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 3, maxLength: 12 }), fc.nat(), async (actions, seed) => {
      const writers: Writer[] = [];
      for (const shards of [operator, stale]) {
        const tenant = harness.newTenant(BUCKET);
        await createTenant(shards, tenant);
        writers.push(new Writer(shards, tenant, seed + writers.length));
      }
      const write = async (writer: number, count: number) => {
        for (let n = 0; n < count; n++) await writers[writer]!.change();
      };
      for (const next of actions) {
        if (next.kind === 'write') await write(next.writer, next.count);
        else if (next.kind === 'resume') await operator.administration.resumeMoves();
        else if (next.kind === 'abort') await operator.administration.abortMove(BUCKET);
        else {
          const [unfinished] = await operator.administration.moves();
          const target = unfinished?.target ?? (await harness.target());
          await operator.administration
            .moveBucket(BUCKET, target, {
              onProgress: async ({ step }) => {
                if (step !== next.step) return;
                // Behind the fence a writer would wait for the mover, which waits for it here.
                if (!fence(step)) await write(0, next.count);
                throw new Crash();
              },
            })
            .catch((error: unknown) => {
              if (!(error instanceof Crash)) throw error;
            });
        }
      }
      await harness.resumeUntilDone();
      expect(writers.map(({ failed }) => failed)).toEqual([0, 0]);
      await expectIntact(cluster, writers);
    }),
    { numRuns: 12 },
  );
}, 180_000);
