/** PostgreSQL frontend/backend protocol 3.0, as far as a multiplexer has to understand it. */

export const SSL_REQUEST = 80877103;
export const GSS_REQUEST = 80877104;
export const CANCEL_REQUEST = 80877102;
export const PROTOCOL_3 = 196608;

/** PostgreSQL's own limit of a startup packet. */
export const MAX_STARTUP_BYTES = 10_000;
/** Largest message accepted of a client that has not given its password yet. */
export const MAX_PASSWORD_BYTES = 1_000;
/** Largest message accepted of a client; a statement with its parameters. */
export const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;

/** A message with its type byte and length. */
export function message(type: string, ...parts: (Buffer | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? cString(part) : part)));
  const head = Buffer.alloc(5);
  head.write(type, 0, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

export function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`);
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

export function readyForQuery(status: TransactionStatus): Buffer {
  return message('Z', Buffer.from(status));
}

export function errorResponse(severity: 'ERROR' | 'FATAL', code: string, text: string): Buffer {
  return message('E', `S${severity}`, `V${severity}`, `C${code}`, `M${text}`, Buffer.from([0]));
}

/** `I` idle, `T` in a transaction, `E` in a failed one. */
export type TransactionStatus = 'I' | 'T' | 'E';

/** Splits a reply into whole messages. */
export function* splitMessages(bytes: Buffer): Generator<{ type: string; bytes: Buffer }> {
  for (let offset = 0; offset + 5 <= bytes.length; ) {
    const end = offset + 1 + bytes.readInt32BE(offset + 1);
    yield { type: String.fromCharCode(bytes[offset]!), bytes: bytes.subarray(offset, end) };
    offset = end;
  }
}

/** Collects a byte stream into frames without copying it again for every arriving piece. */
export class FrameReader {
  private pieces: Buffer[] = [];
  private size = 0;

  push(piece: Buffer): void {
    this.pieces.push(piece);
    this.size += piece.length;
  }

  /** The next `count` bytes without taking them, or `undefined` when they have not arrived. */
  peek(count: number): Buffer | undefined {
    if (this.size < count) return undefined;
    if (this.pieces[0]!.length < count) this.pieces = [Buffer.concat(this.pieces)];
    return this.pieces[0]!.subarray(0, count);
  }

  take(count: number): Buffer {
    const bytes = this.peek(count)!;
    const first = this.pieces[0]!;
    if (first.length === count) this.pieces.shift();
    else this.pieces[0] = first.subarray(count);
    this.size -= count;
    return bytes;
  }
}

/** The zero-terminated text at `offset`, and where it ends. */
export function readCString(bytes: Buffer, offset: number): { text: string; next: number } {
  const end = bytes.indexOf(0, offset);
  if (end < 0) return { text: '', next: bytes.length };
  return { text: bytes.toString('utf8', offset, end), next: end + 1 };
}

/** Key-value pairs of a startup packet's body. */
export function parseStartup(body: Buffer): Map<string, string> {
  const pairs = new Map<string, string>();
  for (let offset = 0; offset < body.length && body[offset] !== 0; ) {
    const key = readCString(body, offset);
    const value = readCString(body, key.next);
    pairs.set(key.text, value.text);
    offset = value.next;
  }
  return pairs;
}

const OPTION = /(?:-c\s*|--)([\w.-]+)=((?:\\.|[^\s\\])*)/g;

/** `SET` statements for the settings a startup packet asks for, by name. */
export function startupSettings(startup: ReadonlyMap<string, string>): Map<string, string> {
  const settings = new Map<string, string>();
  const set = (name: string, value: string) =>
    settings.set(name, `SET ${name} TO ${quoteSetting(name, value)}`);
  for (const [, name, value] of (startup.get('options') ?? '').matchAll(OPTION))
    set(name!.replaceAll('-', '_'), value!.replace(/\\(.)/g, '$1'));
  for (const [name, value] of startup)
    if (!NOT_SETTINGS.has(name) && /^[A-Za-z_][\w.]*$/.test(name)) set(name, value);
  return settings;
}

const NOT_SETTINGS = new Set(['user', 'database', 'options', 'replication', 'client_encoding']);

/** A list such as `search_path` must stay a list; everything else is one string. */
function quoteSetting(name: string, value: string): string {
  if (name.toLowerCase() !== 'search_path') return quoteLiteral(value);
  return value
    .split(',')
    .map((part) => quoteLiteral(part.trim().replace(/^"(.*)"$/, '$1')))
    .join(', ');
}

function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
