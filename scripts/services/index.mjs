import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  makeServiceFolder,
  postgresPid,
  postgresWithVector,
  prepareDatabase,
  startPostgres,
} from './postgres.mjs';
import { prometheusPrograms } from './prometheus.mjs';
import { redisPid, redisServer, startRedis } from './redis.mjs';
import { isAlive, ServicesError, serviceAccount } from './shell.mjs';

export { ServicesError };

const root = fileURLToPath(new URL('../..', import.meta.url));
// Outside of the checkout: a clone in a private folder is out of reach for the service account.
const cacheDir = '/var/tmp/sparkle-native-cache';
const checkout = createHash('sha256').update(root).digest('hex').slice(0, 12);

/** One set of servers per checkout and purpose (`dev`, `test`), with ports of its own. */
export function servicesFolder(purpose) {
  return `/var/tmp/sparkle-services-${checkout}-${purpose}`;
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** The folder with `prometheus` and `promtool`; unpacks them when they are missing. */
export function prometheusTools(log) {
  makeServiceFolder(cacheDir);
  return prometheusPrograms(cacheDir, log);
}

/** The folder with the programs of a PostgreSQL that has pgvector; installs and compiles what is missing. */
export function postgresPrograms(log) {
  makeServiceFolder(cacheDir);
  return postgresWithVector(cacheDir, log);
}

/**
 * Finds, installs, starts PostgreSQL + pgvector and Redis, all on loopback; what runs already is left alone.
 * @returns the URLs: `databaseUrl` for the product's own login, `adminDatabaseUrl` for the superuser.
 */
export async function startServices(purpose, { durable = false, log = () => {} } = {}) {
  const bin = postgresPrograms(log);
  const redis = redisServer(log);
  const directory = servicesFolder(purpose);
  const owner = process.getuid?.() === 0 ? serviceAccount() : undefined;
  makeServiceFolder(directory, owner);
  makeServiceFolder(join(directory, 'redis'), owner);
  const stateFile = join(directory, 'ports.json');
  const ports = existsSync(stateFile) ? JSON.parse(readFileSync(stateFile, 'utf8')) : {};
  if (!postgresPid(directory)) {
    ports.postgres = await freePort();
    startPostgres(directory, bin, ports.postgres, { durable });
  }
  if (!redisPid(directory)) {
    ports.redis = await freePort();
    startRedis(directory, redis, ports.redis, { durable });
  }
  writeFileSync(stateFile, JSON.stringify(ports));
  const admin = `postgres://postgres@127.0.0.1:${ports.postgres}`;
  prepareDatabase(bin, admin, { role: 'sparkle', database: 'sparkle' });
  return {
    databaseUrl: `postgres://sparkle@127.0.0.1:${ports.postgres}/sparkle`,
    adminDatabaseUrl: `${admin}/sparkle`,
    redisUrl: `redis://127.0.0.1:${ports.redis}`,
  };
}

/** The URLs of the servers that run, or undefined for each that does not. */
export function servicesStatus(purpose) {
  const directory = servicesFolder(purpose);
  const stateFile = join(directory, 'ports.json');
  const ports = existsSync(stateFile) ? JSON.parse(readFileSync(stateFile, 'utf8')) : {};
  return {
    databaseUrl: postgresPid(directory)
      ? `postgres://sparkle@127.0.0.1:${ports.postgres}/sparkle`
      : undefined,
    redisUrl: redisPid(directory) ? `redis://127.0.0.1:${ports.redis}` : undefined,
  };
}

/** Stops what {@link startServices} started; keeps the data unless `wipe`. */
export async function stopServices(purpose, { wipe = false } = {}) {
  const directory = servicesFolder(purpose);
  for (const [pid, signal] of [
    [postgresPid(directory), 'SIGINT'],
    [redisPid(directory), 'SIGTERM'],
  ]) {
    if (pid) await stopProcess(pid, signal);
  }
  if (wipe) rmSync(directory, { recursive: true, force: true });
}

async function stopProcess(pid, signal) {
  process.kill(pid, signal);
  for (let attempt = 0; attempt < 300; attempt++) {
    if (!isAlive(pid)) return;
    await sleep(100);
  }
  throw new ServicesError(`process ${pid} does not stop`);
}
