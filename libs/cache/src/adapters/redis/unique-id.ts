import type { Random } from '@sparkle/contracts';

/** 128 random bits in letters, digits and hyphens: tells this process from all others. */
export function uniqueId(random: Random): string {
  return Array.from({ length: 4 }, () => Math.floor(random.next() * 2 ** 32).toString(36)).join('-');
}
