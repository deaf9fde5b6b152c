import { PRIORITIES } from '@sparkle/concurrency';
import { parseTenantId } from '@sparkle/contracts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobTurns } from '../../src/queue/turns/job-turns.port.js';
import { MemoryJobTurns } from '../../src/queue/turns/memory-job-turns.js';

const A = parseTenantId('a');
const B = parseTenantId('b');

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('take' as const), tenant: fc.nat(3) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('begin' as const), turn: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('current' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
);

/** Every guarantee of the {@link JobTurns} port; run it against each adapter. */
export function jobTurnsContract(
  name: string,
  open: () => Promise<{ turns: JobTurns; close(): Promise<void> }>,
): void {
  describe(`${name} keeps the contract of turns`, () => {
    let subject: Awaited<ReturnType<typeof open>>;
    let turns: JobTurns;

    beforeAll(async () => {
      subject = await open();
      turns = subject.turns;
    });
    afterAll(() => subject?.close());

    it('gives one tenant turns one after the other, and each tenant its own', async () => {
      const taken = [];
      for (const tenant of [A, A, B, A]) taken.push(await turns.take('ingestion', 'high', tenant));
      expect(taken).toEqual([0, 1, 0, 2]);
    });

    it('gives a newcomer the turn that is under way, and none that has passed', async () => {
      await turns.begin('communities', 'high', 7);
      expect(await turns.take('communities', 'high', A)).toBe(7);
      await turns.begin('communities', 'high', 3);
      expect(await turns.current('communities', 'high')).toBe(7);
      expect(await turns.take('communities', 'high', B)).toBe(7);
    });

    it('counts every queue and every class by itself', async () => {
      await turns.begin('summaries', 'high', 5);
      for (const priority of PRIORITIES.slice(1)) expect(await turns.current('summaries', priority)).toBe(0);
      expect(await turns.take('summaries', 'low', A)).toBe(0);
    });

    it('gives no turn twice to a tenant that takes many at once', async () => {
      const taken = await Promise.all(Array.from({ length: 50 }, () => turns.take('summaries', 'medium', A)));
      expect([...taken].sort((one, other) => one - other)).toEqual(Array.from({ length: 50 }, (_, n) => n));
    });

    it('counts as the model does, whatever happens in whatever order', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
          const model = new MemoryJobTurns();
          const both = async <T>(call: (subject: JobTurns) => Promise<T>) => {
            expect(await call(turns)).toEqual(await call(model));
          };
          await turns.restart('ingestion', 'low');
          for (const step of steps) {
            if (step.do === 'take')
              await both((each) => each.take('ingestion', 'low', parseTenantId(`t${step.tenant}`)));
            else if (step.do === 'begin') await both((each) => each.begin('ingestion', 'low', step.turn));
            else if (step.do === 'current') await both((each) => each.current('ingestion', 'low'));
            else await both((each) => each.restart('ingestion', 'low'));
          }
        }),
        { seed: 7, numRuns: 40 },
      );
    });
  });
}
