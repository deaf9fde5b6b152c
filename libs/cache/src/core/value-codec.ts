import { StoredValueCorruptError, ValueNotSerializableError } from '../errors.js';

/** Turns values into text and back. What comes back is a new value every time. */
export interface ValueCodec {
  /** @throws ValueNotSerializableError */
  encode(value: unknown): string;
  /** @throws StoredValueCorruptError */
  decode(text: string): unknown;
}

const MARK = '$';
const MAX_DEPTH = 500;
const BINARY = {
  Uint8Array,
  Uint8ClampedArray,
  Uint16Array,
  Uint32Array,
  Int8Array,
  Int16Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
} as const;
type BinaryName = keyof typeof BINARY;

/**
 * JSON, with `{"$": kind, "v": …}` for what JSON lacks: `undefined` (also in properties and array holes), NaN,
 * ±Infinity, −0, bigint, Date, Map, Set, Buffer and typed arrays. An object that has a `$` property of its own is
 * kept apart from these. Objects with `toJSON()` become what it returns; other class instances become plain
 * objects. Functions, symbols, promises, errors, regular expressions and cycles are refused.
 */
export const jsonCodec: ValueCodec = {
  encode(value) {
    return JSON.stringify(write(value, '$', [])) as string;
  },
  decode(text) {
    try {
      const parsed: unknown = JSON.parse(text);
      return text.includes('"$":') ? read(parsed) : parsed;
    } catch (cause) {
      throw cause instanceof StoredValueCorruptError ? cause : new StoredValueCorruptError({ cause });
    }
  },
};

function tagged(kind: string, v?: unknown): object {
  return v === undefined ? { [MARK]: kind } : { [MARK]: kind, v };
}

function write(value: unknown, path: string, ancestors: object[]): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'undefined':
      return tagged('undefined');
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : tagged('number', Object.is(value, -0) ? '-0' : String(value));
    case 'bigint':
      return tagged('bigint', String(value));
    case 'object':
      return value === null ? null : writeObject(value, path, ancestors);
    default:
      throw new ValueNotSerializableError(path, `a ${typeof value}`);
  }
}

function writeObject(value: object, path: string, ancestors: object[]): unknown {
  if (ancestors.includes(value)) throw new ValueNotSerializableError(path, 'part of a cycle');
  if (ancestors.length >= MAX_DEPTH)
    throw new ValueNotSerializableError(path.slice(0, 60), `nested deeper than ${MAX_DEPTH} levels`);
  ancestors.push(value);
  try {
    return writeFields(value, path, ancestors);
  } finally {
    ancestors.pop();
  }
}

function writeFields(value: object, path: string, ancestors: object[]): unknown {
  if (Array.isArray(value))
    return Array.from(value, (item, index) => write(item, `${path}[${index}]`, ancestors));
  if (value instanceof Date) {
    const time = value.getTime();
    return tagged('date', Number.isNaN(time) ? 'invalid' : time);
  }
  if (value instanceof Map)
    return tagged(
      'map',
      [...value].map(([key, item], index) => [
        write(key, `${path}.keys[${index}]`, ancestors),
        write(item, `${path}.values[${index}]`, ancestors),
      ]),
    );
  if (value instanceof Set)
    return tagged(
      'set',
      [...value].map((item, index) => write(item, `${path}.values[${index}]`, ancestors)),
    );
  if (ArrayBuffer.isView(value)) return writeBinary(value, path);
  if (
    value instanceof Error ||
    value instanceof RegExp ||
    value instanceof Promise ||
    value instanceof WeakMap ||
    value instanceof WeakSet ||
    value instanceof ArrayBuffer
  )
    throw new ValueNotSerializableError(path, `a ${value.constructor.name}`);
  if ('toJSON' in value && typeof value.toJSON === 'function')
    return write((value.toJSON as (key: string) => unknown)(''), path, ancestors);
  const fields = Object.entries(value).map(
    ([key, item]) => [key, write(item, `${path}.${key}`, ancestors)] as const,
  );
  const plain = Object.fromEntries(fields);
  return Object.hasOwn(plain, MARK) ? tagged('object', fields) : plain;
}

function writeBinary(value: ArrayBufferView, path: string): unknown {
  const name = Buffer.isBuffer(value) ? 'Buffer' : value.constructor.name;
  if (name !== 'Buffer' && !(name in BINARY)) throw new ValueNotSerializableError(path, `a ${name}`);
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return { [MARK]: name, v: bytes.toString('base64') };
}

function read(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) value[index] = read(value[index]);
    return value;
  }
  if (Object.hasOwn(value, MARK)) return readTagged(value as { $: unknown; v?: unknown });
  for (const [key, item] of Object.entries(value)) {
    if (typeof item === 'object' && item !== null) define(value, key, read(item));
  }
  return value;
}

function readTagged({ $: kind, v }: { $: unknown; v?: unknown }): unknown {
  switch (kind) {
    case 'undefined':
      return undefined;
    case 'number':
      return Number(v);
    case 'bigint':
      return BigInt(String(v));
    case 'date':
      return new Date(v === 'invalid' ? Number.NaN : Number(v));
    case 'map':
      return new Map((v as [unknown, unknown][]).map(([key, item]) => [read(key), read(item)]));
    case 'set':
      return new Set((v as unknown[]).map(read));
    case 'object': {
      const restored = {};
      for (const [key, item] of v as [string, unknown][]) define(restored, key, read(item));
      return restored;
    }
    case 'Buffer':
      return Buffer.from(String(v), 'base64');
    default:
      return readBinary(kind, v);
  }
}

function readBinary(kind: unknown, v: unknown): unknown {
  if (typeof kind !== 'string' || !Object.hasOwn(BINARY, kind)) throw new StoredValueCorruptError();
  // Copied, because views of several bytes must start on an aligned offset of their own buffer.
  const bytes = new Uint8Array(Buffer.from(String(v), 'base64'));
  return new BINARY[kind as BinaryName](bytes.buffer);
}

/** Plain assignment of `__proto__` would set the prototype instead of a property. */
function define(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
}

/**
 * Freezes plain objects and arrays all the way down. `false` when the value holds something that freezing does
 * not protect (Date, Map, Set, binary data).
 */
export function deepFreeze(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return true;
  if (!Array.isArray(value)) {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) return false;
  }
  let safe = true;
  // Neither kind inherits anything enumerable.
  for (const key in value) {
    const item = (value as Record<string, unknown>)[key];
    if (typeof item === 'object' && item !== null && !deepFreeze(item)) safe = false;
  }
  Object.freeze(value);
  return safe;
}
