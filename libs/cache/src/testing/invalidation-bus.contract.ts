import { parseTenantId } from '@sparkle/contracts';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { BusMessage, InvalidationBus } from '../ports/invalidation-bus.port.js';

export interface InvalidationBusHarness {
  /** Two processes' ends of one bus. */
  readonly first: InvalidationBus;
  readonly second: InvalidationBus;
  /** Cuts the second end off, and brings it back. */
  cut(): Promise<void>;
  mend(): Promise<void>;
  close(): Promise<void>;
}

/** What every {@link InvalidationBus} guarantees. */
export function invalidationBusContract(name: string, open: () => Promise<InvalidationBusHarness>): void {
  describe(`InvalidationBus contract: ${name}`, () => {
    let harness: InvalidationBusHarness;
    beforeEach(async () => {
      harness = await open();
      await vi.waitFor(() => expect(harness.first.connected && harness.second.connected).toBe(true));
    });
    afterEach(() => harness.close());

    const tenantId = parseTenantId('acme');
    const namespace = 'courses';
    const messages: BusMessage[] = [
      { kind: 'keys', tenantId, namespace, keys: ['a b', '键:{}', '\n'] },
      { kind: 'tags', tenantId, namespace, tags: ['t'] },
      { kind: 'namespace', tenantId, namespace },
      { kind: 'tenant', tenantId },
      { kind: 'settled', tenantId, namespace, key: '🔑' },
    ];

    it('brings every kind of message to the others, and not to the sender', async () => {
      const heard: BusMessage[] = [];
      const own: BusMessage[] = [];
      harness.second.subscribe((message) => heard.push(message));
      harness.first.subscribe((message) => own.push(message));
      for (const message of messages) await harness.first.publish(message);
      await vi.waitFor(() => expect(heard).toHaveLength(messages.length));
      expect(heard).toEqual(expect.arrayContaining(messages));
      expect(own).toEqual([]);
    });

    it('stops calling a listener that has left', async () => {
      const heard: BusMessage[] = [];
      const left: BusMessage[] = [];
      harness.second.subscribe((message) => left.push(message))();
      harness.second.subscribe((message) => heard.push(message));
      await harness.first.publish({ kind: 'tenant', tenantId });
      await vi.waitFor(() => expect(heard).toHaveLength(1));
      expect(left).toEqual([]);
    });

    it('says so when it is cut off and when it is back', async () => {
      const changes: boolean[] = [];
      harness.second.onConnection((connected) => changes.push(connected));
      await harness.cut();
      await vi.waitFor(() => expect(harness.second.connected).toBe(false), { timeout: 10_000 });
      await harness.mend();
      await vi.waitFor(() => expect(harness.second.connected).toBe(true), { timeout: 10_000 });
      expect(changes).toEqual([false, true]);
      const heard: BusMessage[] = [];
      harness.second.subscribe((message) => heard.push(message));
      await harness.first.publish({ kind: 'tenant', tenantId });
      await vi.waitFor(() => expect(heard).toHaveLength(1));
    });
  });
}
