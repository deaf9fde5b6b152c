import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** A reply as far as scripts of this library use them. */
export type LuaReply = number | string | null | readonly LuaReply[];

/** A Lua file with the types of its parameters and result. */
export interface LuaScript<Parameters, Result> {
  /** File name without `.lua`; ends in the number of keys, or `n` for one or more. */
  readonly name: string;
  /** Names of ARGV, in order, as in the file's header; the last may stand for a repeated group. */
  readonly argumentNames: readonly string[];
  readonly keyCount: number | 'n';
  readonly source: string;
  readonly sha1: string;
  argumentsOf(parameters: Parameters): (string | number)[];
  /** Reads a reply; `undefined` for a shape it does not know. */
  parse(reply: LuaReply, parameters: Parameters): Result | undefined;
}

const INCLUDE = /^-- @include ([a-z-]+)$/gm;

function readLua(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8');
}

/** Reads `<name>.lua` beside this file and splices its `-- @include` lines in. */
export function defineScript<Parameters, Result>(
  definition: Pick<
    LuaScript<Parameters, Result>,
    'name' | 'argumentNames' | 'keyCount' | 'argumentsOf' | 'parse'
  >,
): LuaScript<Parameters, Result> {
  const source = readLua(`./${definition.name}.lua`).replace(INCLUDE, (_line, include: string) =>
    readLua(`./includes/${include}.lua`),
  );
  return { ...definition, source, sha1: createHash('sha1').update(source).digest('hex') };
}

export function isNumbers(reply: LuaReply | undefined): reply is readonly number[] {
  return Array.isArray(reply) && reply.every(isNumber);
}

function isNumber(item: LuaReply): item is number {
  return typeof item === 'number';
}
