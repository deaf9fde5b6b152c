import 'reflect-metadata';
import { measureBulkInserts } from './database/bulk-inserts.js';
import { measureNodeLoading } from './database/node-loading.js';
import { withBenchDatabase } from './database/own-database.js';
import { measurePool } from './database/pool.js';
import { measureTimeIndexes } from './database/time-indexes.js';
import { measureVectorSearch } from './database/vector-search.js';
import { Report } from './report.js';

const PARTS = {
  vectors: measureVectorSearch,
  time: measureTimeIndexes,
  loading: measureNodeLoading,
  pool: measurePool,
  bulk: measureBulkInserts,
} as const;

const serverUrl = process.env.TEST_DATABASE_URL;
if (!serverUrl) throw new Error('TEST_DATABASE_URL is not set; npm run bench -- database sets it');
const only = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const report = new Report('database');
for (const [name, measure] of Object.entries(PARTS))
  if (only.length === 0 || only.includes(name))
    await withBenchDatabase(serverUrl, (target) => measure(report, target));
process.stdout.write(report.render(process.argv));
