import { deepFreeze, type ValueCodec } from './value-codec.js';

/**
 * A value all callers share. Plain objects and arrays are frozen, so that no caller can change what the others
 * get; what cannot be frozen is decoded anew for each caller.
 */
export class CachedValue {
  private constructor(
    private readonly shared: unknown,
    private readonly text: string | undefined,
    private readonly codec: ValueCodec,
    /** Says that the thing asked for does not exist. */
    readonly negative: boolean,
    /** Estimated size in memory. */
    readonly bytes: number,
  ) {}

  static decode(text: string, negative: boolean, copies: boolean, codec: ValueCodec): CachedValue {
    const value = codec.decode(text);
    const bytes = 2 * text.length;
    return !copies && deepFreeze(value)
      ? new CachedValue(value, undefined, codec, negative, bytes)
      : new CachedValue(undefined, text, codec, negative, bytes);
  }

  /** Whether all callers get the same value. */
  get isShared(): boolean {
    return this.text === undefined;
  }

  read(): unknown {
    return this.text === undefined ? this.shared : this.codec.decode(this.text);
  }
}
