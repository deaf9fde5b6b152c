import { MemoryPermitStore, type PermitStore } from '@sparkle/concurrency';
import { parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { describe, expect, it } from 'vitest';
import { PROBE_LEASE_MS, probeLease } from './lease-probe.js';

const tenantId = parseTenantId('demo');

/** Time goes on whenever the probe waits. */
class HastyClock extends TestClock {
  override sleep(delayMs: number): Promise<void> {
    const woken = super.sleep(delayMs);
    return this.advance(delayMs).then(() => woken);
  }
}

describe('probeLease', () => {
  it('finds that the permit of a holder that never renews comes back after its lease, to the next token', async () => {
    const clock = new HastyClock();
    const probe = await probeLease(new MemoryPermitStore(clock), clock, tenantId, 'one');
    expect(probe).toMatchObject({ excluded: true, fenced: true });
    expect(probe?.returnedAfterMs).toBeGreaterThanOrEqual(PROBE_LEASE_MS);
    expect(probe?.returnedAfterMs).toBeLessThan(PROBE_LEASE_MS + 100);
  });

  it('sees a store that gives one permit to two callers at once', async () => {
    const clock = new HastyClock();
    const real = new MemoryPermitStore(clock);
    const careless = Object.create(real) as PermitStore;
    careless.acquire = (request) =>
      real.acquire({ ...request, pool: { ...request.pool, id: request.permitId } });
    expect(await probeLease(careless, clock, tenantId, 'two')).toMatchObject({ excluded: false });
  });

  it('says so when the permit never comes back', async () => {
    const clock = new HastyClock();
    const real = new MemoryPermitStore(clock);
    const stuck = Object.create(real) as PermitStore;
    stuck.acquire = (request) => real.acquire({ ...request, pool: { ...request.pool, leaseMs: 3_600_000 } });
    expect(await probeLease(stuck, clock, tenantId, 'three')).toBeUndefined();
  });
});
