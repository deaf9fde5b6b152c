// npm test [vitest arguments]: every test, on real PostgreSQL + pgvector and Redis.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { servicesForTests } from './services/for-tests.mjs';
import { ServicesError } from './services/index.mjs';
import { ensureBuilt, ensureDependencies, execute, main, tool } from './workspace.mjs';

const NEEDS_SERVICES = ['**/*.int-spec.ts', '**/*.e2e-spec.ts'];

await main(async () => {
  const log = (text) => console.log(`test: ${text} …`);
  await ensureDependencies(log);
  await ensureBuilt(log);
  let services;
  const excluded = [];
  try {
    services = await servicesForTests(log);
  } catch (error) {
    if (!(error instanceof ServicesError)) throw error;
    console.error(`test: PostgreSQL and Redis are not available: ${error.message}`);
    console.error(`test: not run for want of them: ${NEEDS_SERVICES.join(', ')}`);
    if (process.env.CI === 'true') throw error;
    excluded.push(...NEEDS_SERVICES.flatMap((pattern) => ['--exclude', pattern]));
  }
  const folder = mkdtempSync(join(tmpdir(), 'sparkle-test-'));
  const report = join(folder, 'report.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    await execute(tool('vitest'), ['run', ...reporters, ...excluded, ...process.argv.slice(2)], {
      env: { NO_COLOR: '1', ...services?.env },
    });
  } finally {
    await services?.release();
    printCounts(report);
    rmSync(folder, { recursive: true, force: true });
  }
});

function printCounts(report) {
  try {
    const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, 'utf8'));
    console.log(`${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped`);
  } catch {
    console.error('test: the run ended without a report');
  }
}
