// npm run token | tenant | eval | index-report | checklist | jobs: runs one of the standalone application's commands.
import { prometheusForTests, servicesForTests } from './services/for-tests.mjs';
import { ensureBuilt, ensureDependencies, main } from './workspace.mjs';

/** Commands that work on databases of their own, on servers that are named or started for them. */
const NEEDS_SERVICES = {
  'index-report': () => true,
  checklist: (words) => words.join(' ').includes('native'),
};

await main(async () => {
  const [command] = process.argv.splice(2, 1);
  const log = (text) => console.error(`sparkle: ${text} …`);
  await ensureDependencies(log);
  await ensureBuilt(log);
  const services = NEEDS_SERVICES[command]?.(process.argv.slice(2)) ? await servicesForTests(log) : undefined;
  Object.assign(process.env, services?.env);
  if (command === 'checklist') Object.assign(process.env, prometheusForTests(log));
  try {
    await import(`../apps/standalone/dist/cli/${command}.js`);
  } finally {
    await services?.release();
  }
});
