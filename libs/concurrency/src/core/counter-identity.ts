import { createHash } from 'node:crypto';
import type { RateLimitDimension } from '../ports/rate-limit-store.port.js';
import { ruleFingerprint } from './rate-limit-rule.js';

const LONGEST_PLAIN_KEY = 128;

/** A caller-chosen key, shortened to a digest when it is long, so that nobody can fill the store with it. */
export function boundedKey(key: string): string {
  return key.length <= LONGEST_PLAIN_KEY ? key : `sha256=${createHash('sha256').update(key).digest('hex')}`;
}

/** Names one counter inside its tenant. The key comes last because only it may contain a colon. */
export function counterIdentity(limiter: string, dimension: RateLimitDimension): string {
  return `${limiter}:${dimension.name}:${ruleFingerprint(dimension.rule)}:${boundedKey(dimension.key)}`;
}
