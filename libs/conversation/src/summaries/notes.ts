import { clip, clipToTokens, isQuestion, sentences } from '../text.js';
import { readStatement, replaces, type Statement } from './statement.js';

/** What kind of fact a note keeps; `fact` is what somebody is, has, or where they live. */
export type NoteKind = 'name' | 'number' | 'decision' | 'preference' | 'fact' | 'question';

/** A fact kept word for word beside a summary's prose; `seq` is the message that states it. */
export interface Note {
  readonly kind: NoteKind;
  readonly text: string;
  readonly seq: number;
  /** The message that replaced it. Such a note is kept for the trace, and shown to nobody as a fact. */
  readonly supersededBy?: number;
  /** On a question: it has its answer. Kept so that the same question, noted before as open, is closed. */
  readonly answered?: boolean;
}

export interface NotedMessage {
  readonly seq: number;
  readonly role: string;
  readonly content: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

const NAME =
  /\b(my|our|his|her|their) (\w+(?:'s)? )?name(?:'s| is| are)\b|\b(i am|i'm) called\b|\bcall me\b|\bi'm \p{Lu}\p{L}+\b|我叫|我的名字|叫我|我姓|名叫|改名|叫[\p{Script=Han}]{1,4}[。，！]?$/iu;
/** Case counts: "called Barnaby", not "called entropy". */
const NAMED = /\b(?:called|named)\s+\p{Lu}/u;
const DECISION =
  /\b(let's|let us|i will|i'll|we will|we'll|i want to|i'd like to|i've decided|(i|we) (have )?(decided|agreed|chose)|my goal|i plan|i need to|i changed my mind)\b|决定|打算|我要|我想|我们要|我会|目标是|计划|改主意/iu;
const PREFERENCE =
  /\b(?:i|we) (?:(?:now|really|actually|still|also|just) )?(?:prefer|like|love|enjoy|hate|dislike|(?:do not|don't|no longer) (?:like|want|enjoy|eat|drink))\b|\bfavou?rite\b|\bi can't stand\b|喜欢|讨厌|最爱|偏好|不爱/iu;
const FACT =
  /\b(?:my|our) [\p{L}\s'-]{2,40}? (?:is|are|was changed to|is now|has changed to)\b|\b(?:i|we) (?:(?:now|just|still) )?(?:(?:live|am living|moved|relocated) (?:in|to)|work (?:at|for|as)|study at)\b|\b(?:not|isn't) .{1,60} but\b|我的?[\p{Script=Han}]{0,8}(?:住在|搬到|搬去|就职于)|我的[\p{Script=Han}]{1,8}(?:是|改成|改为|换成|变成)|不是.{1,30}而是/iu;
/** Dates without a digit, and events that will not be. */
const DATED =
  /\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\b(?:cancell?ed|called off)\b|(?:周|星期|礼拜)[一二三四五六日天]|取消/iu;
const REQUEST =
  /^(please |now |can you |could you )*(tell|explain|show|give|describe|list|compare|summari[sz]e|help|write|define|find|calculate|solve|translate|repeat|continue)\b|^(请|帮我|告诉我|解释|列出|说说|讲讲|介绍|比较|计算|翻译|继续)/iu;
const NUMBER =
  /\p{N}|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand)\b|[一二两三四五六七八九十百千万](?:点|个|岁|元|块|月|天|年|道|次|页|人|名|章|节|周|分|只)/iu;
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
      const kind = kindOf(sentence);
      if (kind === undefined) continue;
      const note = { kind, text, seq: message.seq };
      if (kind !== 'question') notes.push(note);
      else if (!answer || UNKNOWN.test(answer.content)) notes.push(note);
      else notes.push({ ...note, answered: true });
    }
  }
  return notes;
}

function kindOf(sentence: string): NoteKind | undefined {
  if (isQuestion(sentence)) return 'question';
  if (REQUEST.test(sentence)) return undefined;
  if (NAME.test(sentence) || NAMED.test(sentence)) return 'name';
  if (PREFERENCE.test(sentence)) return 'preference';
  if (DECISION.test(sentence)) return 'decision';
  if (NUMBER.test(sentence) || DATED.test(sentence)) return 'number';
  return FACT.test(sentence) ? 'fact' : undefined;
}

/** Notes kept of each kind, replaced ones and answered questions counted for themselves, over `max`. */
const KEPT_SHARE = 0.5;

/**
 * Notes of several stretches as one set. What is said again is kept once, with its latest message; a question that
 * is asked again and answered is closed; what a later statement replaces is marked with it. The result does not
 * depend on the order or the grouping of merges, nor on how often a stretch is merged, as long as no kind has more
 * notes than are kept of it: `max / 2`, the newest, and as many replaced ones.
 */
export function mergeNotes(sets: readonly (readonly Note[])[], max: number): readonly Note[] {
  const latest = new Map<string, Note>();
  for (const note of sets.flat()) {
    const key = `${note.kind}:${normal(note.text)}`;
    const known = latest.get(key);
    if (!known || note.seq > known.seq) latest.set(key, note);
    else if (note.seq === known.seq && (note.answered || note.supersededBy !== undefined))
      latest.set(key, { ...known, ...note, ...earliestReplacement(known, note) });
  }
  const notes = [...latest.values()].sort(
    (left, right) =>
      left.seq - right.seq ||
      (left.kind < right.kind ? -1 : left.kind > right.kind ? 1 : 0) ||
      compare(left.text, right.text),
  );
  return newestOfEachKind(markReplaced(notes), Math.max(1, Math.ceil(max * KEPT_SHARE)));
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function earliestReplacement(one: Note, other: Note): { supersededBy?: number } {
  const seqs = [one.supersededBy, other.supersededBy].filter((seq) => seq !== undefined);
  return seqs.length > 0 ? { supersededBy: Math.min(...seqs) } : {};
}

/** Oldest first; each statement replaces what it contradicts before it. */
function markReplaced(notes: readonly Note[]): readonly Note[] {
  const marked = [...notes];
  const read = new Map<number, Statement>();
  const statement = (at: number) => {
    const known = read.get(at) ?? readStatement(marked[at]!.text);
    read.set(at, known);
    return known;
  };
  for (let at = 0; at < marked.length; at += 1) {
    if (marked[at]!.kind === 'question') continue;
    for (let before = at - 1; before >= 0; before -= 1) {
      const earlier = marked[before]!;
      const { seq } = marked[at]!;
      if (earlier.kind === 'question' || (earlier.supersededBy ?? seq + 1) <= seq) continue;
      if (earlier.seq < seq && replaces(statement(at), statement(before)))
        marked[before] = { ...earlier, supersededBy: seq };
    }
  }
  return marked;
}

function newestOfEachKind(notes: readonly Note[], kept: number): readonly Note[] {
  const counts = new Map<string, number>();
  return notes
    .toReversed()
    .filter(({ kind, supersededBy, answered }) => {
      const pool = `${kind} ${isCurrent({ supersededBy, answered })}`;
      counts.set(pool, (counts.get(pool) ?? 0) + 1);
      return counts.get(pool)! <= kept;
    })
    .reverse();
}

function isCurrent({
  supersededBy,
  answered,
}: {
  supersededBy?: number | undefined;
  answered?: boolean | undefined;
}): boolean {
  return supersededBy === undefined && answered !== true;
}

/** The notes that hold now: `max` at most, the oldest of the most numerous kind going first. */
export function currentNotes(notes: readonly Note[], max = Number.POSITIVE_INFINITY): readonly Note[] {
  const current = notes.filter(isCurrent);
  while (current.length > max) {
    const counts = new Map<NoteKind, number>();
    for (const note of current) counts.set(note.kind, (counts.get(note.kind) ?? 0) + 1);
    const [crowded] = [...counts].sort(([, left], [, right]) => right - left)[0]!;
    current.splice(
      current.findIndex((note) => note.kind === crowded),
      1,
    );
  }
  return current;
}

/**
 * Prose and current notes as the model reads them, in at most `maxTokens`. Notes are the user's own words, so each is
 * a line of theirs; those the prose holds already are left out. When there is not room for all, notes get
 * half of it, the latest first, and the prose is cut.
 */
export function renderSummary(
  content: string,
  notes: readonly Note[],
  maxTokens = Number.POSITIVE_INFINITY,
  countTokens: (text: string) => number = () => 0,
): string {
  const prose = withoutReplaced(content, notes);
  const lines = currentNotes(notes)
    .filter(({ text }) => !prose.includes(text))
    .map(({ kind, text }) => (kind === 'question' ? `Open question: ${text}` : `User: ${text}`));
  const join = (beginning: string, kept: readonly string[]) =>
    [beginning, ...kept].filter((line) => line !== '').join('\n');
  const whole = join(prose, lines);
  if (countTokens(whole) <= maxTokens) return whole;
  const kept: string[] = [];
  let left = Math.max(maxTokens / 2, maxTokens - countTokens(prose) - 1);
  for (const line of lines.toReversed()) {
    const cost = countTokens(line) + 1;
    if (cost > left) break;
    kept.unshift(line);
    left -= cost;
  }
  const spent = kept.reduce((sum, line) => sum + countTokens(line) + 1, 0);
  return join(clipToTokens(prose, Math.floor(maxTokens - spent), countTokens), kept);
}

/** Prose that was copied sentence by sentence still says what has been replaced since. */
function withoutReplaced(content: string, notes: readonly Note[]): string {
  const replaced = notes.filter(
    ({ text, supersededBy }) => supersededBy !== undefined && content.includes(text),
  );
  if (replaced.length === 0) return content;
  const current = new Set(currentNotes(notes).map(({ text }) => text));
  return replaced
    .filter(({ text }) => !current.has(text))
    .reduce((prose, { text }) => prose.replaceAll(text, ''), content)
    .replace(/\b(?:User|Assistant):\s*(?=(?:User|Assistant):|$)/gmu, '')
    .replace(/[ \t]{2,}/gu, ' ')
    .trim();
}
