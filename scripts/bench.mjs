// npm run bench -- NAME [--json] [--node VERSION] [bench arguments]: runs bench/src/NAME.bench.ts on the built
// libraries, on this Node or on another release of it.
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { servicesForTests } from './services/for-tests.mjs';
import { redisServer } from './services/redis.mjs';
import { ensureBuilt, ensureDependencies, execute, main, root } from './workspace.mjs';

await main(async () => {
  const [name, ...rest] = process.argv.slice(2);
  const folder = join(root, 'bench/src');
  const file = join(folder, `${name}.bench.ts`);
  const at = rest.indexOf('--node');
  const [, version] = at < 0 ? [] : rest.splice(at, 2);
  if (!name || !existsSync(file) || (at >= 0 && !/^\d+(\.\d+){0,2}$/.test(version ?? ''))) {
    const names = readdirSync(folder).flatMap((entry) => /^(.*)\.bench\.ts$/.exec(entry)?.[1] ?? []);
    console.error('usage: npm run bench -- NAME [--json] [--node VERSION]');
    console.error(`NAME is one of ${names.join(', ')}; VERSION is a release of Node such as 24`);
    process.exit(2);
  }
  const log = (text) => console.error(`bench: ${text} …`);
  await ensureDependencies(log);
  await ensureBuilt(log);
  redisServer(log);
  const node = version ? await otherNode(version, log) : process.execPath;
  const services = readFileSync(file, 'utf8').includes('TEST_DATABASE_URL')
    ? await servicesForTests(log)
    : undefined;
  const args = ['--expose-gc', '--import', '@swc-node/register/esm-register', file, ...rest];
  try {
    await execute(node, args, {
      env: { ...services?.env, SWC_NODE_PROJECT: join(root, 'bench/tsconfig.json') },
    });
  } finally {
    await services?.release();
  }
});

/** The path of another release of Node, installed as a package outside of the workspace's dependencies. */
async function otherNode(version, log) {
  const folder = join(root, 'node_modules/.cache', `node-${version}`);
  const path = join(folder, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin/node');
  if (existsSync(path)) return path;
  log(`installing Node ${version}`);
  mkdirSync(folder, { recursive: true });
  const packageName = `node-${process.platform}-${process.arch}@${version}`;
  await execute('npm', ['install', '--prefix', folder, '--no-save', '--no-package-lock', packageName], {
    quiet: true,
  });
  return path;
}
