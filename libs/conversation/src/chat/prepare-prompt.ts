import type { ChatMessage, ContextPassage } from '@sparkle/llm';
import { MESSAGE_OVERHEAD } from '../memory/budget.js';
import { type MemoryContext, memoryPassages } from '../memory/memory.service.js';
import { readAnswerMetadata } from './answer-metadata.js';
import type { PreviousTurn } from './follow-up.js';
import type { Prepared } from './turn.js';

/** Messages left when a prompt was too long for the model. */
const FEWEST_MESSAGES = 3;

type CountTokens = (text: string) => number;

/** Tokens passages take in a prompt. */
export function passageTokens(passages: readonly ContextPassage[], countTokens: CountTokens): number {
  return passages.reduce(
    (sum, { title, text }) => sum + countTokens(title ? `${title}: ${text}` : text) + MESSAGE_OVERHEAD,
    0,
  );
}

/** Tokens of a whole prompt, as well as they can be told before it is sent. */
export function promptTokens(messages: readonly ChatMessage[], countTokens: CountTokens): number {
  return messages.reduce(
    (sum, { content, toolCalls }) =>
      sum +
      countTokens(content) +
      (toolCalls ? countTokens(JSON.stringify(toolCalls)) : 0) +
      MESSAGE_OVERHEAD,
    0,
  );
}

/** The first passages that fit; a retriever that overspends does not overflow the prompt. */
export function fittingPassages(
  passages: readonly ContextPassage[],
  budget: number,
  countTokens: CountTokens,
): readonly ContextPassage[] {
  let left = budget;
  return passages.filter((passage) => {
    const cost = passageTokens([passage], countTokens);
    if (cost > left) return false;
    left -= cost;
    return true;
  });
}

/**
 * The same with fewer messages, for a model whose context the prompt exceeded: the last three, the passages of memory
 * that stand for them, and half of what retrieval found. The summary stays.
 */
export function shorten(prepared: Prepared, countTokens: CountTokens): Prepared {
  const messages = prepared.memory.messages.slice(-FEWEST_MESSAGES);
  const { cited, shown } = memoryPassages({ ...prepared.memory, messages });
  const memory = { ...prepared.memory, messages, recalled: [] };
  const half = passageTokens(prepared.found, countTokens) / 2;
  return {
    ...prepared,
    memory,
    history: chatHistory(messages),
    remembered: [...cited.filter(({ kind }) => kind === 'summary'), ...shown],
    found: fittingPassages(prepared.found, half, countTokens),
  };
}

/**
 * Recent messages as the model reads them, user and assistant in turns: many chat templates refuse anything
 * else, and a question that failed or is still being answered has no answer to show.
 */
export function chatHistory(messages: MemoryContext['messages']): readonly ChatMessage[] {
  const history: ChatMessage[] = [];
  const push = (role: 'user' | 'assistant', content: string) => {
    const previous = history.at(-1)?.role ?? 'assistant';
    if (previous === role)
      history.push(
        role === 'user'
          ? { role: 'assistant', content: '(No answer was given.)' }
          : { role: 'user', content: '(Earlier message.)' },
      );
    history.push({ role, content });
  };
  for (const { role, text } of messages) if (role !== 'tool') push(role, text);
  if (history.at(-1)?.role === 'user') history.push({ role: 'assistant', content: '(No answer was given.)' });
  return history;
}

/** What the newest answered turn in memory was about, or else its newest question. */
export function previousTurn(memory: MemoryContext): PreviousTurn | undefined {
  for (const message of [...memory.messages].reverse()) {
    if (message.role === 'user') return { query: message.text, linked: [] };
    if (message.role !== 'assistant' || message.metadata.cancelled === true) continue;
    const { retrieval } = readAnswerMetadata(message.metadata);
    if (retrieval.query !== '' || retrieval.linked.length > 0) return retrieval;
  }
  return undefined;
}
