import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';
import { afterEach, describe, expect, it } from 'vitest';

const execute = promisify(execFile);
const SOURCE = new URL('../src/core/call-origin.ts', import.meta.url);

let folder: string;
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Runs a program that calls an installed copy of the library, and gives what that took for its callers. */
async function callersIn(layout: 'src' | 'dist', app: string): Promise<string[]> {
  folder = await mkdtemp(join(tmpdir(), 'sparkle-origin-'));
  const library = `node_modules/@sparkle/database`;
  const compiled = ts.transpileModule(await readFile(SOURCE, 'utf8'), {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
  }).outputText;
  const files: Record<string, string> = {
    'package.json': '{"type":"module"}',
    'app/main.js': app,
    'node_modules/typeorm/package.json': '{"type":"module"}',
    'node_modules/typeorm/manager.js':
      'export async function find(send) { await null; return await send(); }',
    [`${library}/package.json`]: '{"type":"module"}',
    [`${library}/${layout}/core/call-origin.js`]: compiled,
    [`${library}/${layout}/core/database.js`]: `
      import { CallTrace } from './call-origin.js';
      export async function withTenant(work) { return work(); }
      export function query() { return inner(); }
      function inner() { return new CallTrace(inner).callers(3); }`,
  };
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  const { stdout } = await execute(process.execPath, [join(folder, 'app/main.js')]);
  return (JSON.parse(stdout) as string[]).map((caller) =>
    caller.replace(/\(?file:\/\/.*\/app\/(main\.js:\d+):\d+\)?/, '$1'),
  );
}

const importing = (layout: string) =>
  `import { query, withTenant } from '../node_modules/@sparkle/database/${layout}/core/database.js';
   import { find } from '../node_modules/typeorm/manager.js';`;

describe.each(['src', 'dist'] as const)('the origin of a call into the library as %s', (layout) => {
  it('is the nearest place of the program, past the library’s own frames', async () => {
    const app = `${importing(layout)}
      function repository() { return query(); }
      async function service() { return await repository(); }
      console.log(JSON.stringify(await service()));`;
    expect(await callersIn(layout, app)).toEqual(['repository main.js:3', 'service main.js:4', 'main.js:5']);
  });

  it('is found across awaits and through TypeORM', async () => {
    const app = `${importing(layout)}
      async function repository() { await null; return await find(() => query()); }
      async function service() { return await withTenant(async () => await repository()); }
      console.log(JSON.stringify(await service()));`;
    const callers = await callersIn(layout, app);
    expect(callers.slice(0, 2)).toEqual(['main.js:3', 'repository main.js:3']);
    expect(callers.join()).not.toMatch(/typeorm|sparkle/);
  });
});

it('a process that wants no stack traces has no origins, and keeps its setting', async () => {
  const app = `${importing('dist')}
    Error.stackTraceLimit = 0;
    const callers = query();
    console.log(JSON.stringify(Error.stackTraceLimit === 0 ? callers : ['changed']));`;
  expect(await callersIn('dist', app)).toEqual([]);
});
