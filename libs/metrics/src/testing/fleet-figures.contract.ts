import { expect, it } from 'vitest';
import type { FleetFigures, InstanceFigures } from '../ports/fleet-figures.port.js';

/** A store under test, with what only its own world can do. */
export interface FleetFiguresUnderTest {
  readonly store: FleetFigures;
  readonly ttlMs: number;
  /** Lets time pass, or makes it pass, for published figures. */
  age(ms: number): Promise<void>;
}

export function instanceFigures(changes: Partial<InstanceFigures> = {}): InstanceFigures {
  return {
    service: 'api',
    instance: 'one',
    requests: 3,
    failed: 1,
    qps10s: 0.3,
    qps60s: 0.05,
    active: 1,
    maxActive: 2,
    cpu: 0.25,
    memory: null,
    score: 80,
    latency: 'AAAA',
    ...changes,
  };
}

/** What every {@link FleetFigures} must do. */
export function fleetFiguresContract(open: () => Promise<FleetFiguresUnderTest>): void {
  const names = async (store: FleetFigures) =>
    (await store.read()).map(({ figures: { service, instance } }) => `${service}/${instance}`).sort();

  it('gives nothing before anybody has published', async () => {
    const { store } = await open();
    expect(await store.read()).toEqual([]);
  });

  it('gives the newest figures of each instance, unchanged', async () => {
    const { store } = await open();
    await store.publish(instanceFigures());
    await store.publish(instanceFigures({ requests: 9 }));
    const worker = instanceFigures({
      service: 'worker',
      cpu: null,
      memory: 0.5,
      latency: 'x'.repeat(20_000),
    });
    await store.publish(worker);
    const read = await store.read();
    expect(read.map(({ figures }) => figures).sort((a, b) => a.service.localeCompare(b.service))).toEqual([
      instanceFigures({ requests: 9 }),
      worker,
    ]);
  });

  it('keeps apart instances whose names could be read as one another’s', async () => {
    const { store } = await open();
    await store.publish(instanceFigures({ service: 'a', instance: 'b/c' }));
    await store.publish(instanceFigures({ service: 'a/b', instance: 'c' }));
    await store.publish(instanceFigures({ service: 'a}{b', instance: 'c\n' }));
    expect(await store.read()).toHaveLength(3);
  });

  it('says how old figures are, and drops an instance that stops publishing', async () => {
    const { store, ttlMs, age } = await open();
    await store.publish(instanceFigures({ instance: 'dying' }));
    await age(ttlMs / 2);
    await store.publish(instanceFigures({ instance: 'living' }));
    const ages = new Map((await store.read()).map(({ figures, ageMs }) => [figures.instance, ageMs]));
    expect(ages.get('dying')).toBeGreaterThanOrEqual(ttlMs / 2);
    expect(ages.get('living')).toBeLessThan(ttlMs / 2);
    await age(ttlMs / 2);
    expect(await names(store)).toEqual(['api/living']);
    await store.publish(instanceFigures({ instance: 'dying' }));
    expect(await names(store)).toEqual(['api/dying', 'api/living']);
  });

  it('drops an instance that withdraws, and no other', async () => {
    const { store } = await open();
    await store.publish(instanceFigures());
    await store.publish(instanceFigures({ instance: 'two' }));
    await store.withdraw(instanceFigures());
    await store.withdraw(instanceFigures({ instance: 'never seen' }));
    expect(await names(store)).toEqual(['api/two']);
  });
}
