import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Cluster, Redis } from 'ioredis';
import { CacheStoreError } from '../errors.js';

/** A connection the application opened and closes. */
export type RedisConnection = Redis | Cluster;

export type ScriptArgument = string | number | Buffer;

/** A Lua script on disk with the type of its arguments and a parser for its reply. */
export interface RedisScript<Arguments extends readonly ScriptArgument[], Reply> {
  /** File name without `.lua`; ends in the number of keys, or `n`. */
  readonly name: string;
  readonly keyCount: number | 'n';
  run(connection: RedisConnection, keys: readonly string[], ...args: Arguments): Promise<Reply>;
}

const INCLUDE = /^-- @include ([a-z-]+)$/gm;

const readLua = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');

/**
 * Loads a script and splices its `-- @include` lines in. It runs by its hash; a server that does not know it
 * (restarted, failed over, another node of a cluster) gets the text once. Bulk strings reach `parse` as buffers.
 */
export function defineScript<Arguments extends readonly ScriptArgument[], Reply>(
  name: string,
  parse: (reply: unknown) => Reply | undefined,
): RedisScript<Arguments, Reply> {
  const text = readLua(`./${name}.lua`).replace(INCLUDE, (_line, include: string) =>
    readLua(`./includes/${include}.lua`),
  );
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
        reply = await connection.callBuffer('EVALSHA', hash, keys.length, ...keys, ...args);
      } catch (error) {
        if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
        reply = await connection.callBuffer('EVAL', text, keys.length, ...keys, ...args);
      }
      const parsed = parse(reply);
      if (parsed === undefined) throw new CacheStoreError(`Script ${name} gave an unexpected reply.`);
      return parsed;
    },
  };
}
