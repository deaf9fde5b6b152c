import { TestClock } from '@sparkle/contracts/testing';
import { describe, expect, it } from 'vitest';
import { MemoryFleetFigures } from '../adapters/memory/memory-fleet-figures.js';
import { FleetStoreTimeoutError } from '../errors.js';
import type { FleetFigures } from '../ports/fleet-figures.port.js';
import { instanceFigures } from '../testing/fleet-figures.contract.js';
import { FleetMonitor } from './fleet-monitor.js';
import { LatencyHistogram } from './latency-histogram.js';

const THRESHOLDS = { p95Ms: 2000, errorRate: 0.01, cpu: 0.7, memory: 0.8, healthyFrom: 70 };

function figuresOf(durations: readonly number[], changes: Parameters<typeof instanceFigures>[0] = {}) {
  const latency = new LatencyHistogram();
  for (const duration of durations) latency.record(duration);
  return instanceFigures({
    requests: durations.length,
    failed: 0,
    cpu: 0.1,
    memory: 0.1,
    latency: latency.encode(),
    ...changes,
  });
}

function open(store: FleetFigures, clock: TestClock, figures = figuresOf([1])) {
  const failures: string[] = [];
  const { service, instance, ...own } = figures;
  const monitor = new FleetMonitor(
    clock,
    store,
    { service, instance, publishEveryMs: 5000 },
    () => own,
    THRESHOLDS,
    (operation) => failures.push(operation),
  );
  return { monitor, failures };
}

describe('FleetMonitor', () => {
  it('reports percentiles of all requests of a service, which are no average of the instances’', async () => {
    const clock = new TestClock();
    const store = new MemoryFleetFigures(clock);
    // One instance out of three is slow: P95 of the service is, the mean of three P95s is not.
    const fast = Array.from({ length: 100 }, () => 10);
    await store.publish(figuresOf(fast, { instance: 'b', qps10s: 2, active: 3, cpu: 0.9, failed: 6 }));
    await store.publish(
      figuresOf(
        Array.from({ length: 100 }, () => 4000),
        { instance: 'c', qps10s: 1, active: 4 },
      ),
    );
    await store.publish(figuresOf([70_000], { service: 'worker', instance: 'd' }));
    const { monitor } = open(store, clock, figuresOf(fast, { instance: 'a', qps10s: 0.5, active: 1 }));

    const report = await monitor.report();

    expect(report.scope).toBe('fleet');
    const [api, worker] = report.services;
    expect(api).toMatchObject({ service: 'api', instances: 3, status: 'unhealthy', score: 40 });
    expect(api?.deductions.map(({ figure }) => figure)).toEqual(['p95Ms', 'errorRate', 'cpu']);
    expect(api?.figures).toMatchObject({ requests: 300, qps10s: 3.5, active: 8, errorRate: 0.02, cpu: 0.9 });
    expect(api?.figures.p50Ms).toBeCloseTo(10, 0);
    expect(Math.abs((api?.figures.p95Ms ?? 0) - 4000)).toBeLessThan(40);
    expect(worker).toMatchObject({ service: 'worker', instances: 1, score: 70 });
    expect(report.instances).toHaveLength(4);
  });

  it('counts the own process once, and as it is now', async () => {
    const clock = new TestClock();
    const store = new MemoryFleetFigures(clock);
    const { monitor } = open(store, clock);
    await monitor.start();
    await clock.advance(3000);
    const report = await monitor.report();
    expect(report.instances).toMatchObject([{ service: 'api', instance: 'one', ageMs: 0 }]);
    await monitor.stop();
    expect(clock.pendingTimers).toBe(0);
    expect(await store.read()).toEqual([]);
  });

  it('publishes at an interval, and is gone from the others’ reports when it dies', async () => {
    const clock = new TestClock();
    const store = new MemoryFleetFigures(clock, 15_000);
    const dying = open(store, clock, figuresOf([1], { instance: 'dying' })).monitor;
    await dying.start();
    await clock.advance(60_000);
    const { monitor } = open(store, clock, figuresOf([1], { instance: 'living' }));
    expect((await monitor.report()).instances.map(({ instance }) => instance)).toEqual(['living', 'dying']);
    // Withdrawn from the store by nobody: it just publishes no more.
    const silent = new MemoryFleetFigures(clock, 15_000);
    await silent.publish(figuresOf([1], { instance: 'dying' }));
    const other = open(silent, clock, figuresOf([1], { instance: 'living' })).monitor;
    await clock.advance(15_000);
    expect((await other.report()).instances.map(({ instance }) => instance)).toEqual(['living']);
    await dying.stop();
  });

  it('reports on the own process alone, says why and counts it, while the store is down', async () => {
    const clock = new TestClock();
    const down: FleetFigures = {
      publish: () => Promise.reject(new FleetStoreTimeoutError(250)),
      read: () => Promise.reject(new FleetStoreTimeoutError(250)),
      withdraw: () => Promise.reject(new Error('connect ECONNREFUSED redis://:hunter2@10.0.0.7')),
    };
    const { monitor, failures } = open(down, clock);
    await monitor.start();
    const report = await monitor.report();
    expect(report).toMatchObject({ scope: 'process', reason: 'FLEET_STORE_TIMEOUT' });
    expect(report.instances).toHaveLength(1);
    await clock.advance(5000);
    expect(failures).toEqual(['publish', 'read', 'publish']);
    await monitor.stop();
    expect(JSON.stringify(report)).not.toContain('hunter2');
  });

  it('leaves an instance without latencies that can be read out of the percentiles only', async () => {
    const clock = new TestClock();
    const store = new MemoryFleetFigures(clock);
    await store.publish(figuresOf([9000], { instance: 'odd', latency: 'no histogram', requests: 5 }));
    const { monitor } = open(store, clock, figuresOf([10]));
    const [api] = (await monitor.report()).services;
    expect(api?.figures.requests).toBe(6);
    expect(api?.figures.p99Ms).toBeCloseTo(10, 0);
  });
});
