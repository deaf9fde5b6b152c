import { loadUseLite, type Tensor, type TensorRuntime } from './tensor-runtime.js';
import { UseTokenizer } from './use-tokenizer.js';

/** Length of a vector. */
export const USE_DIMENSIONS = 512;
/** Pieces the network was trained on; what follows is cut. */
export const USE_MAX_PIECES = 128;

const HEADS = 4;
const LAYERS = [
  { width: 256, scale: 0.125 },
  { width: 512, scale: 1 / Math.sqrt(128) },
] as const;
const STACK = 'module_apply_default/Encoder_en/KonaTransformer/Encode';
const KERNELS = 'module/Encoder_en/KonaTransformer/Encode';

interface LayerNorm {
  readonly scale: Tensor;
  readonly bias: Tensor;
}

interface Dense {
  readonly kernel: Tensor;
  readonly bias: Tensor;
}

interface Layer {
  readonly width: number;
  readonly scale: number;
  readonly attentionNorm: LayerNorm;
  readonly qkv: Dense;
  readonly output: Dense;
  /** Widens the residual of the first layer from 256 to 512. */
  readonly residual?: Dense;
  readonly feedForwardNorm: LayerNorm;
  readonly expand: Dense;
  readonly contract: Dense;
}

/**
 * The Universal Sentence Encoder lite (Cer et al., "Universal Sentence Encoder", 2018): a two-layer
 * transformer whose mean output is projected to 512 dimensions and normalised.
 *
 * The published graph pads each batch to its longest text and multiplies attention heads in a scalar loop.
 * This runs the same weights on the texts laid end to end, so that every linear layer is one matrix product
 * without padding, and attention is one vectorised product per head. Results agree to rounding.
 */
export class UseEncoder {
  private constructor(
    private readonly runtime: TensorRuntime,
    private readonly tokenizer: UseTokenizer,
    private readonly embeddings: Tensor,
    private readonly timing: Tensor,
    private readonly layers: readonly Layer[],
    private readonly projection: Dense,
  ) {}

  static async load(): Promise<UseEncoder> {
    const { runtime, files } = await loadUseLite();
    const weight = (name: string): Tensor => {
      const tensor = files.model.weights[name]?.[0];
      if (!tensor) throw new Error(`The sentence encoder's weights lack "${name}".`);
      return tensor;
    };
    const matrix = (name: string): Tensor => {
      const tensor = weight(name);
      const [rows, columns] = tensor.shape.slice(-2) as [number, number];
      return runtime.keep(runtime.reshape(tensor, [rows, columns]));
    };
    const norm = (path: string): LayerNorm => ({
      scale: weight(`${path}/layer_norm_scale/ConcatPartitions/concat`),
      bias: weight(`${path}/layer_norm_bias/ConcatPartitions/concat`),
    });
    const layers = LAYERS.map(({ width, scale }, index): Layer => {
      const path = `${STACK}/Layer_${index}/TransformerLayer`;
      const attention = `Layer_${index}/TransformerLayer/MultiheadAttention`;
      const feedForward = `${STACK}/TransformerStack/Layer_${index}/TransformerLayer/FFN`;
      const dense = (name: string): Dense => ({
        kernel: matrix(`${KERNELS}/${attention}/${name}/kernel/part_0`),
        bias: weight(`${STACK}/${attention}/${name}/bias/ConcatPartitions/concat`),
      });
      const convolution = (name: string): Dense => ({
        kernel: matrix(`${feedForward}/${name}/Tensordot/Reshape_1`),
        bias: weight(`${path}/FFN/${name}/bias/ConcatPartitions/concat`),
      });
      return {
        width,
        scale,
        attentionNorm: norm(`${path}/layer_prepostprocess/layer_norm`),
        qkv: dense('qkv_transform_single'),
        output: dense('output_transform_single'),
        ...(width !== USE_DIMENSIONS && {
          residual: {
            kernel: matrix(`${path}/dense/kernel/ConcatPartitions/concat`),
            bias: weight(`${path}/dense/bias/ConcatPartitions/concat`),
          },
        }),
        feedForwardNorm: norm(`${path}/FFN/layer_prepostprocess/layer_norm`),
        expand: convolution('conv1'),
        contract: convolution('conv2'),
      };
    });
    const timescales = weight(
      `${STACK}/TransformerStack/Layer_0/AddTimingSignal/TimingSignal/ExpandDims_1`,
    ).dataSync();
    return new UseEncoder(
      runtime,
      new UseTokenizer(files.vocabulary),
      weight('module/Embeddings_en'),
      runtime.keep(timingSignal(runtime, timescales)),
      layers,
      {
        kernel: matrix('module/Encoder_en/hidden_layers/tanh_layer_0/weights'),
        bias: weight('module/Encoder_en/hidden_layers/tanh_layer_0/bias'),
      },
    );
  }

  /** Piece ids of `text`, uncut. */
  tokenize(text: string): number[] {
    return this.tokenizer.encode(text);
  }

  /** One unit vector per list of piece ids; each list holds 1 to {@link USE_MAX_PIECES} ids. */
  encode(batch: readonly (readonly number[])[]): Float32Array[] {
    if (batch.length === 0) return [];
    const pooled = meanRows(
      this.read(() => this.transform(batch)),
      batch.map((ids) => ids.length),
    );
    const projected = this.read((runtime) =>
      runtime.tanh(this.dense(runtime.tensor2d(pooled, [batch.length, USE_DIMENSIONS]), this.projection)),
    );
    return batch.map((_, index) =>
      unit(projected.slice(index * USE_DIMENSIONS, (index + 1) * USE_DIMENSIONS)),
    );
  }

  /** Frees every tensor but the result, whose values are copied out: `tidy` would walk an array it returns. */
  private read(work: (runtime: TensorRuntime) => Tensor): Float32Array {
    const tensor = this.runtime.tidy(() => work(this.runtime));
    const values = tensor.dataSync();
    tensor.dispose();
    return values;
  }

  private transform(batch: readonly (readonly number[])[]): Tensor {
    const { runtime } = this;
    const words = runtime.gather(this.embeddings, runtime.tensor1d(batch.flat(), 'int32'));
    const positions = runtime.gather(
      this.timing,
      runtime.tensor1d(
        batch.flatMap((ids) => ids.map((_, index) => index)),
        'int32',
      ),
    );
    let state = runtime.add(runtime.mul(words, 2), positions);
    for (const layer of this.layers) {
      const residual = layer.residual ? this.dense(state, layer.residual) : state;
      const normed = this.normalise(state, layer.attentionNorm);
      const attended = this.attend(this.dense(normed, layer.qkv), batch, layer);
      state = runtime.add(this.dense(attended, layer.output), residual);
      const expanded = this.dense(this.normalise(state, layer.feedForwardNorm), layer.expand, 'relu');
      state = runtime.add(this.dense(expanded, layer.contract), state);
    }
    return state;
  }

  private attend(qkv: Tensor, batch: readonly (readonly number[])[], layer: Layer): Tensor {
    const { runtime } = this;
    const size = layer.width / HEADS;
    const rows: Tensor[] = [];
    let row = 0;
    for (const { length } of batch) {
      const heads: Tensor[] = [];
      for (let head = 0; head < HEADS; head++) {
        const part = (index: number) =>
          runtime.slice(qkv, [row, index * layer.width + head * size], [length, size]);
        const scores = runtime.matMul(runtime.mul(part(0), layer.scale), runtime.transpose(part(1)));
        heads.push(runtime.matMul(runtime.softmax(scores), part(2)));
      }
      rows.push(runtime.concat(heads, 1));
      row += length;
    }
    return rows.length === 1 ? (rows[0] as Tensor) : runtime.concat(rows, 0);
  }

  private dense(x: Tensor, { kernel, bias }: Dense, activation: 'linear' | 'relu' = 'linear'): Tensor {
    return this.runtime.fused.matMul({ a: x, b: kernel, bias, activation });
  }

  private normalise(x: Tensor, { scale, bias }: LayerNorm): Tensor {
    const { runtime } = this;
    const centred = runtime.sub(x, runtime.mean(x, -1, true));
    const variance = runtime.mean(runtime.square(centred), -1, true);
    const inverse = runtime.rsqrt(runtime.add(variance, runtime.tensor1d([1e-6], 'float32')));
    return runtime.add(runtime.mul(runtime.mul(centred, inverse), scale), bias);
  }
}

/** Sine and cosine positions (Vaswani et al., "Attention Is All You Need", 2017), one row per position. */
function timingSignal(runtime: TensorRuntime, timescales: Float32Array): Tensor {
  const width = timescales.length * 2;
  const values = new Float32Array(USE_MAX_PIECES * width);
  for (let position = 0; position < USE_MAX_PIECES; position++) {
    for (const [index, timescale] of timescales.entries()) {
      values[position * width + index] = Math.sin(position * timescale);
      values[position * width + timescales.length + index] = Math.cos(position * timescale);
    }
  }
  return runtime.tensor2d(values, [USE_MAX_PIECES, width]);
}

function meanRows(hidden: Float32Array, lengths: readonly number[]): Float32Array {
  const pooled = new Float32Array(lengths.length * USE_DIMENSIONS);
  let offset = 0;
  for (const [index, length] of lengths.entries()) {
    const target = pooled.subarray(index * USE_DIMENSIONS, (index + 1) * USE_DIMENSIONS);
    for (let row = 0; row < length; row++, offset += USE_DIMENSIONS) {
      for (let column = 0; column < USE_DIMENSIONS; column++) {
        target[column] = (target[column] as number) + (hidden[offset + column] as number) / length;
      }
    }
  }
  return pooled;
}

function unit(vector: Float32Array): Float32Array {
  let squares = 0;
  for (const value of vector) squares += value * value;
  const scale = 1 / Math.sqrt(Math.max(squares, 1e-12));
  return vector.map((value) => value * scale);
}
