import { detectLanguage } from '../extract/entity-name.js';
import { STOP_WORDS } from '../index/analyse.js';

/** One way of asking the same thing in other words. */
export type Rewording = 'polite' | 'careless' | 'telegram';

export const REWORDINGS: readonly Rewording[] = ['polite', 'careless', 'telegram'];

const POLITE = {
  en: (question: string) => `Could you please tell me the following: ${question}`,
  zh: (question: string) => `请问一下，${question}`,
} as const;
const ZH_PARTICLES = /[的了吗呢吧啊请]/gu;

/**
 * The same question as other people would type it: with courtesies, in lower case without punctuation, or as a
 * string of key words. Names stay, so the answer stays the same.
 */
export function rewordQuestion(question: string, rewording: Rewording): string {
  const language = detectLanguage(question);
  if (rewording === 'polite') return POLITE[language](question);
  const bare = question
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s'-]+/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  if (rewording === 'careless') return bare;
  if (language === 'zh') return bare.replace(ZH_PARTICLES, '');
  const words = bare.split(' ').filter((word) => !STOP_WORDS.has(word));
  return words.length > 0 ? words.join(' ') : bare;
}
