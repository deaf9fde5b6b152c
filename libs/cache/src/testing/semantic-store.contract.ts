import type { TenantId } from '@sparkle/contracts';
import { beforeEach, describe, expect, it } from 'vitest';
import type {
  SemanticEntryToStore,
  SemanticPartition,
  SemanticStore,
  Tightening,
} from '../ports/semantic-store.port.js';

export interface SemanticStoreHarness {
  readonly store: SemanticStore;
  /** Two tenants nobody else uses. */
  readonly tenants: readonly [TenantId, TenantId];
  /** Lets this much time pass for the store. */
  advance(ms: number): Promise<void>;
}

/** Length of the embeddings the contract uses. */
export const CONTRACT_DIMENSIONS = 8;

/** A unit vector at `angle` from the first axis, in the plane of the first two. */
function at(angle: number): Float32Array {
  const vector = new Float32Array(CONTRACT_DIMENSIONS);
  vector[0] = Math.cos(angle);
  vector[1] = Math.sin(angle);
  return vector;
}

/** What every {@link SemanticStore} guarantees. */
export function semanticStoreContract(name: string, open: () => Promise<SemanticStoreHarness>): void {
  describe(`SemanticStore contract: ${name}`, () => {
    let harness: SemanticStoreHarness;
    let store: SemanticStore;
    beforeEach(async () => {
      harness = await open();
      store = harness.store;
    });

    const partition = (digest = 'p1', tenant: 0 | 1 = 0) => ({ tenantId: harness.tenants[tenant], digest });
    const entry = (canonicalHash: string, overrides: Partial<SemanticEntryToStore> = {}) => ({
      question: `question ${canonicalHash}`,
      canonicalHash,
      embedding: at(0),
      answer: `"answer ${canonicalHash}"`,
      threshold: 0.9,
      documentIds: [],
      ttlMs: 60_000,
      ...overrides,
    });

    /** Stores an entry that nothing outdates. @returns its id */
    const put = async (where: SemanticPartition, what: SemanticEntryToStore) => {
      const stored = await store.store(where, what);
      expect(stored).toBeDefined();
      return stored?.id ?? '';
    };
    const tighten = (id: string, tightening: Tightening, tenant: 0 | 1 = 0) =>
      store.evictAndTighten(harness.tenants[tenant], id, tightening, 60_000);

    it('finds an entry by its canonical question and by similarity, with what was stored', async () => {
      const id = await put(partition(), entry('a', { documentIds: ['d1', "d'2"] }));
      const expected = {
        id,
        question: 'question a',
        answer: '"answer a"',
        documentIds: ['d1', "d'2"],
      };
      const found = await store.findExact(partition(), 'a');
      expect(found).toMatchObject(expected);
      expect(found?.threshold).toBeCloseTo(0.9);
      expect(found?.remainingMs).toBeGreaterThan(50_000);
      const [nearest] = await store.search(partition(), at(0.3), 5);
      expect(nearest).toMatchObject(expected);
      expect(nearest?.similarity).toBeCloseTo(Math.cos(0.3), 4);
      expect(await store.findExact(partition(), 'b')).toBeUndefined();
    });

    it('returns the most similar first, up to the limit', async () => {
      for (const [hash, angle] of [
        ['a', 0.5],
        ['b', 0.1],
        ['c', 1],
        ['d', 0.2],
      ] as const)
        await store.store(partition(), entry(hash, { embedding: at(angle) }));
      const found = await store.search(partition(), at(0), 3);
      expect(found.map(({ question }) => question)).toEqual(['question b', 'question d', 'question a']);
    });

    it('never lets a search or look-up leave its partition or tenant', async () => {
      await store.store(partition('p1', 0), entry('a'));
      for (let index = 0; index < 60; index++)
        await store.store(partition('p2', 0), entry(`x${index}`, { embedding: at(index / 1000) }));
      await store.store(partition('p1', 1), entry('b'));
      const found = await store.search(partition('p1', 0), at(0.01), 10);
      expect(found.map(({ question }) => question)).toEqual(['question a']);
      expect(await store.findExact(partition('p2', 0), 'a')).toBeUndefined();
      expect(await store.findExact(partition('p1', 1), 'a')).toBeUndefined();
    });

    it('keeps one entry per canonical question, the latest', async () => {
      const first = await put(partition(), entry('a'));
      const second = await put(partition(), entry('a', { answer: '"newer"' }));
      expect(second).toBe(first);
      expect((await store.search(partition(), at(0), 5)).map(({ answer }) => answer)).toEqual(['"newer"']);
    });

    it('forgets an entry at the end of its life, which looking at it does not prolong', async () => {
      await store.store(partition(), entry('a', { ttlMs: 60_000 }));
      await harness.advance(40_000);
      expect(await store.findExact(partition(), 'a')).toBeDefined();
      expect(await store.search(partition(), at(0), 1)).toHaveLength(1);
      await harness.advance(21_000);
      expect(await store.findExact(partition(), 'a')).toBeUndefined();
      expect(await store.search(partition(), at(0), 1)).toEqual([]);
      expect(await store.removeExpired(harness.tenants[0])).toBe(1);
      expect(await store.removeExpired(harness.tenants[0])).toBe(0);
    });

    it('does not serve an evicted entry, and remembers its tightened threshold for the next answer', async () => {
      const id = await put(partition(), entry('a'));
      expect(await tighten(id, { by: 0.02, above: 0.95 })).toBe(true);
      expect(await store.findExact(partition(), 'a')).toBeUndefined();
      expect(await store.search(partition(), at(0), 5)).toEqual([]);
      const stored = await store.store(partition(), entry('a', { answer: '"better"' }));
      expect(stored?.threshold).toBeCloseTo(0.97);
      const found = await store.findExact(partition(), 'a');
      expect(found?.answer).toBe('"better"');
      expect(found?.threshold).toBeCloseTo(0.97);
    });

    it('tightens further with every report, up to one', async () => {
      const id = await put(partition(), entry('a'));
      for (const expected of [0.94, 0.98, 1, 1]) {
        await tighten(id, { by: 0.04, above: 0 });
        expect((await store.store(partition(), entry('a')))?.threshold).toBeCloseTo(expected);
      }
    });

    it('forgets what it tightened when the time to keep it is over', async () => {
      const id = await put(partition(), entry('a'));
      await tighten(id, { by: 0.05, above: 0 });
      await harness.advance(61_000);
      expect((await store.store(partition(), entry('a')))?.threshold).toBeCloseTo(0.9);
    });

    it('evicts nothing of another tenant, and nothing that does not exist', async () => {
      const id = await put(partition(), entry('a'));
      expect(await tighten(id, { by: 0.02, above: 0 }, 1)).toBe(false);
      expect(await tighten('nonsense', { by: 0.02, above: 0 })).toBe(false);
      expect(await store.findExact(partition(), 'a')).toBeDefined();
    });

    it('purges every answer made from a document, of that tenant only', async () => {
      await store.store(partition('p1'), entry('a', { documentIds: ['d1', 'd2'] }));
      await store.store(partition('p2'), entry('b', { documentIds: ['d2'] }));
      await store.store(partition('p2'), entry('c', { documentIds: ['d3'] }));
      await store.store(partition('p1', 1), entry('d', { documentIds: ['d2'] }));
      expect(await store.purgeByDocument(harness.tenants[0], 'd2')).toBe(2);
      expect(await store.findExact(partition('p1'), 'a')).toBeUndefined();
      expect(await store.findExact(partition('p2'), 'c')).toBeDefined();
      expect(await store.findExact(partition('p1', 1), 'd')).toBeDefined();
    });

    it('does not store what was begun before one of its documents was purged', async () => {
      const [tenant] = harness.tenants;
      await store.purgeByDocument(tenant, 'd0');
      const asOf = await store.purgeMark(tenant);
      await store.purgeByDocument(tenant, 'd1');
      expect(await store.store(partition(), entry('a', { documentIds: ['d2', 'd1'], asOf }))).toBeUndefined();
      expect(await store.findExact(partition(), 'a')).toBeUndefined();
      await put(partition(), entry('b', { documentIds: ['d0', 'd2'], asOf }));
      await put(partition(), entry('c', { documentIds: [], asOf }));
      await put(partition(), entry('d', { documentIds: ['d1'], asOf: await store.purgeMark(tenant) }));
      await put(partition(), entry('e', { documentIds: ['d1'] }));
    });

    it("does not take another tenant's purges for its own", async () => {
      const asOf = await store.purgeMark(harness.tenants[0]);
      await store.purgeByDocument(harness.tenants[1], 'd1');
      await put(partition(), entry('a', { documentIds: ['d1'], asOf }));
    });

    it('keeps no answer made from a document, however its storing and the purge cross', async () => {
      const [tenant] = harness.tenants;
      for (let round = 0; round < 20; round++) {
        const document = `crossed-${round}`;
        const asOf = await store.purgeMark(tenant);
        const stores = Array.from({ length: 3 }, (_, index) =>
          store.store(partition(), entry(`${round}.${index}`, { documentIds: [document], asOf })),
        );
        await Promise.all([...stores, store.purgeByDocument(tenant, document)]);
        for (let index = 0; index < 3; index++)
          expect(await store.findExact(partition(), `${round}.${index}`)).toBeUndefined();
      }
    });

    it('finds each of many entries by its own vector while others come and go', async () => {
      const angleOf = (index: number) => at((index * Math.PI) / 600);
      for (let index = 0; index < 150; index++) {
        await store.store(
          partition(),
          entry(`${index}`, { embedding: angleOf(index), documentIds: [`d${index % 3}`] }),
        );
      }
      await store.purgeByDocument(harness.tenants[0], 'd1');
      for (let index = 0; index < 150; index++) {
        if (index % 3 === 1) continue;
        const [nearest] = await store.search(partition(), angleOf(index), 1);
        expect(nearest?.question).toBe(`question ${index}`);
      }
    });
  });
}
