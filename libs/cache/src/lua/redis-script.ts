import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Cluster, Redis } from 'ioredis';
import { CacheStoreError } from '../errors.js';

/** A connection the application opened and closes. */
export type RedisConnection = Redis | Cluster;

/** A Lua script on disk with the type of its arguments and a parser for its reply. */
export interface RedisScript<Arguments extends readonly (string | number)[], Reply> {
  /** File name without `.lua`; ends in the number of keys, or `n`. */
  readonly name: string;
  readonly keyCount: number | 'n';
  run(connection: RedisConnection, keys: readonly string[], ...args: Arguments): Promise<Reply>;
}

/**
 * Loads a script. It runs by its hash; a server that does not know it (restarted, failed over, another node of
 * a cluster) gets the text once.
 */
export function defineScript<Arguments extends readonly (string | number)[], Reply>(
  name: string,
  parse: (reply: unknown) => Reply,
): RedisScript<Arguments, Reply> {
  const text = readFileSync(new URL(`./${name}.lua`, import.meta.url), 'utf8');
  const hash = createHash('sha1').update(text).digest('hex');
  const suffix = name.slice(name.lastIndexOf('-') + 1);
  const keyCount = suffix === 'n' ? suffix : Number(suffix);
  return {
    name,
    keyCount,
    async run(connection, keys, ...args) {
      if (keyCount !== 'n' && keys.length !== keyCount)
        throw new CacheStoreError(`Script ${name} takes ${keyCount} keys, not ${keys.length}.`);
      let reply: unknown;
      try {
        reply = await connection.evalsha(hash, keys.length, ...keys, ...args);
      } catch (error) {
        if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
        reply = await connection.eval(text, keys.length, ...keys, ...args);
      }
      return parse(reply);
    },
  };
}
