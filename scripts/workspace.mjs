// What every command of the workspace needs first: dependencies installed, packages built.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

export class CommandError extends Error {
  constructor(command, status) {
    super(`${command} failed`);
    this.status = status;
  }
}

/** Runs a command to its end; signals that reach this process are passed on. Throws unless it exits with 0. */
export async function execute(command, args, { env = {}, quiet = false } = {}) {
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => (output += data));
  const passOn = (signal) => child.kill(signal);
  process.on('SIGTERM', passOn).on('SIGINT', passOn);
  try {
    const [code, signal] = await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (...result) => resolve(result));
    });
    if (code === 0) return;
    if (quiet) process.stderr.write(output);
    throw new CommandError([command, ...args].join(' '), signal ? 130 : code);
  } finally {
    process.off('SIGTERM', passOn).off('SIGINT', passOn);
  }
}

/** The path of a tool that npm installed. */
export function tool(name) {
  return join(root, 'node_modules/.bin', name);
}

/** Installs the locked dependencies unless they are there already. */
export async function ensureDependencies(log = () => {}) {
  const digest = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const stamp = join(root, 'node_modules/.sparkle-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  log('installing dependencies');
  await execute('npm', ['ci', '--no-audit', '--no-fund'], { quiet: true });
  writeFileSync(stamp, digest);
}

/** Builds every package unless nothing changed since the last build. */
export async function ensureBuilt(log = () => {}) {
  const state = sourceState();
  const stamp = join(root, 'node_modules/.sparkle-build');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === state) return;
  log('building');
  await execute(tool('nx'), ['run-many', '-t', 'build', '--outputStyle=static'], { quiet: true });
  writeFileSync(stamp, state);
}

/** Changes whenever a source file does, or when a package's output is missing. */
function sourceState() {
  const hash = createHash('sha256');
  for (const group of ['libs', 'apps']) {
    for (const name of readdirSync(join(root, group))) {
      const directory = join(root, group, name);
      if (!existsSync(join(directory, 'package.json'))) continue;
      hash.update(`${name} ${existsSync(join(directory, 'dist'))}\n`);
      for (const entry of readdirSync(join(directory, 'src'), { recursive: true })) {
        const { mtimeMs, size } = statSync(join(directory, 'src', entry));
        hash.update(`${entry} ${mtimeMs} ${size}\n`);
      }
    }
  }
  return hash.digest('hex');
}

/** Ends a command with the status of what failed, without a stack for failures that speak for themselves. */
export async function main(work) {
  try {
    await work();
  } catch (error) {
    console.error(error instanceof CommandError ? error.message : error);
    process.exit(error.status ?? 1);
  }
}
