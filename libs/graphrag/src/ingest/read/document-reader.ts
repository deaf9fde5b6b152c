import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Clock, type ClockTimer } from '@sparkle/contracts';
import {
  DocumentCorruptError,
  DocumentEmptyError,
  DocumentEncodingInvalidError,
  DocumentEncryptedError,
  type DocumentError,
  DocumentReaderFailedError,
  DocumentTooComplexError,
  DocumentTooDeepError,
  DocumentTooLargeError,
  DocumentWithoutTextError,
} from '../../errors.js';
import { GraphragOptions } from '../../graphrag.options.js';
import { NESTING_LIMIT } from '../document-content.js';
import type { ReadRequest, ReadResult } from './read-result.js';

export type ReadDocument = Omit<Extract<ReadResult, { kind: 'text' }>, 'kind'>;

/** A reader that has nothing to do is kept this long: it takes a quarter of a second to start. */
const IDLE_MS = 30_000;
/** How a reader dies that outgrew its bound: killed by its own watch, or by V8 for its heap. */
const OUTGROWN = new Set(['SIGUSR2', 'SIGABRT']);

/**
 * Reads HTML and PDF files in a process of its own, one at a time, within bounds of time and memory: a file made
 * to exhaust its reader ends the reader, and fails alone. The process starts with the first file, does not keep
 * this one alive, and ends with it.
 */
@Injectable()
export class DocumentReader implements OnApplicationShutdown {
  private child: ChildProcess | undefined;
  private idle: ClockTimer | undefined;
  private turn: Promise<unknown> = Promise.resolve();

  constructor(
    @Inject(Clock) private readonly clock: Clock,
    @Inject(GraphragOptions) private readonly options: GraphragOptions,
  ) {}

  /**
   * @throws DocumentError a subclass saying why the file cannot be read.
   * @throws DocumentReaderFailedError when the reading process died of something else; trying again may help.
   */
  async read(request: ReadRequest & { readonly signal?: AbortSignal }): Promise<ReadDocument> {
    const result = await this.inTurn(() => this.ask(request));
    if (result.kind === 'refused') throw refusal(result, request);
    if (!/[\p{L}\p{N}]/u.test(result.text)) throw new DocumentEmptyError();
    const { text, title, pageStarts } = result;
    return { text, title, pageStarts };
  }

  onApplicationShutdown(): void {
    this.stop();
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.turn.then(work);
    this.turn = result.catch(() => undefined);
    return result;
  }

  private ask({
    signal,
    format,
    bytes,
    limitBytes,
  }: ReadRequest & { readonly signal?: AbortSignal }): Promise<ReadResult> {
    signal?.throwIfAborted();
    this.idle?.cancel();
    this.child ??= startProcess(this.options.readMaxMemoryBytes);
    const { child } = this;
    return new Promise<ReadResult>((resolve, reject) => {
      const end = (settle: () => void, kill: boolean) => {
        timer.cancel();
        signal?.removeEventListener('abort', onAbort);
        child.removeAllListeners();
        // A killed process may still report an error nobody waits for.
        child.on('error', () => undefined);
        if (kill) this.stop();
        else this.rest();
        settle();
      };
      const { readTimeoutMs, readMaxMemoryBytes } = this.options;
      const tooComplex = () => reject(new DocumentTooComplexError(readTimeoutMs, readMaxMemoryBytes));
      const timer = this.clock.schedule(readTimeoutMs, () => end(tooComplex, true));
      const onAbort = () => end(() => reject(signal?.reason), true);
      signal?.addEventListener('abort', onAbort, { once: true });
      child.on('message', (message) => end(() => resolve(message as ReadResult), false));
      child.on('error', (cause) => end(() => reject(new DocumentReaderFailedError({ cause })), true));
      child.on('exit', (code, cause) => {
        const outgrown = (cause !== null && OUTGROWN.has(cause)) || code === 134;
        end(() => (outgrown ? tooComplex() : reject(new DocumentReaderFailedError())), true);
      });
      child.send({ format, bytes, limitBytes } satisfies ReadRequest, (cause) => {
        if (cause) end(() => reject(new DocumentReaderFailedError({ cause })), true);
      });
    });
  }

  private rest(): void {
    this.idle = this.clock.schedule(IDLE_MS, () => this.stop());
  }

  private stop(): void {
    this.idle?.cancel();
    this.child?.kill('SIGKILL');
    this.child = undefined;
  }
}

function startProcess(maxMemoryBytes: number): ChildProcess {
  const fromSource = import.meta.url.endsWith('.ts');
  const file = new URL(`./document-reader.process.${fromSource ? 'ts' : 'js'}`, import.meta.url);
  const heapMb = Math.ceil(maxMemoryBytes / 1024 ** 2);
  const child = fork(fileURLToPath(file), [String(maxMemoryBytes)], {
    serialization: 'advanced',
    // Nothing of this process's secrets is any business of a process that reads strangers' files.
    env: {},
    execArgv: [
      `--max-old-space-size=${heapMb}`,
      ...(fromSource
        ? [
            '--conditions=@sparkle/source',
            `--import=${import.meta.resolve('@swc-node/register/esm-register')}`,
          ]
        : []),
    ],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  child.unref();
  child.channel?.unref();
  return child;
}

function refusal(
  { reason, bytes }: Extract<ReadResult, { kind: 'refused' }>,
  { format, limitBytes }: ReadRequest,
): DocumentError {
  switch (reason) {
    case 'corrupt':
      return new DocumentCorruptError(format);
    case 'encrypted':
      return new DocumentEncryptedError();
    case 'no-text':
      return new DocumentWithoutTextError();
    case 'too-deep':
      return new DocumentTooDeepError(NESTING_LIMIT);
    case 'encoding':
      return new DocumentEncodingInvalidError();
    case 'too-large':
      return new DocumentTooLargeError(bytes ?? limitBytes + 1, limitBytes);
  }
}
