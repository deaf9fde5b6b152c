import { isUnsupportedAnswer } from '../../../core/unsupported-answer.js';
import type { ContextPassage } from '../../../ports/chat-model.port.js';
import { splitSentences } from './sentences.js';
import { contentTerms, mentionsListener, mentionsSpeaker, personalTerms } from './terms.js';

/** A sentence an answer may use. */
export interface Candidate {
  readonly passage: ContextPassage;
  /** Place within the passage. */
  readonly index: number;
  readonly text: string;
  readonly terms: ReadonlySet<string>;
  readonly previous?: Candidate;
  /** Terms of the passage's title, known wherever in the passage one reads. */
  readonly titleTerms: ReadonlySet<string>;
}

const SPEAKER =
  /^\s*(?:\[[^\]]{1,40}\]\s*)?(user|human|assistant|ai|system|tool|用户|助手|助理)\s*[:：]\s*/iu;
const ASSISTANT = /^(?:assistant|ai|system|tool|助手|助理)$/iu;
const FOOTNOTE = /\s*\[\d{1,3}\]/gu;

/** Sentences of a passage in order, without those that ask or say that something is not known. */
export function passageCandidates(passage: ContextPassage): Candidate[] {
  const titleTerms = new Set(contentTerms(passage.title ?? ''));
  const personal = passage.kind === 'message' || passage.kind === 'summary';
  const candidates: Candidate[] = [];
  let assistant = false;
  for (const [index, sentence] of splitSentences(passage.text).entries()) {
    const speaker = SPEAKER.exec(sentence);
    if (speaker) assistant = ASSISTANT.test(speaker[1] ?? '');
    const text = sentence
      .slice(speaker?.[0].length ?? 0)
      .replace(FOOTNOTE, '')
      .trim();
    if (/[?？]["'”’」)]*$/u.test(text) || isUnsupportedAnswer(text)) continue;
    const terms = new Set(contentTerms(text));
    if (personal && (assistant ? mentionsListener(text) : mentionsSpeaker(text))) {
      for (const term of personalTerms(text)) terms.add(term);
    }
    if (terms.size === 0) continue;
    const previous = candidates.at(-1);
    candidates.push({
      passage,
      index,
      text,
      terms,
      titleTerms,
      ...(previous?.index === index - 1 && { previous }),
    });
  }
  return candidates;
}
