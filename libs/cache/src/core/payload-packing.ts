import { promisify } from 'node:util';
import { type BrotliOptions, brotliCompress, brotliDecompress, constants } from 'node:zlib';
import { StoredValueCorruptError } from '../errors.js';
import type { Payload } from '../ports/cache-store.port.js';

const compress = promisify(brotliCompress);
const decompress = promisify(brotliDecompress);

export interface PayloadPackingOptions {
  /** Payloads of at least `minBytes` are compressed with Brotli at `level`; without it, none is. */
  readonly compression?: { readonly minBytes: number; readonly level: number } | undefined;
  /** Nothing larger than this is unpacked, in bytes of text. */
  readonly maxBytes: number;
}

/** First byte of a packed payload: Brotli. */
const BROTLI = 1;
/** The mark and the length of the text, before what Brotli made of it. */
const HEADER_BYTES = 5;

/**
 * Compresses encoded values on their way to the second tier and back. Payloads that are text were not
 * compressed, whatever the options say now, so processes with different options read each other's.
 */
export class PayloadPacking {
  constructor(private readonly options: PayloadPackingOptions) {}

  /** The payload to store: bytes when compressed, and the text itself when that is not worth it. */
  pack(text: string): Payload | Promise<Payload> {
    const { compression } = this.options;
    // A character takes at most three bytes.
    if (!compression || text.length * 3 < compression.minBytes) return text;
    const bytes = Buffer.from(text);
    return bytes.length < compression.minBytes ? text : packed(text, bytes, compression.level);
  }

  /**
   * The text of a stored payload. What claims or turns out to be larger than allowed is not unpacked.
   * @throws StoredValueCorruptError
   */
  unpack(payload: Payload): string | Promise<string> {
    if (typeof payload !== 'string') return unpacked(payload, this.options.maxBytes);
    if (payload.length > this.options.maxBytes) throw new StoredValueCorruptError();
    return payload;
  }
}

async function packed(text: string, bytes: Buffer, level: number): Promise<Payload> {
  const options: BrotliOptions = {
    params: {
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_QUALITY]: level,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  };
  const compressed = await compress(bytes, options);
  if (compressed.length + HEADER_BYTES >= bytes.length) return text;
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt8(BROTLI, 0);
  header.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([header, compressed]);
}

async function unpacked(payload: Buffer, maxBytes: number): Promise<string> {
  if (payload.length <= HEADER_BYTES || payload[0] !== BROTLI) throw new StoredValueCorruptError();
  const bytes = payload.readUInt32BE(1);
  if (bytes > maxBytes) throw new StoredValueCorruptError();
  try {
    const text = await decompress(payload.subarray(HEADER_BYTES), { maxOutputLength: Math.max(1, bytes) });
    if (text.length === bytes) return text.toString();
  } catch (cause) {
    throw new StoredValueCorruptError({ cause });
  }
  throw new StoredValueCorruptError();
}
