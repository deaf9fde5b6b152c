// npm run bench -- NAME [--json]: runs bench/src/NAME.bench.ts on the built libraries.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { redisServer } from './services/redis.mjs';
import { ensureBuilt, ensureDependencies, execute, main, root } from './workspace.mjs';

await main(async () => {
  const [name, ...rest] = process.argv.slice(2);
  const folder = join(root, 'bench/src');
  const file = join(folder, `${name}.bench.ts`);
  if (!name || !existsSync(file)) {
    const names = readdirSync(folder).flatMap((entry) => /^(.*)\.bench\.ts$/.exec(entry)?.[1] ?? []);
    console.error(`usage: npm run bench -- NAME [--json]; NAME is one of ${names.join(', ')}`);
    process.exit(2);
  }
  const log = (text) => console.error(`bench: ${text} …`);
  await ensureDependencies(log);
  await ensureBuilt(log);
  redisServer(log);
  const args = ['--expose-gc', '--import', '@swc-node/register/esm-register', file, ...rest];
  await execute(process.execPath, args, { env: { SWC_NODE_PROJECT: join(root, 'bench/tsconfig.json') } });
});
