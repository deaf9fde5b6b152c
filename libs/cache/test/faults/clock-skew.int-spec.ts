import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CacheProcess, Ledger } from './cache-processes.js';
import { commandCalls, type Deployment, deployments } from './deployments.js';

const MINUTE_MS = 60_000;
const WITHIN = { timeout: 10_000, interval: 10 };

describe.each(deployments)('processes whose clocks are two minutes apart, on $name', ({ start }) => {
  let deployment: Deployment;
  let ledger: Ledger;
  let behind: CacheProcess;
  let ahead: CacheProcess;

  beforeAll(async () => {
    [deployment, ledger] = await Promise.all([start(), Ledger.open()]);
    const settings = { address: deployment.address, ledger: ledger.url };
    [behind, ahead] = await Promise.all([
      CacheProcess.start({ ...settings, shiftMs: -MINUTE_MS }),
      CacheProcess.start({ ...settings, shiftMs: MINUTE_MS }),
    ]);
    await vi.waitFor(async () => {
      expect((await behind.connected()) && (await ahead.connected())).toBe(true);
    }, WITHIN);
  });
  afterAll(async () => {
    await behind?.kill();
    await ahead?.kill();
    await ledger?.close();
    await deployment?.stop();
  });

  const scopes = () => deployment.tenants.map((tenantId) => ({ tenantId, namespace: 'courses' }));
  const pairs = () =>
    [
      [behind, ahead],
      [ahead, behind],
    ] as const;

  it('see each other’s invalidations, whoever makes them', async () => {
    for (const scope of scopes())
      for (const [writer, reader] of pairs()) {
        const invalidations = {
          delete: () => writer.delete(scope, 'k'),
          deleteByTag: () => writer.deleteByTag(scope, 't'),
          'clear of a namespace': () => writer.clear(scope),
          'clear of a tenant': () => writer.clear({ tenantId: scope.tenantId }),
        };
        for (const [what, invalidate] of Object.entries(invalidations)) {
          await reader.set(scope, 'k', 'old', { tags: ['t'] });
          await vi.waitFor(async () => expect(await writer.get(scope, 'k'), what).toBe('old'), WITHIN);
          expect(await invalidate(), what).toBe('applied');
          expect(await writer.get(scope, 'k'), what).toBeUndefined();
          await vi.waitFor(async () => expect(await reader.get(scope, 'k'), what).toBeUndefined(), WITHIN);
          // What is written after an invalidation is not taken for older than it.
          await writer.set(scope, 'k', 'new', { tags: ['t'] });
          await vi.waitFor(async () => expect(await reader.get(scope, 'k'), what).toBe('new'), WITHIN);
        }
      }
  });

  it('overtake each other’s loads', async () => {
    const [scope] = scopes();
    for (const [writer, reader] of pairs()) {
      const load = { id: `overtaken by ${writer.pid}`, gated: true, value: 'old' };
      const options = { tags: ['t'] };
      const call = reader.getOrSet({ scope: scope!, key: 'overtaken', callers: 1, load, options });
      await vi.waitFor(async () => expect(await ledger.starts(load.id)).toHaveLength(1), WITHIN);
      expect(await writer.deleteByTag(scope!, 't')).toBe('applied');
      await ledger.openGate(load.id);
      expect(await call.outcomes).toEqual(['old']);
      for (const each of [writer, reader]) expect(await each.get(scope!, 'overtaken')).toBeUndefined();
    }
  });

  it('agree on how long a value is fresh, and neither drops it early nor serves it late', async () => {
    for (const scope of scopes())
      for (const [writer, reader] of pairs()) {
        await writer.set(scope, 'long', 'value', { ttlMs: 30_000 });
        for (const each of [reader, writer]) {
          const found = await each.peek(scope, 'long');
          expect(found).toMatchObject({ value: 'value', state: 'fresh' });
          expect(found?.remainingMs).toBeLessThanOrEqual(30_000);
          expect(found?.remainingMs).toBeGreaterThan(0);
        }
        await vi.waitFor(async () => {
          await writer.set(scope, 'short', 'value', { ttlMs: 100 });
          expect(await reader.get(scope, 'short')).toBe('value');
        }, WITHIN);
        for (const each of [reader, writer])
          await vi.waitFor(async () => expect(await each.get(scope, 'short')).toBeUndefined(), WITHIN);
        expect(await reader.get(scope, 'long')).toBe('value');
      }
  });

  it('never make Redis look through its keys', async () => {
    const names = [...(await commandCalls(deployment)).keys()];
    expect(names).toContain('evalsha');
    for (const name of ['keys', 'scan', 'sscan', 'hscan', 'zscan', 'randomkey'])
      expect(names).not.toContain(name);
    expect([...behind.unhandled, ...ahead.unhandled]).toEqual([]);
  });
});
