import { PRIORITIES, type Priority } from '@sparkle/concurrency';
import { parseTenantId } from '@sparkle/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryJobTurns } from './memory-job-turns.js';
import { bullPriority, TURNS_PER_PRIORITY, turnOf } from './turn-priority.js';

interface WaitingJob {
  readonly tenant: number;
  readonly serial: number;
  readonly place: number;
  /** Jobs of each tenant begun before this one was added. */
  readonly begunBefore: readonly number[];
  /** Jobs of its own tenant that waited when it was added. */
  readonly ahead: number;
}

const TENANTS = 4;

/** A queue as BullMQ orders it, whose waiting jobs have places by turns. */
class Queue {
  private readonly turns = new MemoryJobTurns();
  private readonly waiting: WaitingJob[] = [];
  private serial = 0;
  readonly begun = Array.from({ length: TENANTS }, () => 0);

  async add(tenant: number): Promise<void> {
    const turn = await this.turns.take('ingestion', 'high', parseTenantId(`t${tenant}`));
    this.waiting.push({
      tenant,
      serial: this.serial++,
      place: bullPriority('high', turn),
      begunBefore: [...this.begun],
      ahead: this.waitingOf(tenant),
    });
  }

  async begin(): Promise<WaitingJob | undefined> {
    this.waiting.sort((one, other) => one.place - other.place || one.serial - other.serial);
    const job = this.waiting.shift();
    if (!job) return undefined;
    await this.turns.begin('ingestion', 'high', turnOf(job.place)!.turn);
    this.begun[job.tenant]! += 1;
    return job;
  }

  waitingOf(tenant: number): number {
    return this.waiting.filter((job) => job.tenant === tenant).length;
  }
}

/** A tenant adds so many jobs, or (undefined) a worker begins one. */
const steps = fc.array(
  fc.option(fc.record({ tenant: fc.nat(TENANTS - 1), jobs: fc.integer({ min: 1, max: 40 }) })),
  { minLength: 1, maxLength: 120 },
);

describe('turns', () => {
  it('let a job wait for at most one job of each other tenant per job of its own tenant, and one more', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const queue = new Queue();
        const check = (job: WaitingJob | undefined) => {
          if (!job) return;
          for (let other = 0; other < TENANTS; other++) {
            if (other === job.tenant) continue;
            const overtook = queue.begun[other]! - job.begunBefore[other]!;
            expect(overtook).toBeLessThanOrEqual(job.ahead + 2);
          }
        };
        for (const step of script) {
          if (step) for (let n = 0; n < step.jobs; n++) await queue.add(step.tenant);
          else check(await queue.begin());
        }
        for (let job = await queue.begin(); job; job = await queue.begin()) check(job);
      }),
      { seed: 11, numRuns: 300 },
    );
  });

  it('serve tenants that all have jobs waiting equally, within one job', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 300 }), { minLength: TENANTS, maxLength: TENANTS }),
        async (backlogs) => {
          const queue = new Queue();
          for (const [tenant, jobs] of backlogs.entries())
            for (let n = 0; n < jobs; n++) await queue.add(tenant);
          while (backlogs.every((_, tenant) => queue.waitingOf(tenant) > 0)) {
            await queue.begin();
            expect(Math.max(...queue.begun) - Math.min(...queue.begun)).toBeLessThanOrEqual(1);
          }
        },
      ),
      { seed: 12, numRuns: 60 },
    );
  });

  it('keep the order of one tenant', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const queue = new Queue();
        const last = Array.from({ length: TENANTS }, () => -1);
        const check = (job: WaitingJob | undefined) => {
          if (!job) return;
          expect(job.serial).toBeGreaterThan(last[job.tenant]!);
          last[job.tenant] = job.serial;
        };
        for (const step of script) {
          if (step) for (let n = 0; n < step.jobs; n++) await queue.add(step.tenant);
          else check(await queue.begin());
        }
        for (let job = await queue.begin(); job; job = await queue.begin()) check(job);
      }),
      { seed: 13, numRuns: 100 },
    );
  });
});

describe('the priority that BullMQ is given', () => {
  const place = fc.record({
    priority: fc.constantFrom<Priority>(...PRIORITIES),
    turn: fc.nat(TURNS_PER_PRIORITY - 1),
  });

  it('orders by class, then by turn, within the numbers BullMQ takes', () => {
    fc.assert(
      fc.property(place, place, (one, other) => {
        const [first, second] = [
          bullPriority(one.priority, one.turn),
          bullPriority(other.priority, other.turn),
        ];
        for (const number of [first, second]) {
          expect(number).toBeGreaterThanOrEqual(1);
          expect(number).toBeLessThanOrEqual(2 ** 21 - 1);
        }
        const classes = PRIORITIES.indexOf(one.priority) - PRIORITIES.indexOf(other.priority);
        expect(Math.sign(first - second)).toBe(Math.sign(classes || one.turn - other.turn));
      }),
    );
  });

  it('tells the class and turn again, and nothing of jobs that take no turns', () => {
    fc.assert(
      fc.property(place, ({ priority, turn }) => {
        expect(turnOf(bullPriority(priority, turn))).toEqual({ priority, turn });
      }),
    );
    expect(turnOf(0)).toBeUndefined();
  });

  it('keeps turns past the last that fits behind all others of their class, and before the next class', () => {
    expect(bullPriority('high', 10 ** 9)).toBe(bullPriority('high', TURNS_PER_PRIORITY - 1));
    expect(bullPriority('high', 10 ** 9)).toBeLessThan(bullPriority('medium', 0));
  });
});
