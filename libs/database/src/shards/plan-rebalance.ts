import { ShardSetupInvalidError } from './errors.js';

/** One bucket that has to change its shard. */
export interface PlannedMove {
  readonly bucket: number;
  readonly source: string;
  readonly target: string;
}

/**
 * The fewest moves after which `shards` hold the buckets evenly, within one of each other. A bucket moves only
 * if its shard has too many or is not in `shards`; adding a shard to n even ones moves at most ⌈B/(n+1)⌉
 * buckets, all of them to the new one.
 *
 * @param owners shard of each bucket, by bucket number.
 * @param shards shards that shall hold buckets; others are emptied.
 * @throws ShardSetupInvalidError when `shards` is empty or names one twice.
 */
export function planRebalance(owners: readonly string[], shards: readonly string[]): PlannedMove[] {
  if (shards.length === 0 || new Set(shards).size !== shards.length)
    throw new ShardSetupInvalidError('A plan needs at least one shard, and each of them once.');
  const held = new Map<string, number[]>(shards.map((shard) => [shard, []]));
  const surplus: { bucket: number; source: string }[] = [];
  owners.forEach((shard, bucket) => {
    const buckets = held.get(shard);
    if (buckets) buckets.push(bucket);
    else surplus.push({ bucket, source: shard });
  });
  // The remainder goes to those that have most already: that keeps most buckets where they are.
  const quotaOf = quotas(owners.length, held);
  for (const [source, buckets] of held)
    for (const bucket of buckets.slice(quotaOf.get(source)!)) surplus.push({ bucket, source });
  const moves: PlannedMove[] = [];
  for (const [target, buckets] of held) {
    const missing = quotaOf.get(target)! - buckets.length;
    for (const one of surplus.splice(0, Math.max(0, missing))) moves.push({ ...one, target });
  }
  return moves.sort((a, b) => a.bucket - b.bucket);
}

function quotas(total: number, held: ReadonlyMap<string, readonly number[]>): Map<string, number> {
  const base = Math.floor(total / held.size);
  const remainder = total % held.size;
  const byCount = [...held].sort(([, a], [, b]) => b.length - a.length);
  return new Map(byCount.map(([shard], rank) => [shard, base + (rank < remainder ? 1 : 0)]));
}
