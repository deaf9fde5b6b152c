import { randomBytes } from 'node:crypto';
import { brotliCompressSync, constants } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PayloadPacking } from '../src/core/payload-packing.js';
import { StoredValueCorruptError } from '../src/errors.js';

const MAX_BYTES = 100_000;
const packing = (level = 4, minBytes = 100) =>
  new PayloadPacking({ compression: { minBytes, level }, maxBytes: MAX_BYTES });
const plain = new PayloadPacking({ maxBytes: MAX_BYTES });

const compressed = (content: Buffer) =>
  brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } });

/** A packed payload that claims to hold `bytes`. */
function claiming(bytes: number, content: Buffer): Buffer {
  const header = Buffer.from([1, 0, 0, 0, 0]);
  header.writeUInt32BE(bytes, 1);
  return Buffer.concat([header, content]);
}

describe('packed payloads', () => {
  it('come back as they were, whatever the text, the level and who reads them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string({ unit: 'binary', maxLength: 500 }),
          fc
            .tuple(fc.string({ unit: 'grapheme', minLength: 1 }), fc.nat(2_000))
            .map(([text, times]) => text.repeat(times).slice(0, 10_000)),
        ),
        fc.integer({ min: 0, max: 11 }),
        async (text, level) => {
          // Lone surrogates do not survive UTF-8, and JSON never has any.
          const valid = Buffer.from(text).toString();
          const payload = await packing(level).pack(valid);
          expect(await packing().unpack(payload)).toBe(valid);
          expect(await plain.unpack(payload)).toBe(valid);
          expect(await packing().unpack(await plain.pack(valid))).toBe(valid);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('are smaller than the text, or the text itself', async () => {
    const text = JSON.stringify(Array.from({ length: 100 }, (_, id) => ({ id, title: `Course ${id}` })));
    const packed = await packing().pack(text);
    expect(Buffer.isBuffer(packed) && packed.length < text.length / 2).toBe(true);
    const noise = randomBytes(300).toString('base64url');
    expect((await packing(0).pack(noise)).length).toBeLessThanOrEqual(noise.length);
    const short = 'x'.repeat(99);
    expect(packing().pack(short)).toBe(short);
    expect(plain.pack(text)).toBe(text);
  });

  it('that were cut, changed or written by something else are refused', async () => {
    const packed = (await packing().pack('abcdefgh'.repeat(1_000))) as Buffer;
    await fc.assert(
      fc.asyncProperty(fc.nat(packed.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        for (const broken of [packed.subarray(0, at), changed(packed, at, change)]) {
          const text = await Promise.resolve()
            .then(() => packing().unpack(broken))
            .catch((error: unknown) => error);
          // A change may hit nothing that matters to the length; it never gives another error or more text.
          if (typeof text === 'string') expect(text).toHaveLength(8_000);
          else expect(text).toBeInstanceOf(StoredValueCorruptError);
        }
      }),
      { numRuns: 300 },
    );
    for (const foreign of [
      Buffer.alloc(0),
      Buffer.from('hello, world'),
      Buffer.from([1, 255, 255, 255, 255, 0]),
    ])
      await expect(packing().unpack(foreign)).rejects.toBeInstanceOf(StoredValueCorruptError);
  });

  it('never unpack to more than they claim or than is allowed, however much is inside', async () => {
    const size = 50_000_000;
    const bomb = compressed(Buffer.alloc(size, 'a'));
    for (const claim of [0, 1, 1_000, MAX_BYTES, MAX_BYTES + 1, size, 2 ** 32 - 1]) {
      const before = process.memoryUsage().rss;
      await expect(packing().unpack(claiming(claim, bomb))).rejects.toBeInstanceOf(StoredValueCorruptError);
      expect(process.memoryUsage().rss - before).toBeLessThan(size);
    }
    expect(() => plain.unpack('x'.repeat(MAX_BYTES + 1))).toThrow(StoredValueCorruptError);
    expect(
      await packing().unpack(claiming(MAX_BYTES, compressed(Buffer.alloc(MAX_BYTES, 'a')))),
    ).toHaveLength(MAX_BYTES);
  });
});

function changed(packed: Buffer, at: number, change: number): Buffer {
  const copy = Buffer.from(packed);
  copy.writeUInt8((copy.readUInt8(at) + change) % 256, at);
  return copy;
}
