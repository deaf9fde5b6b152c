// npm start: installs and builds what is missing, then runs the standalone application in this process.
import { ensureBuilt, ensureDependencies, main } from './workspace.mjs';

await main(async () => {
  const log = (text) => console.log(`sparkle: ${text} …`);
  await ensureDependencies(log);
  await ensureBuilt(log);
  await import('../apps/standalone/dist/main.js');
});
