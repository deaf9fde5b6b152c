import { describe, expect, it } from 'vitest';
import { acme, deferred, memoryCluster, settle } from '../cluster.js';

describe('a load in progress when the bus is cut', () => {
  for (const heals of [false, true])
    it(`is not joined by who comes ${heals ? 'once the bus is back' : 'while it is cut'}`, async () => {
      const { clock, first, second } = memoryCluster(2);
      const old = deferred<string>();
      const before = second.cache.getOrSet(acme, 'k', () => old.promise);
      await settle(clock);
      second.bus.setConnected(false);
      expect(await first.cache.delete(acme, 'k')).toBe('applied');
      if (heals) second.bus.setConnected(true);
      const after = second.cache.getOrSet(acme, 'k', () => 'new');
      await settle(clock);
      old.resolve('old');
      await settle(clock);
      expect(await before).toBe('old');
      expect(await after).toBe('new');
      expect(await second.cache.get(acme, 'k')).toBe('new');
    });

  it('is joined through the store if nothing was invalidated: one load still', async () => {
    const { clock, second } = memoryCluster(2);
    const gate = deferred<string>();
    const calls = [second.cache.getOrSet(acme, 'k', () => gate.promise)];
    await settle(clock);
    second.bus.setConnected(false);
    calls.push(second.cache.getOrSet(acme, 'k', () => 'a second load'));
    await settle(clock);
    second.bus.setConnected(true);
    calls.push(second.cache.getOrSet(acme, 'k', () => 'a third load'));
    await settle(clock);
    gate.resolve('value');
    await settle(clock);
    expect(await Promise.all(calls)).toEqual(['value', 'value', 'value']);
  });
});
