// npm run token | tenant | eval: runs one of the standalone application's commands.
import { ensureBuilt, ensureDependencies, main } from './workspace.mjs';

await main(async () => {
  const [command] = process.argv.splice(2, 1);
  const log = (text) => console.error(`sparkle: ${text} …`);
  await ensureDependencies(log);
  await ensureBuilt(log);
  await import(`../apps/standalone/dist/cli/${command}.js`);
});
