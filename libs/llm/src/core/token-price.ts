import type { ChatModel, ChatRequest, TokenPrice } from '../ports/chat-model.port.js';

/** What a message costs beside its text: its role and its delimiters. */
const TOKENS_PER_MESSAGE = 4;

/** US dollars for tokens at a price; 0 without one. */
export function costOf(price: TokenPrice | undefined, inputTokens: number, outputTokens: number): number {
  if (!price) return 0;
  return (inputTokens * price.inputPerMillion + outputTokens * price.outputPerMillion) / 1_000_000;
}

/** Tokens of a prompt as `model` counts them: messages, tool calls in them, and the tools on offer. */
export function promptTokens(
  model: Pick<ChatModel, 'countTokens'>,
  { messages, tools = [] }: Pick<ChatRequest, 'messages' | 'tools'>,
): number {
  let total = 0;
  for (const { content, toolCalls = [] } of messages) {
    total += model.countTokens(content) + TOKENS_PER_MESSAGE;
    for (const { name, arguments: input } of toolCalls)
      total += model.countTokens(name) + model.countTokens(JSON.stringify(input) ?? '') + TOKENS_PER_MESSAGE;
  }
  for (const { name, description, parameters } of tools)
    total += model.countTokens(`${name} ${description} ${JSON.stringify(parameters)}`) + TOKENS_PER_MESSAGE;
  return total;
}
