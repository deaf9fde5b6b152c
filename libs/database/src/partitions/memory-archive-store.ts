import { checkArchiveName } from './archive-name.js';
import type { ArchiveStore } from './archive-store.port.js';
import { ArchiveNotFoundError } from './errors.js';

/** Archives in memory, for tests: they go with the process. */
export class MemoryArchiveStore implements ArchiveStore {
  private readonly contents = new Map<string, Buffer>();

  async write(name: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    checkArchiveName(name);
    const chunks: Uint8Array[] = [];
    for await (const chunk of content) chunks.push(Uint8Array.from(chunk));
    this.contents.set(name, Buffer.concat(chunks));
  }

  async *read(name: string): AsyncIterable<Uint8Array> {
    checkArchiveName(name);
    const content = this.contents.get(name);
    if (!content) throw new ArchiveNotFoundError(name);
    yield Uint8Array.from(content);
  }

  async names(): Promise<string[]> {
    return [...this.contents.keys()].sort();
  }
}
