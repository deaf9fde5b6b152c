import { describe, expect, it } from 'vitest';
import type { ArchiveStore } from '../archive-store.port.js';
import { ArchiveNameInvalidError, ArchiveNotFoundError } from '../errors.js';

/** What every adapter of {@link ArchiveStore} guarantees; `open` returns an empty store. */
export function describeArchiveStore(adapter: string, open: () => Promise<ArchiveStore>): void {
  describe(`the ${adapter} archive store`, () => {
    it('gives back what it was given, whatever the bytes and however they came', async () => {
      const store = await open();
      const all = Uint8Array.from({ length: 256 }, (_, index) => index);
      await store.write('a.copy.gz', chunks(all, new Uint8Array(0), all));
      await store.write('empty', chunks());
      await store.write('b.json', chunks(Buffer.from('{}')));
      expect(await content(store, 'a.copy.gz')).toEqual(Buffer.concat([all, all]));
      expect(await content(store, 'empty')).toEqual(Buffer.alloc(0));
      expect(await store.names()).toEqual(['a.copy.gz', 'b.json', 'empty']);
    });

    it('keeps the chunks as they were when it got them', async () => {
      const store = await open();
      const reused = Buffer.from('first');
      async function* reusing() {
        yield reused;
        reused.write('again');
        yield reused;
      }
      await store.write('a', reusing());
      expect(String(await content(store, 'a'))).toBe('firstagain');
    });

    it('replaces what was there', async () => {
      const store = await open();
      await store.write('a', chunks(Buffer.from('a longer one')));
      await store.write('a', chunks(Buffer.from('short')));
      expect(String(await content(store, 'a'))).toBe('short');
      expect(await store.names()).toEqual(['a']);
    });

    it('keeps what was there, or nothing, when the content ends with an error', async () => {
      const store = await open();
      const failure = new Error('the rows ended');
      async function* failing() {
        yield Buffer.from('half');
        throw failure;
      }
      await expect(store.write('a', failing())).rejects.toBe(failure);
      expect(await store.names()).toEqual([]);
      await store.write('a', chunks(Buffer.from('whole')));
      await expect(store.write('a', failing())).rejects.toBe(failure);
      expect(String(await content(store, 'a'))).toBe('whole');
    });

    it('has one of two contents whole when both are written at once', async () => {
      const store = await open();
      const [x, y] = ['x', 'y'].map((letter) => Buffer.alloc(200_000, letter));
      await Promise.all([store.write('a', chunks(x!, x!)), store.write('a', chunks(y!, y!))]);
      const kept = await content(store, 'a');
      expect(kept.length).toBe(400_000);
      expect(new Set(kept).size).toBe(1);
      expect(await store.names()).toEqual(['a']);
    });

    it('says that there is nothing of a name', async () => {
      const store = await open();
      expect(await store.names()).toEqual([]);
      await expect(content(store, 'a')).rejects.toBeInstanceOf(ArchiveNotFoundError);
    });

    it.each(['', '../a', 'a/b', '.hidden', 'A', 'a b', 'a\0', `a${'b'.repeat(200)}`, '..'])(
      'refuses the name %j',
      async (name) => {
        const store = await open();
        await expect(store.write(name, chunks())).rejects.toBeInstanceOf(ArchiveNameInvalidError);
        await expect(content(store, name)).rejects.toBeInstanceOf(ArchiveNameInvalidError);
      },
    );
  });
}

async function* chunks(...parts: Uint8Array[]) {
  yield* parts;
}

async function content(store: ArchiveStore, name: string): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of store.read(name)) parts.push(part);
  return Buffer.concat(parts);
}
