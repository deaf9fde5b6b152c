import { MemoryPermitStore, Semaphores } from '@sparkle/concurrency';
import { SystemClock, type TenantId } from '@sparkle/contracts';
import { interleaved, median } from '../interleaved.js';
import { OURS, type Report } from '../report.js';
import { FLOODER, measureThroughput, othersOf, type Round, type Work } from './tenants.js';

const PERMITS = 32;
const HOLD_MS = 20;
const FLOOD = 200;
const ROUNDS = 5;

/** What a tenant that keeps 200 callers waiting for permits costs those that have one each. */
export async function measurePermits(report: Report): Promise<void> {
  const clock = new SystemClock();
  const semaphores = new Semaphores(new MemoryPermitStore(clock), clock);
  const hold = () => new Promise((resolve) => setTimeout(resolve, HOLD_MS));
  const shared = semaphores.semaphore({ name: 'shared', permits: PERMITS, scope: 'shared' });
  const own = semaphores.semaphore({ name: 'own', permits: PERMITS });
  const works: Record<string, Work> = {
    turns: (tenantId) => shared.withPermit(hold, { tenantId, key: 'turns' }),
    // The same queue without turns: everybody is the same tenant to it.
    queue: () => shared.withPermit(hold, { tenantId: FLOODER, key: 'queue' }),
    tenant: (tenantId: TenantId) => own.withPermit(hold, { tenantId }),
  };
  const round = (flood: number): Round => ({ others: othersOf(2), flood, pauseMs: 0, durationMs: 700 });
  const cases = Object.fromEntries(
    Object.entries(works).flatMap(([name, work]) =>
      [0, FLOOD].map((flood) => [
        `${name}_${flood}`,
        async () => [(await measureThroughput(work, round(flood))).others],
      ]),
    ),
  );
  const figures = await interleaved(cases, { rounds: ROUNDS });
  for (const [name, metric, system] of [
    ['tenant', 'others_permits_of_their_own', OURS],
    ['turns', 'others_shared_permits', OURS],
    ['queue', 'others_shared_permits', 'shared-queue'],
  ] as const) {
    report.add(`${metric}_alone`, median(figures[`${name}_0`]!), 'holds/s', { system });
    report.add(`${metric}_flooded`, median(figures[`${name}_${FLOOD}`]!), 'holds/s', {
      system,
      baseline: `${metric}_alone@${system}`,
    });
  }
  await semaphores.close();
}
