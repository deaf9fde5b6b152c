/**
 * A process that archives the old months of a table and restores them, again and again, until it is killed.
 * Its argument is JSON: the database's URL, the table, the folder of archives. Prints what it is about to do.
 */
import {
  FolderArchiveStore,
  MonthlyPartitions,
  openDatabase,
  PartitionRetention,
  parseDatabaseOptions,
} from '../src/index.js';

const { url, table, folder } = JSON.parse(process.argv[2]!) as Record<'url' | 'table' | 'folder', string>;

async function work(): Promise<void> {
  const database = await openDatabase(parseDatabaseOptions({ url }));
  const partitions = new MonthlyPartitions(database, { table, column: 'at', rowsPerLock: 500 });
  const retention = new PartitionRetention(partitions, new FolderArchiveStore(folder), { keepMonths: 1 });
  for (;;) {
    process.stdout.write('retiring\n');
    const { archived } = await retention.retire();
    process.stdout.write('restoring\n');
    for (const { archive } of archived) await retention.restore(archive, { keepDays: 0 });
  }
}

work().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exitCode = 1;
});
