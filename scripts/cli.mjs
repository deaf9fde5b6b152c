// npm run token | tenant | eval | index-report: runs one of the standalone application's commands.
import { servicesForTests } from './services/for-tests.mjs';
import { ensureBuilt, ensureDependencies, main } from './workspace.mjs';

/** Commands that work on databases of their own, on servers that are named or started for them. */
const NEEDS_SERVICES = ['index-report'];

await main(async () => {
  const [command] = process.argv.splice(2, 1);
  const log = (text) => console.error(`sparkle: ${text} …`);
  await ensureDependencies(log);
  await ensureBuilt(log);
  const services = NEEDS_SERVICES.includes(command) ? await servicesForTests(log) : undefined;
  Object.assign(process.env, services?.env);
  try {
    await import(`../apps/standalone/dist/cli/${command}.js`);
  } finally {
    await services?.release();
  }
});
