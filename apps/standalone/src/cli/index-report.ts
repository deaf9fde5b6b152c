import 'reflect-metadata';
import { fileURLToPath } from 'node:url';
import { reportLines, reportText } from '../index-report/print-report.js';
import { runIndexReport } from '../index-report/run-index-report.js';
import { readOptions, runCommand, UsageError } from './command.js';

const USAGE = 'npm run --silent index-report -- [--json] [--scale SHARE]';
const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

await runCommand(async () => {
  const { values } = readOptions(USAGE, {
    json: { type: 'boolean', default: false },
    scale: { type: 'string', default: '1' },
  });
  const scale = Number(values.scale);
  if (!(scale > 0 && scale <= 10))
    throw new UsageError(`--scale is a number above 0, at most 10\nusage: ${USAGE}`);
  const serverUrl = process.env.TEST_DATABASE_URL;
  if (!serverUrl)
    throw new UsageError(
      'This needs TEST_DATABASE_URL: a server on which it may create and drop a database.',
    );
  const startedAt = performance.now();
  const seconds = () => `${((performance.now() - startedAt) / 1000).toFixed(0)} s`.padStart(6);
  const log = (text: string) => process.stderr.write(`index-report: ${seconds()}  ${text}\n`);
  const report = await runIndexReport({ where: { serverUrl }, root: ROOT, scale, log });
  if (values.json) for (const line of reportLines(report)) process.stdout.write(`${JSON.stringify(line)}\n`);
  else process.stdout.write(reportText(report));
  if (report.unreached.length > 0) {
    process.stderr.write(`${report.unreached.length} statements of the sources were not reached\n`);
    process.exitCode = 1;
  }
});
