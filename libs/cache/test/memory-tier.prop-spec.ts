import { parseTenantId } from '@sparkle/contracts';
import { SeededRandom, TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CachedValue } from '../src/core/cached-value.js';
import { FrequencySketch } from '../src/core/memory/frequency-sketch.js';
import { hashKey } from '../src/core/memory/key-hash.js';
import { MemoryTier, type ScopeState } from '../src/core/memory-tier.js';
import { jsonCodec } from '../src/core/value-codec.js';

const MAX_BYTES = 20_000;
const MAX_ENTRIES = 12;

const tenant = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const namespace = fc.constantFrom('n', 'm');
const key = fc.nat(15).map((number) => `k${number}`);
const tag = fc.constantFrom('t', 'u');
const size = fc.oneof(fc.constant(0), fc.nat(200), fc.nat(5_000), fc.nat(2 * MAX_BYTES));

const operation = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      tenant,
      namespace,
      key,
      size,
      lifeMs: fc.integer({ min: 0, max: 50 }),
      tags: fc.uniqueArray(tag),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('read' as const), tenant, namespace, key }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), tenant, namespace, key }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('untag' as const), tenant, namespace, tag }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('clear' as const),
      tenant,
      namespace: fc.option(namespace, { nil: undefined }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(20) }) },
);

/** What a tier without bounds would hold: the newest valid entry of each key. */
class Model {
  readonly entries = new Map<string, { marker: number; goneAt: number; tags: readonly string[] }>();

  drop(prefix: string, matches: (tags: readonly string[]) => boolean = () => true): void {
    for (const [id, { tags }] of this.entries)
      if (id.startsWith(prefix) && matches(tags)) this.entries.delete(id);
  }
}

describe('the first tier', () => {
  it('stays within its bounds whatever is done, counts right, and never serves what a model would not', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(operation, { maxLength: 150 }),
        fc.integer(),
        fc.constantFrom(3, 100),
        async (operations, seed, maxScopes) => {
          const clock = new TestClock();
          const options = { maxEntries: MAX_ENTRIES, maxBytes: MAX_BYTES, maxScopes };
          const tier = new MemoryTier(options, clock, new SeededRandom(seed), () => undefined);
          const scopes = new Set<ScopeState>();
          const model = new Model();
          let marker = 0;
          const scopeOf = (of: { tenant: string; namespace: string }) => {
            const scope = tier.scope({ tenantId: parseTenantId(of.tenant), namespace: of.namespace });
            scopes.add(scope);
            return scope;
          };
          for (const each of operations) {
            if (each.kind === 'wait') await clock.advance(each.ms);
            else if (each.kind === 'clear') {
              tier.clear(parseTenantId(each.tenant), each.namespace);
              model.drop(each.namespace ? `${each.tenant} ${each.namespace} ` : `${each.tenant} `);
            } else {
              const scope = scopeOf(each);
              const prefix = `${each.tenant} ${each.namespace} `;
              const now = clock.monotonic();
              if (each.kind === 'put') {
                const goneAt = now + each.lifeMs;
                const times = { confirmedUntil: goneAt, freshUntil: goneAt, earlyFrom: goneAt, goneAt };
                const text = JSON.stringify('x'.repeat(each.size));
                const value = CachedValue.decode(text, false, false, jsonCodec);
                marker++;
                const entry = { value, sequence: marker, loadMs: 0, trust: 1, tags: each.tags, ...times };
                tier.put(scope, each.key, entry);
                if (each.lifeMs > 0)
                  model.entries.set(prefix + each.key, { marker, goneAt, tags: each.tags });
              } else if (each.kind === 'read') {
                const found = tier.lookup(scope, each.key, now);
                const expected = model.entries.get(prefix + each.key);
                if (found) {
                  expect(found.sequence).toBe(expected?.marker);
                  expect(now).toBeLessThan(found.goneAt);
                }
              } else if (each.kind === 'delete') {
                tier.invalidateKeys(scope, [each.key]);
                model.entries.delete(prefix + each.key);
              } else {
                tier.invalidateTags(scope, [each.tag]);
                model.drop(prefix, (tags) => tags.includes(each.tag));
              }
            }
            const held = [...scopes]
              .filter(({ retired }) => !retired)
              .flatMap((scope) => [...scope.entries.values()]);
            expect(tier.entries).toBe(held.length);
            expect(tier.bytes).toBe(held.reduce((sum, { bytes }) => sum + bytes, 0));
            expect(tier.entries).toBeLessThanOrEqual(MAX_ENTRIES);
            expect(tier.bytes).toBeLessThanOrEqual(MAX_BYTES);
            for (const scope of scopes)
              for (const [name, mark] of scope.tags)
                expect(mark.holders).toBe(
                  held.filter((entry) => entry.scope === scope && entry.tags.includes(name)).length,
                );
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('the frequency sketch', () => {
  const hashes = fc.array(fc.tuple(fc.integer(), fc.integer({ min: 1, max: 20 })), { maxLength: 60 });

  it('never estimates less than was recorded, up to 15, also after its width has changed', () => {
    fc.assert(
      fc.property(hashes, fc.array(fc.constantFrom(64, 128, 256, 1024)), (records, widths) => {
        const sketch = new FrequencySketch(1024);
        const counts = new Map<number, number>();
        for (const [hash, times] of records) {
          sketch.record(hash, times);
          counts.set(hash, (counts.get(hash) ?? 0) + times);
        }
        for (const width of widths) sketch.resize(width);
        for (const [hash, count] of counts)
          expect(sketch.estimate(hash)).toBeGreaterThanOrEqual(Math.min(15, count));
      }),
    );
  });

  it('forgets: after ten times its width in other requests a count has halved', () => {
    const sketch = new FrequencySketch(64);
    sketch.record(7, 12);
    for (let times = 12; times < 639; times++) expect(sketch.record(9)).toBe(false);
    expect(sketch.record(9)).toBe(true);
    expect(sketch.estimate(7)).toBe(6);
  });

  it('is not the same for two seeds: keys chosen to share a hash under one do not under another', () => {
    const [one, other] = [
      { low: 1, high: 2 },
      { low: 3, high: 4 },
    ];
    const bySlot = new Map<number, string[]>();
    for (let index = 0; index < 20_000; index++) {
      const slot = hashKey(`k${index}`, one) & 0xff;
      bySlot.set(slot, [...(bySlot.get(slot) ?? []), `k${index}`]);
    }
    const sameSlot = bySlot.get(0) ?? [];
    expect(sameSlot.length).toBeGreaterThan(50);
    expect(new Set(sameSlot.map((key) => hashKey(key, other) & 0xff)).size).toBeGreaterThan(30);
  });
});
