import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { LuaScript } from './lua-script.js';
import * as permitScripts from './permit.scripts.js';
import * as rateLimitScripts from './rate-limit.scripts.js';
import * as tokenBudgetScripts from './token-budget.scripts.js';

type AnyScript = Pick<LuaScript<never, unknown>, 'name' | 'keyCount' | 'argumentNames' | 'source'>;

const here = new URL('.', import.meta.url);
const files = readdirSync(here).filter((file) => file.endsWith('.lua'));
const descriptors: AnyScript[] = [permitScripts, rateLimitScripts, tokenBudgetScripts].flatMap((module) =>
  Object.values(module as unknown as Record<string, AnyScript>),
);
const headerOf = (file: string) =>
  readFileSync(new URL(file, here), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('-- '))
    .join('\n');

describe('the Lua files', () => {
  it('each have one descriptor, and the other way round', () => {
    expect(descriptors.map(({ name }) => `${name}.lua`).sort()).toEqual([...files].sort());
  });

  it.each(descriptors)('$name takes the keys its name, header and descriptor say', (script) => {
    const inName = script.name.split('-').at(-1)!;
    expect(inName).toBe(String(script.keyCount));
    const header = headerOf(`${script.name}.lua`);
    const keys = [...header.matchAll(/KEYS\[([^\]]+)\]/g)].map(([, index]) => index);
    const expected =
      script.keyCount === 'n' ? ['1..n'] : Array.from({ length: script.keyCount }, (_, i) => String(i + 1));
    expect(keys).toEqual(expected);
  });

  it.each(descriptors)('$name takes the arguments its header and descriptor say, in order', (script) => {
    const header = headerOf(`${script.name}.lua`);
    const documented = [...header.matchAll(/^-- ARGV\[(\d+)[^\]]*\] ([A-Za-z]+(?: [a-z]+ i(?=:))?)/gm)];
    expect(documented.map(([, index]) => Number(index))).toEqual(script.argumentNames.map((_, i) => i + 1));
    expect(documented.map(([, , name]) => name)).toEqual([...script.argumentNames]);
  });

  it.each(descriptors)('$name says what it returns and leaves no include unresolved', (script) => {
    expect(headerOf(`${script.name}.lua`)).toMatch(/^-- Returns /m);
    expect(script.source).not.toContain('@include');
  });

  it.each(descriptors)('$name reads every key and argument it documents', (script) => {
    const code = script.source.replace(/--.*$/gm, '');
    for (const [index] of script.argumentNames.entries()) {
      const read = new RegExp(`ARGV\\[(${index + 1}|at\\b|i\\b)`);
      expect(code).toMatch(read);
    }
    if (script.keyCount === 'n') expect(code).toContain('ipairs(KEYS)');
    else for (let key = 1; key <= script.keyCount; key++) expect(code).toContain(`KEYS[${key}]`);
  });
});
