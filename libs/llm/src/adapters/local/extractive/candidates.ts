import { isUnsupportedAnswer } from '../../../core/unsupported-answer.js';
import type { ContextPassage } from '../../../ports/chat-model.port.js';
import { splitMarkedSentences } from './sentences.js';
import { contentTerms, mentionsListener, mentionsSpeaker, personalTerms } from './terms.js';

/** A sentence an answer may use. */
export interface Candidate {
  readonly passage: ContextPassage;
  /** Place within the passage. */
  readonly index: number;
  readonly text: string;
  readonly terms: ReadonlySet<string>;
  /** Terms of what the sentence speaks of; a pronoun stands for the sentence before, or the heading. */
  readonly subjectTerms: ReadonlySet<string>;
  /** True when the sentence opens with a pronoun, so it cannot stand alone. */
  readonly dangling: boolean;
  readonly previous?: Candidate;
  /** The heading above, as written. */
  readonly heading?: string;
  /** Terms of the passage's title and the heading above, known wherever in the passage one reads. */
  readonly titleTerms: ReadonlySet<string>;
}

const SPEAKER =
  /^\s*(?:\[[^\]]{1,40}\]\s*)?(user|human|assistant|ai|system|tool|用户|助手|助理)\s*[:：]\s*/iu;
const ASSISTANT = /^(?:assistant|ai|system|tool|助手|助理)$/iu;
const FOOTNOTE = /\s*\[\d{1,3}\]/gu;
const DANGLING =
  /^(?:he|she|it|they|this|that|these|those|his|her|its|their|such|however|therefore|thus)\b|^(?:他|她|它|这|那|其|此)/iu;
/** Where the words that name a sentence's subject end. */
const SUBJECT_END =
  /[,，。；;：:]|(?<=\S\s)\b(?:is|are|was|were|has|have|had|can|could|may|might|must|will|would|does|do|did|need|use|require|never|often|usually|then|\p{Ll}{2,}ed|\p{Ll}{2,}[^s\s]s|won|wrote|built|became|began|that|which|who)\b|是|为|指|使用|利用|通过|用于|需要|出生|生于|位于|属于|包括|提出|创作|写|由|在|能|会|可以/u;

/** Sentences of a passage in order, without headings and without those that ask or say that something is not known. */
export function passageCandidates(passage: ContextPassage): Candidate[] {
  const title = new Set(contentTerms(passage.title ?? ''));
  const titles = new Set((passage.title ?? '').split('›').map(plainForm));
  const personal = passage.kind === 'message' || passage.kind === 'summary';
  const candidates: Candidate[] = [];
  let assistant = false;
  let heading: ReadonlySet<string> = new Set();
  let headingText: string | undefined;
  for (const [index, sentence] of splitMarkedSentences(passage.text).entries()) {
    const speaker = SPEAKER.exec(sentence.text);
    if (speaker) assistant = ASSISTANT.test(speaker[1] ?? '');
    const text = sentence.text
      .slice(speaker?.[0].length ?? 0)
      .replace(FOOTNOTE, '')
      .trim();
    if (sentence.heading || titles.has(plainForm(text))) {
      heading = new Set(contentTerms(text));
      headingText = text;
      continue;
    }
    if (/[?？]["'”’」)]*$/u.test(text) || isUnsupportedAnswer(text)) continue;
    const terms = new Set(contentTerms(text));
    if (personal && (assistant ? mentionsListener(text) : mentionsSpeaker(text))) {
      for (const term of personalTerms(text)) terms.add(term);
    }
    if (terms.size === 0) continue;
    const last = candidates.at(-1);
    const previous = last?.index === index - 1 ? last : undefined;
    const dangling = DANGLING.test(text);
    candidates.push({
      passage,
      index,
      text,
      terms,
      subjectTerms: dangling
        ? (previous?.subjectTerms ?? (heading.size > 0 ? heading : title))
        : new Set(contentTerms(subjectPhrase(text))),
      dangling,
      titleTerms: heading.size > 0 ? new Set([...title, ...heading]) : title,
      ...(headingText !== undefined && { heading: headingText }),
      ...(previous && { previous }),
    });
  }
  return candidates;
}

/** What a sentence opens with, up to its verb, without what stands in brackets. */
function subjectPhrase(text: string): string {
  const plain = text.replace(/\s*[（(][^)）]{1,60}[)）]/gu, '');
  const end = plain.search(SUBJECT_END);
  return end > 0 ? plain.slice(0, end) : plain.split(/\s+/u).slice(0, 5).join(' ');
}

function plainForm(text: string): string {
  return text
    .toLowerCase()
    .replace(/[\s.。#]+/gu, ' ')
    .trim();
}
