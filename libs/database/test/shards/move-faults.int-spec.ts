import { until } from '@sparkle/contracts/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type MoveStep, MoveTakenOverError } from '../../src/index.js';
import { BUCKET, MoveHarness } from './move-harness.js';
import { createTenant } from './shard-cluster.js';

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

/** From here on a move can only go forward. */
const DECIDED = STEPS.indexOf('switched');

let harness: MoveHarness;

beforeAll(async () => {
  harness = await MoveHarness.start();
});
afterAll(() => harness.stop());

class Crash extends Error {}

// Each test makes many moves, some of them in processes of their own.
describe('a move of a bucket under writes', { timeout: 180_000 }, () => {
  it('that fails at any step can be resumed, or undone as long as nothing is decided', async () => {
    await harness.underWrites(async (writers) => {
      for (const [index, step] of STEPS.entries())
        for (const undo of [false, true]) {
          const source = await harness.source();
          const target = await harness.target();
          const move = harness.operator.administration.moveBucket(BUCKET, target, {
            onProgress: (progress) => {
              if (progress.step === step) throw new Crash();
            },
          });
          await expect(move, step).rejects.toBeInstanceOf(Crash);
          if (undo) {
            const stays = await harness.operator.administration.abortMove(BUCKET);
            expect(stays, step).toBe(index < DECIDED);
          } else {
            await harness.operator.administration.resumeMoves();
          }
          expect(await harness.operator.administration.moves()).toEqual([]);
          expect(await harness.source(), step).toBe(undo && index < DECIDED ? source : target);
        }
      expect(writers.map(({ failed }) => failed)).toEqual([0, 0, 0]);
    });
  });

  it.each(['noting', 'copying', 'copied', 'caught_up', 'switched'] as const)(
    'by a mover that paused at "%s" while another one took over has no effect afterwards',
    async (step) => {
      for (const outcome of ['resume', 'abort'] as const)
        await harness.underWrites(async () => {
          const target = await harness.target();
          const slow = await harness.cluster.open();
          let pause: (() => void) | undefined;
          const paused = new Promise<void>((reached) => {
            pause = reached;
          });
          let goOn: (() => void) | undefined;
          const released = new Promise<void>((resolve) => {
            goOn = resolve;
          });
          let hit = false;
          const late = slow.administration
            .moveBucket(BUCKET, target, {
              onProgress: async (progress) => {
                if (progress.step !== step || hit) return;
                hit = true;
                pause?.();
                await released;
              },
            })
            .then(
              () => 'finished',
              (error: unknown) => error,
            );
          await paused;
          // The network forgets the slow one: its lock in the catalogue is gone, it does not know.
          await harness.cluster
            .server('a')
            .query(
              `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = ${0x73686d76}`,
            );
          await until(async () => {
            if (outcome === 'resume') await harness.operator.administration.resumeMoves();
            else await harness.operator.administration.abortMove(BUCKET);
            return (await harness.operator.administration.moves()).length === 0;
          }, 'the other mover');
          goOn?.();
          const result = await late;
          await slow.close();
          if (result !== 'finished') expect(result).toBeInstanceOf(MoveTakenOverError);
        });
    },
  );

  it('that was handed over by a mover which died is put into service by the first router that comes', async () => {
    const target = await harness.target();
    const tenant = harness.newTenant(BUCKET);
    await createTenant(harness.operator, tenant);
    const move = harness.operator.administration.moveBucket(BUCKET, target, {
      onProgress: ({ step }) => {
        if (step === 'switched') throw new Crash();
      },
    });
    await expect(move).rejects.toBeInstanceOf(Crash);
    const insert = (id: string) =>
      harness.operator.router.withKey(tenant, tenant, (tx) =>
        tx.query('INSERT INTO users (tenant_id, id) VALUES ($1, $2)', [tenant, id]),
      );
    await insert('ada');
    expect(await harness.operator.router.locate(tenant)).toEqual({ bucket: BUCKET, shard: target });
    // Another process, whose map is from the catalogue and says the old shard.
    const late = await harness.cluster.open();
    expect(await late.router.locate(tenant)).not.toEqual({ bucket: BUCKET, shard: target });
    const seen = await late.router.withKey(tenant, tenant, (tx) => tx.query('SELECT id FROM users'));
    expect(seen).toEqual([{ id: 'ada' }]);
    await harness.resumeUntilDone();
    await insert('bob');
    const found = await harness.cluster.everywhere('SELECT id FROM users WHERE tenant_id = $1 ORDER BY id', [
      tenant,
    ]);
    expect(found).toEqual([[target, [{ id: 'ada' }, { id: 'bob' }]]]);
  });
});
