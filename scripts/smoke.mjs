// Starts the built applications as users do (standalone alone; api and worker on native services), asks each
// for its health, ends it with SIGTERM, and fails if anything takes a wrong turn.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { servicesForTests } from './services/for-tests.mjs';
import { ensureBuilt, ensureDependencies, main, root } from './workspace.mjs';

const READY_WITHIN_MS = 120_000;
const STOP_WITHIN_MS = 10_000;

await main(async () => {
  await ensureDependencies();
  await ensureBuilt();
  const folder = mkdtempSync(join(tmpdir(), 'sparkle-smoke-'));
  const services = await servicesForTests(() => {});
  const environment = { ...process.env, ...services.env };
  const production = {
    DATABASE_URL: environment.TEST_DATABASE_URL,
    REDIS_URL: environment.TEST_REDIS_URL,
    SPARKLE_JWT_KEY: 'only-for-this-smoke-test-0123456789abcdef',
  };
  try {
    await check('standalone', { SPARKLE_DATA: join(folder, 'data'), PORT: '0' }, [
      '/health/ready',
      '/metrics',
      '/docs-json',
    ]);
    await check('api', { ...production, PORT: '0' }, ['/health/ready', '/metrics', '/docs-json']);
    await check('worker', { ...production, PORT: '0' }, ['/health/ready', '/metrics']);
  } finally {
    await services.release();
    rmSync(folder, { recursive: true, force: true });
  }
});

async function check(app, env, paths) {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [join(root, 'apps', app, 'dist/main.js')], {
    env: { ...withoutSparkle(process.env), ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
  const late = setTimeout(() => child.kill('SIGKILL'), READY_WITHIN_MS);
  try {
    const address = await readyAddress(child, exited);
    clearTimeout(late);
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    for (const path of paths) {
      const response = await fetch(address + path);
      await response.arrayBuffer();
      if (response.status !== 200) throw new Error(`${app} answered ${response.status} for ${path}`);
    }
    child.kill('SIGTERM');
    const killer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
    const status = await exited;
    clearTimeout(killer);
    if (status !== 0) throw new Error(`${app} ended with ${status} after SIGTERM`);
    console.log(`smoke: ${app} was ready after ${seconds} s and ended cleanly`);
  } finally {
    clearTimeout(late);
    child.kill('SIGKILL');
  }
}

async function readyAddress(child, exited) {
  const lines = createInterface({ input: child.stdout });
  const ready = (async () => {
    for await (const line of lines) {
      const address = /ready.*?(http:\/\/\S+)/.exec(line)?.[1];
      if (address) return address;
    }
    throw new Error(`the application ended before it was ready: ${await exited}`);
  })();
  return ready;
}

/** The machine's environment without what would configure the application. */
function withoutSparkle(env) {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name]) => !/^(SPARKLE_|DATABASE_|REDIS_URL$|PORT$|HOST$|NODE_ENV$)/.test(name),
    ),
  );
}
