import { createHash } from 'node:crypto';
import type { ChatMessage } from '../ports/chat-model.port.js';

/** A versioned prompt. A change of wording is a new version in a new file; both may be in use at once. */
export interface Prompt<Input> {
  readonly id: string;
  readonly version: number;
  /** 16 hexadecimal digits of the wording: part of cache keys, so that a changed prompt finds no old answers. */
  readonly digest: string;
  render(input: Input): ChatMessage[];
}

/** Digest of a prompt's fixed wording. */
export function promptDigest(...wording: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(wording)).digest('hex').slice(0, 16);
}
