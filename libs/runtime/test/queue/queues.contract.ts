import { randomUUID } from 'node:crypto';
import { parseTenantId, type TenantId } from '@sparkle/contracts';
import { UnrecoverableError } from 'bullmq';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type AddOptions,
  DeadLetters,
  type JobPayload,
  type JobQueueSettings,
  JobQueues,
  payloadOf,
  type Reopen,
  type WorkerLoad,
} from '../../src/index.js';
import type { QueueStore } from './queue-store.js';

type Payload = JobPayload<'ingestion'>;
type Work = (payload: Payload) => Promise<void>;

const FAST: Partial<JobQueueSettings> = { attempts: 3, backoffMs: 10 };
const demo = parseTenantId('demo');
const WAIT_MS = 20_000;

const payloadFor = (tenantId: TenantId): Payload => ({
  tenantId,
  jobId: randomUUID(),
  kind: 'ingestion',
  subjectId: randomUUID(),
});

/** Jain's index: 1 when all have the same, 1/n when one has all. */
function jain(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0);
  return sum ** 2 / (shares.length * shares.reduce((total, share) => total + share ** 2, 0));
}

/** Every guarantee of {@link JobQueues} and {@link DeadLetters}, whatever keeps the jobs. */
export function queuesContract(name: string, create: () => Promise<QueueStore>): void {
  describe(`queues on ${name}`, () => {
    let store: QueueStore;
    let opened: JobQueues[];

    beforeEach(async () => {
      opened = [];
      store = await create();
    });
    afterEach(async () => {
      await Promise.all(opened.map((queues) => queues.onApplicationShutdown()));
      await store?.drop();
    });

    /** A process of its own, as far as queues are concerned. */
    const open = (settings = FAST): JobQueues => {
      const queues = new JobQueues(store.open(), settings);
      opened.push(queues);
      return queues;
    };
    const add = async (queues: JobQueues, tenantId: TenantId = demo, options?: AddOptions) => {
      const payload = payloadFor(tenantId);
      await queues.add('ingestion', payload.jobId, payload, options);
      return payload;
    };
    const work = (queues: JobQueues, run: Work, load: WorkerLoad = { concurrency: 1 }) =>
      queues.startWorker('ingestion', (job) => run(payloadOf('ingestion', job)), load);
    const idle = (queues: JobQueues) =>
      vi.waitFor(async () => {
        const { waiting, active, delayed } = (await queues.depths()).ingestion;
        expect(waiting + active + delayed).toBe(0);
      }, WAIT_MS);
    const failed = (queues: JobQueues, count: number) =>
      vi.waitFor(async () => expect((await queues.depths()).ingestion.failed).toBe(count), WAIT_MS);
    /** Gives jobs up: `count` of them for each tenant. */
    const giveUp = async (queues: JobQueues, tenants: readonly TenantId[], count = 1) => {
      const given: Payload[] = [];
      for (const tenant of tenants) for (let n = 0; n < count; n++) given.push(await add(queues, tenant));
      const worker = work(queues, () => Promise.reject(new UnrecoverableError('SOME_CODE: no luck')));
      await failed(queues, given.length);
      await worker.close();
      return given;
    };

    it('run a job that was added twice once, and again when it was added after it had ended', async () => {
      const queues = open();
      const seen: string[] = [];
      const payload = await add(queues);
      await queues.add('ingestion', payload.jobId, payload);
      work(queues, async ({ jobId }) => void seen.push(jobId));
      await idle(queues);
      expect(seen).toEqual([payload.jobId]);
      await queues.add('ingestion', payload.jobId, payload);
      await idle(queues);
      expect(seen).toEqual([payload.jobId, payload.jobId]);
    });

    it('keep a postponed job back, and count what waits, is postponed, runs and failed', async () => {
      const queues = open();
      await add(queues);
      await add(queues, demo, { delayMs: 3_600_000 });
      expect((await queues.depths()).ingestion).toEqual({ waiting: 1, active: 0, delayed: 1, failed: 0 });
      let finish: (() => void) | undefined;
      work(
        queues,
        () =>
          new Promise((_resolve, reject) => {
            finish = () => reject(new UnrecoverableError('no'));
          }),
      );
      await vi.waitFor(() => expect(finish).toBeDefined(), WAIT_MS);
      expect((await queues.depths()).ingestion).toEqual({ waiting: 0, active: 1, delayed: 1, failed: 0 });
      finish!();
      await failed(queues, 1);
      expect((await queues.depths()).ingestion).toEqual({ waiting: 0, active: 0, delayed: 1, failed: 1 });
    });

    it('let a tenant with one job wait for one job of a tenant with hundreds', async () => {
      const queues = open();
      const [heavy, light] = [parseTenantId('heavy'), parseTenantId('light')];
      const order: TenantId[] = [];
      await Promise.all(Array.from({ length: 300 }, () => add(queues, heavy)));
      const begun = await add(queues, light).then(() => order.length);
      work(queues, async ({ tenantId }) => void order.push(tenantId));
      await vi.waitFor(() => expect(order).toContain(light), WAIT_MS);
      expect(order.indexOf(light) - begun).toBeLessThanOrEqual(1);
      // And so for one that comes in the middle.
      const late = parseTenantId('late');
      await add(queues, late);
      const before = order.length;
      await vi.waitFor(() => expect(order).toContain(late), WAIT_MS);
      expect(order.indexOf(late) - before).toBeLessThanOrEqual(3);
      await idle(queues);
      expect(order).toHaveLength(302);
    });

    it('serve tenants equally although their backlogs differ, through two processes', async () => {
      const [one, other] = [open(), open()];
      const tenants = Array.from({ length: 5 }, (_, n) => parseTenantId(`t${n}`));
      const done = new Map(tenants.map((tenant) => [tenant, 0]));
      for (const [n, tenant] of tenants.entries())
        await Promise.all(Array.from({ length: 20 * (n + 1) }, (_, k) => add(k % 2 ? one : other, tenant)));
      let total = 0;
      let fairness: number | undefined;
      const run: Work = async ({ tenantId }) => {
        done.set(tenantId, done.get(tenantId)! + 1);
        total += 1;
        if (total === 90) fairness = jain([...done.values()]);
      };
      for (const queues of [one, other]) work(queues, run, { concurrency: 2 });
      await idle(one);
      expect(fairness).toBeGreaterThan(0.99);
      expect([...done.values()]).toEqual([20, 40, 60, 80, 100]);
    });

    it('begin urgent jobs before others, and move a waiting job up when it becomes urgent', async () => {
      const queues = open();
      const order: string[] = [];
      const low = await add(queues, demo, { priority: 'low' });
      const risen = await add(queues, demo, { priority: 'low' });
      const medium = await add(queues, demo);
      const high = await add(queues, demo, { priority: 'high' });
      await queues.add('ingestion', risen.jobId, risen, { priority: 'high' });
      await queues.add('ingestion', high.jobId, high, { priority: 'low' });
      work(queues, async ({ jobId }) => void order.push(jobId));
      await idle(queues);
      expect(order).toEqual([high, risen, medium, low].map(({ jobId }) => jobId));
    });

    it('try a failing job again in a turn of its own, so that failures buy a tenant nothing', async () => {
      const queues = open({ attempts: 3, backoffMs: 1 });
      const [failing, quiet] = [parseTenantId('failing'), parseTenantId('quiet')];
      const order: TenantId[] = [];
      for (let n = 0; n < 20; n++) await add(queues, failing);
      for (let n = 0; n < 20; n++) await add(queues, quiet);
      work(queues, async ({ tenantId }) => {
        order.push(tenantId);
        if (tenantId === failing) throw new Error('again');
      });
      await idle(queues);
      expect(order).toHaveLength(80);
      const lastQuiet = order.lastIndexOf(quiet);
      expect(order.slice(0, lastQuiet).filter((tenant) => tenant === failing).length).toBeLessThanOrEqual(21);
    });

    it('count turns from 0 again without changing whose turn it is', async () => {
      const queues = open();
      const backend = store.open();
      const tenants = ['a', 'b', 'c'].map(parseTenantId);
      await backend.turns.begin('ingestion', 'medium', 500_000);
      const added: Payload[] = [];
      for (const tenant of tenants) for (let n = 0; n < 3; n++) added.push(await add(queues, tenant));
      await queues.restartTurns();
      expect(await backend.turns.current('ingestion', 'medium')).toBe(0);
      const latecomer = await add(queues, parseTenantId('d'));
      await backend.close();
      const order: string[] = [];
      work(queues, async ({ jobId }) => void order.push(jobId));
      await idle(queues);
      const [a, b, c] = [0, 3, 6].map((from) => added.slice(from, from + 3));
      const rounds = [
        [a![0], b![0], c![0], latecomer],
        [a![1], b![1], c![1]],
        [a![2], b![2], c![2]],
      ];
      expect(order).toEqual(rounds.flat().map((job) => job!.jobId));
    });

    it('begin no more jobs in a second than a queue may, in all processes together', async () => {
      const [one, other] = [open(), open()];
      const begun: number[] = [];
      for (let n = 0; n < 12; n++) await add(one);
      for (const queues of [one, other])
        work(queues, async () => void begun.push(Date.now()), { concurrency: 5, perSecond: 5 });
      await vi.waitFor(() => expect(begun).toHaveLength(12), WAIT_MS);
      // Windows of a second that begin with a job: the sixth job is not in the window of the first.
      expect(begun[5]! - begun[0]!).toBeGreaterThanOrEqual(900);
      expect(begun[10]! - begun[5]!).toBeGreaterThanOrEqual(900);
    });

    it('repeat a scheduled job once for all processes, and end what is no longer scheduled', async () => {
      const [one, other] = [open(), open()];
      const every = (task: JobPayload<'maintenance'>['task']) =>
        ({ queue: 'maintenance', payload: { task }, everyMs: 3_600_000 }) as const;
      for (const queues of [one, other, one])
        await queues.schedule({ a: every('turns'), b: every('partitions') });
      const { waiting, delayed } = (await one.depths()).maintenance;
      expect(waiting + delayed).toBe(2);
      await other.schedule({ b: every('partitions') });
      const schedulers = await one.queueOf('maintenance').getJobSchedulers();
      expect(schedulers.map(({ key }) => key)).toEqual(['b']);
    });

    it('tell other processes of a job: its progress and its end', async () => {
      const [worker, listener] = [open(), open()];
      const told: unknown[] = [];
      const events = listener.events('ingestion');
      await events.waitUntilReady();
      const payload = payloadFor(demo);
      events.on('progress', ({ jobId, data }) => told.push([jobId, data]));
      events.on('completed', ({ jobId }) => told.push([jobId, 'completed']));
      worker.startWorker('ingestion', (job) => job.updateProgress({ step: 'chunk' }), { concurrency: 1 });
      await worker.add('ingestion', payload.jobId, payload);
      await vi.waitFor(() => expect(told).toHaveLength(2), WAIT_MS);
      expect(told).toEqual([
        [payload.jobId, { step: 'chunk' }],
        [payload.jobId, 'completed'],
      ]);
    });

    describe('of dead letters', () => {
      const [acme, other] = [parseTenantId('acme'), parseTenantId('other')];

      it('list the newest first, page by page, by queue and by tenant', async () => {
        const queues = open();
        const letters = new DeadLetters(queues);
        await giveUp(queues, [acme, other], 12);
        const seen: string[] = [];
        let before: number | undefined;
        do {
          const page = await letters.list({ tenantId: acme }, { limit: 5, before });
          for (const { tenantId } of page.deadLetters) expect(tenantId).toBe(acme);
          seen.push(...page.deadLetters.map(({ id }) => id));
          before = page.next;
        } while (before !== undefined);
        expect(new Set(seen).size).toBe(12);
        expect(seen).toHaveLength(12);
        const { deadLetters } = await letters.list({}, { limit: 100 });
        expect(deadLetters).toHaveLength(24);
        const times = deadLetters.map(({ failedAt }) => failedAt);
        expect(times).toEqual([...times].sort((one, next) => next - one));
        expect((await letters.list({ queue: 'summaries' }, { limit: 9 })).deadLetters).toEqual([]);
      });

      it('show what a job carried and why it failed, and to no other tenant', async () => {
        const queues = open();
        const letters = new DeadLetters(queues);
        const [payload] = await giveUp(queues, [acme]);
        const { jobId } = payload!;
        const found = await letters.get('ingestion', jobId, acme);
        expect(found).toMatchObject({ queue: 'ingestion', id: jobId, tenantId: acme, payload, attempts: 1 });
        expect(found.reason).toBe('SOME_CODE: no luck');
        const strange = { code: 'DEAD_LETTER_NOT_FOUND' };
        await expect(letters.get('ingestion', jobId, other)).rejects.toMatchObject(strange);
        await expect(letters.replay('ingestion', jobId, other)).rejects.toMatchObject(strange);
        await expect(letters.discard('ingestion', jobId, other)).rejects.toMatchObject(strange);
        await expect(letters.get('ingestion', randomUUID())).rejects.toMatchObject(strange);
      });

      it('run a replayed job once with all its attempts, however often it was replayed', async () => {
        const queues = open();
        const letters = new DeadLetters(queues);
        const [payload] = await giveUp(queues, [acme]);
        const outcomes = await Promise.all(
          Array.from({ length: 5 }, () => letters.replay('ingestion', payload!.jobId, acme)),
        );
        expect([...outcomes].sort()).toEqual(['replayed', 'running', 'running', 'running', 'running']);
        let attempts = 0;
        work(queues, async () => {
          attempts += 1;
          if (attempts < 3) throw new Error('again');
        });
        await idle(queues);
        expect(attempts).toBe(3);
        expect((await queues.depths()).ingestion.failed).toBe(0);
        await expect(letters.replay('ingestion', payload!.jobId)).rejects.toMatchObject({
          code: 'DEAD_LETTER_NOT_FOUND',
        });
      });

      it('prepare the rows of a job before it runs again, and drop one with nothing left to do', async () => {
        const queues = open();
        const reopened: unknown[] = [];
        const reopen: Reopen = async (payload) => {
          reopened.push(payload);
          return reopened.length === 1;
        };
        const letters = new DeadLetters(queues, { ingestion: reopen });
        const given = await giveUp(queues, [acme], 2);
        expect(await letters.replay('ingestion', given[0]!.jobId)).toBe('replayed');
        expect(await letters.replay('ingestion', given[1]!.jobId)).toBe('obsolete');
        expect(reopened).toEqual(given);
        expect((await queues.depths()).ingestion).toMatchObject({ waiting: 1, failed: 0 });
      });

      it('replay and discard all of a tenant, and leave those of the others', async () => {
        const queues = open();
        const letters = new DeadLetters(queues);
        await giveUp(queues, [acme, other], 3);
        expect(await letters.replayAll({ tenantId: acme })).toBe(3);
        expect((await queues.depths()).ingestion).toMatchObject({ waiting: 3, failed: 3 });
        expect(await letters.discardAll({ queue: 'ingestion', tenantId: acme })).toBe(0);
        expect(await letters.discardAll({ queue: 'ingestion', tenantId: other })).toBe(3);
        expect((await queues.depths()).ingestion).toMatchObject({ waiting: 3, failed: 0 });
      });
    });
  });
}
