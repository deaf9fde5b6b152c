import { countTokens, truncateToTokens } from '../../../core/token-count.js';
import type { ChatMessage, ContextPassage } from '../../../ports/chat-model.port.js';
import { hasCjk } from '../text-scripts.js';
import { splitSentences } from './sentences.js';
import { contentTerms, mentionsSpeaker } from './terms.js';

interface Line {
  readonly speaker: string;
  readonly text: string;
  readonly terms: ReadonlySet<string>;
}

const SPEAKER = /^\s*(user|human|assistant|ai|tool|用户|助手|助理)\s*[:：]\s*/iu;
const FACT =
  /\bmy (?:\w+ ){1,2}(?:is|are|was)\b|\bi(?:'m| am| was| have| live| work| like| love| prefer| hate| need| want| study| moved| bought| plan| own)\b|\bcall me\b|我(?:叫|是|住|有|喜欢|在|的|想|要|打算|不)/iu;
const DECISION =
  /\b(?:decided?|agreed?|will|plan(?:ned)?|let's|must|deadline|chose|choose|promised?|next step)\b|决定|打算|同意|计划|必须|约好|确定/iu;
const NAME_OR_NUMBER = /(?<!^)(?<![.!?]\s)\b\p{Lu}\p{Ll}+|\d/u;
const SMALL_TALK =
  /^(?:(?:hi|hello|hey|thanks?|thank you|ok(?:ay)?|great|sure|bye|good (?:morning|night|evening)|you're welcome|no problem|sounds good)\b|你好|谢谢|好的?|再见|嗯|哈哈)[\s,，!！.。]*\p{L}*[\s!！.。]*$/iu;
/** Two lines that share more of their terms than this say the same. */
const MAX_OVERLAP = 0.7;

/** Lines of speech, from messages or from passages that hold earlier messages or summaries. */
function linesOf(messages: readonly ChatMessage[], passages: readonly ContextPassage[]): Line[] {
  const sources =
    passages.length > 0
      ? passages.map(({ text }) => ({ role: '', content: text }))
      : messages.filter(({ role }) => role === 'user' || role === 'assistant');
  const lines: Line[] = [];
  for (const { role, content } of sources) {
    let speaker = role;
    for (const sentence of splitSentences(content)) {
      const prefix = SPEAKER.exec(sentence);
      if (prefix) speaker = /^(?:user|human|用户)$/iu.test(prefix[1] ?? '') ? 'user' : 'assistant';
      const text = sentence.slice(prefix?.[0].length ?? 0).trim();
      const terms = new Set(contentTerms(text));
      if (terms.size > 0 && !SMALL_TALK.test(text)) lines.push({ speaker, text, terms });
    }
  }
  return lines;
}

/**
 * How near a line is to the centroid of all lines (Radev et al., "Centroid-based summarization of multiple
 * documents", 2004), raised for what a later answer may need: facts about the speaker, decisions, names and
 * numbers, open questions.
 */
function importance(line: Line, frequencies: ReadonlyMap<string, number>, count: number): number {
  let central = 0;
  for (const term of line.terms) central += Math.log1p(frequencies.get(term) ?? 0);
  central /= Math.sqrt(line.terms.size) * Math.log1p(count);
  let factor = line.speaker === 'assistant' ? 0.6 : 1;
  if (FACT.test(line.text) && line.speaker !== 'assistant') factor += mentionsSpeaker(line.text) ? 1.2 : 0.6;
  if (DECISION.test(line.text)) factor += 0.5;
  if (NAME_OR_NUMBER.test(line.text)) factor += 0.4;
  if (/[?？]$/u.test(line.text)) factor -= 0.4;
  return central * factor;
}

/**
 * The most telling sentences of a conversation, copied, each behind who said it, in their order, in at most
 * `maxTokens`. Empty when there is nothing but small talk.
 */
export function summarise(
  messages: readonly ChatMessage[],
  passages: readonly ContextPassage[],
  maxTokens: number,
): { readonly lines: readonly string[]; readonly truncated: boolean } {
  const lines = linesOf(messages, passages);
  const frequencies = new Map<string, number>();
  for (const { terms } of lines) {
    for (const term of terms) frequencies.set(term, (frequencies.get(term) ?? 0) + 1);
  }
  const order = lines
    .map((line, index) => ({ line, index, score: importance(line, frequencies, lines.length) }))
    .sort((a, b) => b.score - a.score || a.index - b.index);
  const kept: { readonly line: Line; readonly index: number; readonly text: string }[] = [];
  let tokens = 0;
  for (const { line, index } of order) {
    if (kept.some((other) => overlap(other.line, line) > MAX_OVERLAP)) continue;
    const text = label(line);
    const cost = countTokens(`${text}\n`);
    if (tokens + cost > maxTokens) continue;
    tokens += cost;
    kept.push({ line, index, text });
  }
  const first = order[0];
  if (kept.length === 0 && first) {
    return { lines: [truncateToTokens(label(first.line), maxTokens)], truncated: true };
  }
  return { lines: kept.sort((a, b) => a.index - b.index).map(({ text }) => text), truncated: false };
}

function label({ speaker, text }: Line): string {
  if (speaker === '') return text;
  if (hasCjk(text)) return `${speaker === 'user' ? '用户' : '助手'}：${text}`;
  return `${speaker === 'user' ? 'User' : 'Assistant'}: ${text}`;
}

function overlap(a: Line, b: Line): number {
  const shared = [...a.terms].filter((term) => b.terms.has(term)).length;
  return shared / Math.min(a.terms.size, b.terms.size);
}
