import 'reflect-metadata';
import { replay } from './conversation/replay.js';
import { withBenchDatabase } from './database/own-database.js';
import { Report } from './report.js';

const serverUrl = process.env.TEST_DATABASE_URL;
if (!serverUrl) throw new Error('TEST_DATABASE_URL is not set; npm run bench -- conversation sets it');

const report = new Report('conversation');
await withBenchDatabase(serverUrl, async (target) => {
  await replay(report, target, { turns: 1_000, worker: true });
  await replay(report, target, { turns: 300, worker: false });
});
report.note(
  'one user, one turn after the other, local models; a turn is two messages, stored on real PostgreSQL',
);
report.note('summaries are made between turns, as by a worker elsewhere, and are in no turn’s time');
report.note(
  '“full history” is the same library, told to show everything: its tokens and its time to assemble them',
);
process.stdout.write(report.render(process.argv));
process.exit(0);
