// npm run check: lint, types, and the tests that import what changed since CHECK_BASE (default: the upstream
// branch, else the last commit), uncommitted work included. The end-to-end tests are left to npm test.
import { spawnSync } from 'node:child_process';
import { servicesForTests } from './services/for-tests.mjs';
import { ensureDependencies, execute, main, root, tool } from './workspace.mjs';

await main(async () => {
  const log = (text) => console.log(`check: ${text} …`);
  await ensureDependencies(log);
  const base = process.env.CHECK_BASE ?? revision('@{upstream}') ?? revision('HEAD~1') ?? 'HEAD';
  await execute('npm', ['run', '--silent', 'lint']);
  await execute(tool('nx'), ['affected', '-t', 'typecheck', `--base=${base}`, '--outputStyle=static']);
  const services = await servicesForTests(log);
  try {
    const tests = ['run', `--changed=${base}`, '--passWithNoTests', '--exclude=**/*.e2e-spec.ts'];
    await execute(tool('vitest'), tests, { env: services.env });
  } finally {
    await services.release();
  }
});

function revision(name) {
  const found = spawnSync('git', ['rev-parse', '--verify', '--quiet', name], { cwd: root, encoding: 'utf8' });
  return found.status === 0 ? found.stdout.trim() : undefined;
}
