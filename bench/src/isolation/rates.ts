import { MemoryRateLimitStore, type RateLimitDimension, RateLimiter } from '@sparkle/concurrency';
import { SimulatedTime } from '@sparkle/concurrency/testing';
import type { TenantId } from '@sparkle/contracts';
import { OURS, type Report } from '../report.js';
import { FLOODER, othersOf } from './tenants.js';

const SECONDS = 60;
const REQUESTS_PER_SECOND = 10;
const TIMES = 100;

/**
 * How many requests of a tenant that keeps to its plan are admitted while another asks for 100 times as much; in
 * simulated time, so that the figures are exact.
 */
export async function measureRates(report: Report): Promise<void> {
  const [other] = othersOf(1) as [TenantId];
  const admittedPerSecond = async (keyOf: (tenantId: TenantId) => TenantId, flooded: boolean) => {
    const time = new SimulatedTime();
    const store = new MemoryRateLimitStore(time);
    const limiter = new RateLimiter(store, store, time, { name: 'isolation', outagePolicy: 'closed' });
    const dimension: RateLimitDimension = {
      name: 'plan',
      key: 'plan',
      rule: { algorithm: 'token-bucket', limit: 2 * REQUESTS_PER_SECOND, windowMs: 1000, burst: 1 },
    };
    const ask = async (tenantId: TenantId) =>
      (await limiter.consume({ tenantId: keyOf(tenantId), dimensions: [dimension] })).admitted;
    let admitted = 0;
    for (let count = 0; count < SECONDS * REQUESTS_PER_SECOND; count += 1) {
      if (flooded) for (let extra = 0; extra < TIMES; extra += 1) await ask(FLOODER);
      if (await ask(other)) admitted += 1;
      time.run(1000 / REQUESTS_PER_SECOND);
    }
    return admitted / SECONDS;
  };
  for (const [system, keyOf] of [
    [OURS, (tenantId: TenantId) => tenantId],
    ['shared-limit', () => FLOODER],
  ] as const) {
    report.add('other_admitted_alone', await admittedPerSecond(keyOf, false), 'requests/s', { system });
    report.add('other_admitted_flooded', await admittedPerSecond(keyOf, true), 'requests/s', {
      system,
      baseline: `other_admitted_alone@${system}`,
    });
  }
}
