import type { ContextPassage } from '../../../ports/chat-model.port.js';
import { hasCjk } from '../text-scripts.js';
import type { Candidate } from './candidates.js';
import { definesSubject } from './question.js';

/** Something that a question names, and what the passages say of it, its first sentence first. */
export interface Subject {
  readonly name: string;
  readonly sentences: readonly Candidate[];
}

/** What was read of a subject, and the sentences it was read from. */
export interface Figure<T> {
  readonly value: T;
  readonly evidence: readonly Candidate[];
}

/** The first sentence of a subject in which `read` finds something. */
export function firstOf<T>(subject: Subject, read: (text: string) => T | undefined): Figure<T> | undefined {
  for (const sentence of subject.sentences) {
    const value = read(sentence.text);
    if (value !== undefined) return { value, evidence: [sentence] };
  }
  return undefined;
}

const MOST_NAME_WORDS = 14;
const OPENING_CHARS = 200;

/** Two subjects of a question, and what it says beside their names. */
export interface Pair {
  readonly first: Subject;
  readonly second: Subject;
  /** The question without the two names. */
  readonly rest: string;
  /** What stood between them. */
  readonly joint: string;
}

const FILLER =
  /^(?:the|both|films?|movies?|books?|songs?|albums?|directors?|director|authors?|writers?|composers?|of|out|between|either|people|persons?|singers?|magazines?|bands?|flowering|plants?)$/iu;

const HONORIFIC =
  /^(?:(?:Sir|Lord|Lady|Dame|Dr|Prof|Rev|Emperor|Empress|King|Queen|Prince|Princess|Duke|Count|General)\.?\s+)+/u;

/** Finds subjects by the titles of passages and by the sentences that introduce something. */
export class SubjectIndex {
  private readonly byTitle = new Map<string, Candidate[]>();
  /** What a sentence opens with, lower case: a name stands there, or in brackets behind it. */
  private readonly openings: readonly string[];

  constructor(private readonly candidates: readonly Candidate[]) {
    this.openings = candidates.map(({ text }) => text.slice(0, OPENING_CHARS).toLowerCase());
    for (const candidate of candidates) {
      const { title } = candidate.passage;
      if (title === undefined || candidate.passage.kind === 'path') continue;
      for (const form of formsOf(title.split('›')[0]!)) {
        const held = this.byTitle.get(form);
        if (held) held.push(candidate);
        else this.byTitle.set(form, [candidate]);
      }
    }
  }

  /** What is said of `name`: the passages with that title, else the one that introduces it. */
  find(name: string): Subject | undefined {
    for (const form of formsOf(name)) {
      const sentences = this.byTitle.get(form);
      if (sentences) return { name, sentences: inOrder(sentences) };
    }
    const subject = name.trim().toLowerCase();
    if (subject.length < 2) return undefined;
    const lead = this.candidates.find(
      ({ text }, index) => this.openings[index]!.includes(subject) && definesSubject(subject, text),
    );
    return lead && { name, sentences: [lead, ...this.sameSection(lead)] };
  }

  /** As {@link find}; also the one passage whose title goes on from `name`, or `name` from its title. */
  findLoosely(name: string): Subject | undefined {
    const exact = this.find(name);
    const [form] = formsOf(name.replace(HONORIFIC, '').replace(/,.*$/u, ''));
    if (exact || form === undefined) return exact;
    const titles = [...this.byTitle.keys()].filter(
      (title) =>
        title === form ||
        title.startsWith(`${form} `) ||
        (form.startsWith(`${title} `) && title.includes(' ')),
    );
    const sentences = this.byTitle.get(titles[0] ?? '');
    return titles.length === 1 && sentences ? { name, sentences: inOrder(sentences) } : undefined;
  }

  /** The two subjects that `joint` stands between; the longest names that are known. */
  pairIn(question: string, joint: RegExp): Pair | undefined {
    for (const match of question.matchAll(joint)) {
      const before = this.nameAtEnd(question.slice(0, match.index));
      const after = before && this.nameAtStart(question.slice(match.index + match[0].length));
      if (!before || !after || before.subject.name === after.subject.name) continue;
      return {
        first: before.subject,
        second: after.subject,
        rest: `${before.rest} ${after.rest}`.replace(/\s+/gu, ' ').trim(),
        joint: match[0],
      };
    }
    return undefined;
  }

  /** The longest name that is known at the end of `text`, and what stands before it. */
  nameAtEnd(text: string): { subject: Subject; rest: string } | undefined {
    const words = wordsOf(text);
    for (let start = Math.max(0, words.length - MOST_NAME_WORDS); start < words.length; start++) {
      const subject = this.findExactly(words.slice(start).join(separatorOf(text)));
      if (subject) return { subject, rest: words.slice(0, start).join(separatorOf(text)) };
    }
    return undefined;
  }

  private nameAtStart(text: string): { subject: Subject; rest: string } | undefined {
    const words = wordsOf(text);
    let skipped = 0;
    while (skipped < words.length && FILLER.test(words[skipped]!)) {
      const found = this.longestFrom(words, skipped, separatorOf(text));
      if (found) return found;
      skipped += 1;
    }
    const found = this.longestFrom(words, skipped, separatorOf(text));
    return found && { subject: found.subject, rest: `${words.slice(0, skipped).join(' ')} ${found.rest}` };
  }

  private longestFrom(words: readonly string[], start: number, separator: string) {
    for (let end = Math.min(words.length, start + MOST_NAME_WORDS); end > start; end--) {
      const subject = this.findExactly(words.slice(start, end).join(separator));
      if (subject) return { subject, rest: words.slice(end).join(separator) };
    }
    return undefined;
  }

  private findExactly(words: string): Subject | undefined {
    const name = words.replace(/^[\s,:"“‘']+|[\s,"”’']+$/gu, '').trim();
    return name === '' ? undefined : this.find(name);
  }

  private sameSection(lead: Candidate): readonly Candidate[] {
    return this.candidates.filter(
      ({ passage, index, heading }) =>
        passage.id === lead.passage.id && index > lead.index && heading === lead.heading,
    );
  }
}

function wordsOf(text: string): readonly string[] {
  return hasCjk(text) ? [...text.trim()] : text.trim().split(/\s+/u).filter(Boolean);
}

function separatorOf(text: string): string {
  return hasCjk(text) ? '' : ' ';
}

/** A name as titles and questions write it: with and without what stands in brackets behind it. */
function formsOf(name: string): readonly string[] {
  const plain = (text: string) =>
    text
      .normalize('NFKD')
      .replace(/\p{M}/gu, '')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, ' ')
      .trim();
  const whole = plain(name);
  const bare = plain(name.replace(/\s*[（(][^)）]*[)）]\s*$/u, ''));
  return [...new Set([whole, bare])].filter((form) => form !== '');
}

function inOrder(sentences: readonly Candidate[]): readonly Candidate[] {
  const order = new Map<ContextPassage['id'], number>();
  for (const { passage } of sentences) if (!order.has(passage.id)) order.set(passage.id, order.size);
  return [...sentences].sort(
    (a, b) => order.get(a.passage.id)! - order.get(b.passage.id)! || a.index - b.index,
  );
}
