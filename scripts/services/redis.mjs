import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { aptInstall, isAlive, run, runAsService, ServicesError, which } from './shell.mjs';

/** The path of a Redis or Valkey server, installed when missing. */
export function redisServer(log) {
  const find = () => which('valkey-server', 'redis-server');
  if (find()) return find();
  log('installing Redis');
  aptInstall('redis-server');
  const found = find();
  if (!found) throw new ServicesError('no Redis server was found after installing it');
  return found;
}

/** Starts a server under `directory/redis` and returns its URL. `durable`: it loses nothing it has answered. */
export function startRedis(directory, server, port, { durable = false } = {}) {
  const home = join(directory, 'redis');
  const settings = {
    port,
    bind: '127.0.0.1',
    dir: home,
    pidfile: join(home, 'redis.pid'),
    logfile: join(home, 'redis.log'),
    daemonize: 'yes',
    save: '',
    appendonly: durable ? 'yes' : 'no',
    appendfsync: 'always',
    'maxmemory-policy': 'noeviction',
  };
  runAsService(
    server,
    Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
  );
  const cli = which('valkey-cli', 'redis-cli');
  for (let attempt = 0; ; attempt++) {
    try {
      run(cli, ['-p', String(port), 'ping']);
      return `redis://127.0.0.1:${port}`;
    } catch (error) {
      if (attempt === 50) throw new ServicesError('Redis did not start', { cause: error });
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    }
  }
}

export function redisPid(directory) {
  const file = join(directory, 'redis/redis.pid');
  if (!existsSync(file)) return undefined;
  const pid = Number(readFileSync(file, 'utf8'));
  return isAlive(pid) ? pid : undefined;
}
