export { ArchiveStore } from './archive-store.port.js';
export * from './errors.js';
export { FolderArchiveStore } from './folder-archive-store.js';
export { type HashPartitionOptions, HashPartitions } from './hash-partitions.js';
export { type ListEnsureOptions, type ListPartitionOptions, ListPartitions } from './list-partitions.js';
export { MemoryArchiveStore } from './memory-archive-store.js';
export {
  type MonthlyPartitionOptions,
  MonthlyPartitions,
  type PartitionCallOptions,
  type PartitionReport,
} from './monthly-partitions.js';
export type { ArchiveManifest } from './partition-archive.js';
export type { PartitionBound } from './partition-bound.js';
export {
  PartitionRetention,
  type RestoreOptions,
  type RestoreReport,
  type RetentionOptions,
  type RetentionReport,
} from './partition-retention.js';
export type {
  PartitionChangeOptions,
  PartitionDatabase,
  PartitionDependencies,
  PartitionInfo,
  PartitionInspection,
} from './partition-table.js';
export {
  PartitionUpkeep,
  type PartitionUpkeepOptions,
  type PartitionUpkeepReport,
} from './partition-upkeep.js';
