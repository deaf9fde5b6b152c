import { type Clock, SystemClock } from '@sparkle/contracts';
import type { ResolvedDatabaseOptions } from '../database.options.js';
import { DatabaseOptionsInvalidError } from '../errors.js';
import type { ArchiveStore } from './archive-store.port.js';
import { FolderArchiveStore } from './folder-archive-store.js';
import { MonthlyPartitions } from './monthly-partitions.js';
import { PartitionRetention } from './partition-retention.js';
import type { PartitionDatabase } from './partition-table.js';
import { PartitionUpkeep } from './partition-upkeep.js';

/**
 * The upkeep of `study_records`.
 * @param archives Where retired months go; default: the folder that the options name.
 * @throws DatabaseOptionsInvalidError when months are to be retired and neither is given.
 */
export function studyRecordUpkeep(
  database: PartitionDatabase,
  { monthsAhead, keepMonths, archiveFolder }: ResolvedDatabaseOptions['studyRecords'],
  clock: Clock = new SystemClock(),
  archives: ArchiveStore | undefined = archiveFolder
    ? new FolderArchiveStore(archiveFolder, clock)
    : undefined,
): PartitionUpkeep {
  const partitions = new MonthlyPartitions(
    database,
    { table: 'study_records', column: 'study_time', monthsAhead },
    { clock },
  );
  if (keepMonths === undefined) return new PartitionUpkeep(partitions, undefined, {}, clock);
  if (!archives)
    throw new DatabaseOptionsInvalidError(['studyRecords.archiveFolder: needed together with keepMonths']);
  return new PartitionUpkeep(
    partitions,
    new PartitionRetention(partitions, archives, { keepMonths }),
    {},
    clock,
  );
}
