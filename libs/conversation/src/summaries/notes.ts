import { clip, clipToTokens, isQuestion, sentences } from '../text.js';

/** What kind of fact a note keeps. `question` is one that has no answer yet. */
export type NoteKind = 'name' | 'number' | 'decision' | 'question';

/** A fact kept word for word beside a summary's prose; `seq` is the message that states it. */
export interface Note {
  readonly kind: NoteKind;
  readonly text: string;
  readonly seq: number;
}

export interface NotedMessage {
  readonly seq: number;
  readonly role: string;
  readonly content: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

const NAME =
  /\b(my|our|his|her|their) (\w+(?:'s)? )?name(?:'s| is| are)\b|\b(i am|i'm) called\b|\bcall me\b|\bi'm \p{Lu}\p{L}+\b|我叫|我的名字|叫我|我姓|名叫/iu;
/** Case counts: "called Barnaby", not "called entropy". */
const NAMED = /\b(?:called|named)\s+\p{Lu}/u;
const DECISION =
  /\b(let's|let us|i will|i'll|we will|we'll|i prefer|i want to|i'd like to|i've decided|(i|we) (have )?(decided|agreed|chose)|my goal|i plan|i need to)\b|决定|打算|我要|我想|我们要|我会|目标是|计划|我喜欢|更喜欢/iu;
const REQUEST =
  /^(please |now |can you |could you )*(tell|explain|show|give|describe|list|compare|summari[sz]e|help|write|define|find|calculate|solve|translate|repeat|continue)\b|^(请|帮我|告诉我|解释|列出|说说|讲讲|介绍|比较|计算|翻译|继续)/iu;
const NUMBER = /\p{N}/u;
const UNKNOWN =
  /\b(do not|don't|does not|doesn't|cannot|can't|could not|couldn't) (know|say|find|answer|contain|mention)\b|\bno (information|answer)\b|不知道|无法回答|没有找到|没有提到|未提及/iu;
const MAX_NOTE_CHARS = 240;

function normal(text: string): string {
  return text
    .toLowerCase()
    .replace(/[\s\p{P}]+/gu, ' ')
    .trim();
}

function isAnswerTo(question: NotedMessage, candidate: NotedMessage): boolean {
  if (candidate.role !== 'assistant' || candidate.seq <= question.seq) return false;
  const replyTo = candidate.metadata?.replyTo;
  return typeof replyTo === 'number' ? replyTo === question.seq : candidate.seq === question.seq + 1;
}

/**
 * Facts of a stretch of conversation: what users call themselves and others, what they state with numbers,
 * what they decide, and what they asked without getting an answer. English and Chinese.
 */
export function extractNotes(messages: readonly NotedMessage[]): readonly Note[] {
  const notes: Note[] = [];
  for (const message of messages) {
    if (message.role !== 'user') continue;
    const answer = messages.find((candidate) => isAnswerTo(message, candidate));
    for (const sentence of sentences(message.content)) {
      const text = clip(sentence, MAX_NOTE_CHARS);
      if (isQuestion(sentence)) {
        if (!answer || UNKNOWN.test(answer.content)) notes.push({ kind: 'question', text, seq: message.seq });
      } else if (NAME.test(sentence) || NAMED.test(sentence))
        notes.push({ kind: 'name', text, seq: message.seq });
      else if (DECISION.test(sentence)) notes.push({ kind: 'decision', text, seq: message.seq });
      else if (NUMBER.test(sentence) && !REQUEST.test(sentence))
        notes.push({ kind: 'number', text, seq: message.seq });
    }
  }
  return notes;
}

/**
 * Earlier notes with later ones: what is said again is kept once, with its latest message; an open question
 * that `messages` asks again and answers is closed. At most `max` remain; the oldest of the most numerous
 * kind go first.
 */
export function mergeNotes(
  earlier: readonly Note[],
  later: readonly Note[],
  messages: readonly NotedMessage[],
  max: number,
): readonly Note[] {
  const open = new Set(later.filter((note) => note.kind === 'question').map((note) => normal(note.text)));
  const closed = new Set(
    messages
      .filter((message) => message.role === 'user')
      .flatMap((message) => sentences(message.content).filter(isQuestion))
      .map((sentence) => normal(clip(sentence, MAX_NOTE_CHARS)))
      .filter((question) => !open.has(question)),
  );
  const byText = new Map<string, Note>();
  for (const note of [...earlier, ...later]) {
    const key = `${note.kind}:${normal(note.text)}`;
    if (note.kind === 'question' && closed.has(normal(note.text))) continue;
    byText.delete(key);
    byText.set(key, note);
  }
  const notes = [...byText.values()].sort((left, right) => left.seq - right.seq);
  while (notes.length > max) {
    const counts = new Map<NoteKind, number>();
    for (const note of notes) counts.set(note.kind, (counts.get(note.kind) ?? 0) + 1);
    const [crowded] = [...counts].sort(([, left], [, right]) => right - left)[0]!;
    notes.splice(
      notes.findIndex((note) => note.kind === crowded),
      1,
    );
  }
  return notes;
}

/**
 * Prose and notes as the model reads them, in at most `maxTokens`. Notes are the user's own words, so each is
 * a line of theirs; those the prose holds already are left out. When there is not room for all, notes get
 * half of it, the latest first, and the prose is cut.
 */
export function renderSummary(
  content: string,
  notes: readonly Note[],
  maxTokens = Number.POSITIVE_INFINITY,
  countTokens: (text: string) => number = () => 0,
): string {
  const lines = notes
    .filter(({ text }) => !content.includes(text))
    .map(({ kind, text }) => (kind === 'question' ? `Open question: ${text}` : `User: ${text}`));
  const join = (prose: string, kept: readonly string[]) =>
    [prose, ...kept].filter((line) => line !== '').join('\n');
  const whole = join(content, lines);
  if (countTokens(whole) <= maxTokens) return whole;
  const kept: string[] = [];
  let left = Math.max(maxTokens / 2, maxTokens - countTokens(content) - 1);
  for (const line of lines.toReversed()) {
    const cost = countTokens(line) + 1;
    if (cost > left) break;
    kept.unshift(line);
    left -= cost;
  }
  const spent = kept.reduce((sum, line) => sum + countTokens(line) + 1, 0);
  return join(clipToTokens(content, Math.floor(maxTokens - spent), countTokens), kept);
}
