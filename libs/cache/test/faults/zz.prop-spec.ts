import { parseTenantId } from '@sparkle/contracts';
import { SeededRandom } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Action, Actor, actionOf, cellsOf } from './coherence-actions.js';
import { CoherenceModel } from './coherence-model.js';
import { Interleaving, interleavedMembers } from './interleaving.js';

const MEMBERS = 3;
const cells = cellsOf(parseTenantId('acme'));

type Step = Action | { readonly kind: 'cut' | 'heal'; readonly member: number } | { readonly kind: 'wait' };

/** Everything that can be said about one run follows from these two. */
async function interleave(seed: number, steps: readonly Step[], maxWaitMs: number): Promise<number> {
  const interleaving = new Interleaving(new SeededRandom(seed), maxWaitMs);
  const { turn, clock } = interleaving;
  let model: CoherenceModel;
  const members = interleavedMembers(MEMBERS, interleaving, () => model);
  model = new CoherenceModel(members, cells);
  const actor = new Actor(members, cells, model, turn);
  const running = steps.map(async (step) => {
    await turn();
    switch (step.kind) {
      case 'cut':
      case 'heal':
        model.setCut(step.member, step.kind === 'cut');
        members[step.member]!.bus.setConnected(step.kind === 'heal');
        return;
      case 'wait':
        return clock.advance(600);
      default:
        return actor.perform(step);
    }
  });
  await interleaving.runUntil(Promise.all(running));
  // Everything has ended and arrived: what any process still has is the truth.
  expect(model.delivered).toBe(true);
  await interleaving.runUntil(
    Promise.all(
      [...members.keys()].flatMap((member) =>
        cells.map((cell) =>
          model.read(member, cell, () => members[member]!.cache.get<number>(cell.scope, cell.key)),
        ),
      ),
    ),
  );
  for (const { cache } of members) cache.close();
  return model.readsChecked;
}

describe('reads', () => {
  it('give nothing older than the last change they can know of, and wait for no lease, in 10,000 interleavings', async () => {
    const step = fc.oneof(
      { weight: 12, arbitrary: actionOf(MEMBERS) },
      { weight: 1, arbitrary: fc.constant({ kind: 'wait' as const }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.array(step, { minLength: 4, maxLength: 12 }), async (seed, steps) => {
        await interleave(seed, steps, 0);
      }),
      { numRuns: 1, endOnFailure: false },
    );
  }, 560_000);

  it('do so too when buses are cut and healed meanwhile, in 5,000 interleavings', async () => {
    const step = fc.oneof(
      { weight: 10, arbitrary: actionOf(MEMBERS) },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constantFrom('cut' as const, 'heal' as const),
          member: fc.nat({ max: MEMBERS - 1 }),
        }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.array(step, { minLength: 4, maxLength: 14 }), async (seed, steps) => {
        // Who misses the news of a load's end looks again when its lease would have run out.
        await interleave(seed, steps, 60_000);
      }),
      { numRuns: 400_000, endOnFailure: false },
    );
  }, 560_000);
});
