import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { StringDecoder } from 'node:string_decoder';
import { createGunzip, createGzip } from 'node:zlib';
import { z } from 'zod';
import type { ArchiveStore } from './archive-store.port.js';
import { ArchiveDamagedError, ArchiveNotFoundError } from './errors.js';

const manifestSchema = z.strictObject({
  format: z.literal('sparkle-partition-archive'),
  version: z.literal(1),
  /** The partitioned table. */
  table: z.string(),
  /** The column it is partitioned by. */
  column: z.string(),
  /** Bounds of the partition, as PostgreSQL writes them in UTC; `to` is exclusive. */
  from: z.string(),
  to: z.string(),
  /** In the order of the values of a row. */
  columns: z.array(z.strictObject({ name: z.string(), type: z.string() })).min(1),
  rows: z.number().int().nonnegative(),
  /** Size of the compressed file. */
  bytes: z.number().int().positive(),
  /** Of the compressed file, hexadecimal: what `sha256sum` prints. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** ISO 8601. */
  archivedAt: z.string(),
});

/** What an archive holds. It is stored beside the rows, after them: without it an archive does not exist. */
export type ArchiveManifest = z.output<typeof manifestSchema>;

/** One row: the text of each value in the manifest's order, `null` for NULL. */
export type ArchiveRow = readonly (string | null)[];

const MANIFEST = '.json';
const ROWS = '.copy.gz';
/** Text that is unpacked at once, and so about the size of a batch of rows. */
const BATCH_BYTES = 256 * 1024;
/** A manifest is a list of columns, not data; more would exhaust memory. */
const MAX_MANIFEST_BYTES = 1_000_000;

/**
 * Archives: rows as PostgreSQL's `COPY … TO` writes them in text format (psql's `\copy` loads them as well),
 * compressed with gzip, and a manifest.
 */
export class PartitionArchives {
  constructor(private readonly store: ArchiveStore) {}

  /** Stores `batches` of rows and then the manifest. */
  async write(
    archive: string,
    about: Omit<ArchiveManifest, 'format' | 'version' | 'rows' | 'bytes' | 'sha256'>,
    batches: AsyncIterable<readonly ArchiveRow[]>,
  ): Promise<ArchiveManifest> {
    const hash = createHash('sha256');
    let rows = 0;
    let bytes = 0;
    async function* lines() {
      for await (const batch of batches) {
        rows += batch.length;
        yield batch.map(formatRow).join('');
      }
    }
    const gzip = createGzip();
    async function* counted() {
      for await (const chunk of gzip as AsyncIterable<Buffer>) {
        hash.update(chunk);
        bytes += chunk.length;
        yield chunk;
      }
    }
    const results = await Promise.allSettled([
      pipeline(Readable.from(lines()), gzip),
      this.store.write(archive + ROWS, counted()),
    ]);
    // A failure of one side shows at the other as a stream that was closed too early.
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    const [first] = failures;
    if (first) throw failures.find((reason) => reason?.code !== 'ERR_STREAM_PREMATURE_CLOSE') ?? first;
    const manifest: ArchiveManifest = {
      format: 'sparkle-partition-archive',
      version: 1,
      ...about,
      rows,
      bytes,
      sha256: hash.digest('hex'),
    };
    await this.store.write(
      archive + MANIFEST,
      once(Buffer.from(`${JSON.stringify(manifest, undefined, 2)}\n`)),
    );
    return manifest;
  }

  /**
   * The manifest of an archive.
   * @throws ArchiveNotFoundError when there is none.
   * @throws ArchiveDamagedError when it cannot be understood.
   */
  async manifest(archive: string): Promise<ArchiveManifest> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    try {
      for await (const chunk of this.store.read(archive + MANIFEST)) {
        size += chunk.length;
        if (size > MAX_MANIFEST_BYTES) throw new ArchiveDamagedError(archive, 'its manifest is too large');
        chunks.push(chunk);
      }
    } catch (error) {
      throw error instanceof ArchiveNotFoundError ? new ArchiveNotFoundError(archive) : error;
    }
    let content: unknown;
    try {
      content = JSON.parse(Buffer.concat(chunks).toString());
    } catch (error) {
      throw new ArchiveDamagedError(archive, 'its manifest is not JSON', { cause: error });
    }
    const parsed = manifestSchema.safeParse(content);
    if (parsed.success) return parsed.data;
    const wrong = parsed.error.issues.map(
      ({ path, message }) => `${path.join('.') || 'manifest'}: ${message}`,
    );
    throw new ArchiveDamagedError(archive, `its manifest is not valid (${wrong.join('; ')})`);
  }

  /** Names of all archives of `table`, in order. */
  async names(table: string): Promise<string[]> {
    const names = await this.store.names();
    const archives = names.flatMap((name) =>
      name.endsWith(MANIFEST) ? [name.slice(0, -MANIFEST.length)] : [],
    );
    const own: string[] = [];
    for (const archive of archives.filter((name) => name.startsWith(`${table}_`)))
      if ((await this.manifest(archive)).table === table) own.push(archive);
    return own;
  }

  /**
   * Reads the whole archive and compares it with its manifest.
   * @throws ArchiveNotFoundError when there is none.
   * @throws ArchiveDamagedError when its checksum, its number of rows or a row is not as it was written.
   */
  async verify(archive: string): Promise<ArchiveManifest> {
    const manifest = await this.manifest(archive);
    for await (const _ of this.rows(archive, manifest));
    return manifest;
  }

  /** The rows in batches. Throws as {@link verify} does, at the latest after the last row. */
  async *rows(archive: string, manifest: ArchiveManifest): AsyncIterable<ArchiveRow[]> {
    const hash = createHash('sha256');
    const { store } = this;
    async function* hashed() {
      for await (const chunk of store.read(archive + ROWS)) {
        hash.update(chunk);
        yield chunk;
      }
    }
    let rows = 0;
    try {
      const gunzip = createGunzip({ chunkSize: BATCH_BYTES });
      const feeding = pipeline(Readable.from(hashed()), gunzip);
      // Whoever reads learns of the failure from the stream itself.
      feeding.catch(() => undefined);
      for await (const lines of splitLines(gunzip)) {
        const batch = lines.map((line) => parseRow(archive, line, manifest.columns.length));
        rows += batch.length;
        yield batch;
      }
      await feeding;
    } catch (error) {
      if (!isBroken(error)) throw error;
      throw new ArchiveDamagedError(archive, 'its rows cannot be read', { cause: error });
    }
    if (hash.digest('hex') !== manifest.sha256)
      throw new ArchiveDamagedError(archive, 'its checksum differs from the manifest');
    if (rows !== manifest.rows)
      throw new ArchiveDamagedError(archive, `it has ${rows} rows, and ${manifest.rows} by its manifest`);
  }
}

async function* once(content: Buffer) {
  yield content;
}

/** True for what zlib throws; errors of the store and of whoever consumes the rows are their own. */
function isBroken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^(Z_|ERR_STREAM)/.test(String(error.code));
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};
const UNESCAPES: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(ESCAPES).map(([plain, escaped]) => [escaped, plain]),
);

function formatRow(row: ArchiveRow): string {
  return `${row.map((value) => value?.replace(/[\\\b\f\n\r\t\v]/g, (character) => ESCAPES[character]!) ?? '\\N').join('\t')}\n`;
}

function parseRow(archive: string, line: string, columns: number): ArchiveRow {
  const values = line.split('\t');
  if (values.length !== columns)
    throw new ArchiveDamagedError(archive, `a row has ${values.length} values instead of ${columns}`);
  return values.map((value) =>
    value === '\\N' ? null : value.replace(/\\./g, (escaped) => UNESCAPES[escaped] ?? escaped.slice(1)),
  );
}

/** The lines that end in each chunk. Only `\n` ends one: PostgreSQL writes other line ends as they are. */
async function* splitLines(chunks: AsyncIterable<Uint8Array>): AsyncIterable<string[]> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + decoder.write(Buffer.from(chunk))).split('\n');
    rest = lines.pop()!;
    if (lines.length > 0) yield lines;
  }
  rest += decoder.end();
  if (rest !== '') yield [rest];
}
