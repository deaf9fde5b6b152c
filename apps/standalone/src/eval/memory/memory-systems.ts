import type { INestApplicationContext } from '@nestjs/common';
import { Clock, TenantDatabase } from '@sparkle/contracts';
import {
  CONVERSATION_OPTIONS,
  type ConversationOptions,
  ConversationService,
  type MemoryContext,
  MemoryService,
  SummaryCache,
} from '@sparkle/conversation';
import { ChatModel, EmbeddingModel } from '@sparkle/llm';
import { EVALUATOR } from '../embedded-product.js';
import type { LoadedTalk } from './load-talk.js';

/** What a system gives a model for one question. */
export interface Remembered {
  /** Units in the order they are given, each once. */
  readonly units: readonly string[];
  readonly tokens: number;
}

/** Decides what a model gets of a talk's messages before `before`. */
export type MemorySystem = (talk: LoadedTalk, question: string, before: number) => Promise<Remembered>;

/** Tokens a chat format spends around one message, as the product counts. */
const MESSAGE_OVERHEAD = 4;
/** More than any list that is measured. */
const RANKED = 40;
const NEVER = Number.MAX_SAFE_INTEGER;

/**
 * The strategies of the product, each by its own code: the recent window alone; summary and half a window whatever
 * the length; recall alone, as a ranking without a budget; and `combined`, which is what an answer gets. `combined-50`
 * is the product with recall from 50 messages on instead of above 200. `full` is the whole talk.
 */
export function memorySystems(app: INestApplicationContext): Readonly<Record<string, MemorySystem>> {
  const options = app.get<ConversationOptions>(CONVERSATION_OPTIONS);
  const model = app.get<ChatModel>(ChatModel);
  const productWith = (memory: Partial<ConversationOptions['memory']>) =>
    new MemoryService(
      app.get(TenantDatabase),
      model,
      { ...options, memory: { ...options.memory, ...memory } },
      app.get(Clock),
      app.get(EmbeddingModel),
      app.get(SummaryCache),
    );
  const product = app.get(MemoryService);
  const costOf = (text: string) => model.countTokens(text) + MESSAGE_OVERHEAD;

  const assembled =
    (memory: MemoryService): MemorySystem =>
    async (talk, question, before) => {
      const context = await memory.assemble({
        tenantId: EVALUATOR.tenantId,
        conversationId: talk.conversationId,
        question,
        tokenBudget: options.turn.memoryTokens,
        beforeSeq: before,
      });
      return { units: unitsOf(talk, context), tokens: context.tokens };
    };

  return {
    window: async (talk, _question, before) => {
      const { items } = await app.get(ConversationService).messages({
        tenantId: EVALUATOR.tenantId,
        userId: EVALUATOR.userId,
        conversationId: talk.conversationId,
        cursor: Math.max(0, before - 1 - options.memory.window),
        limit: options.memory.window,
      });
      const shown = items.filter(({ seq }) => seq < before).reverse();
      return {
        units: distinct(shown.map(({ seq }) => talk.unitOf(seq))),
        tokens: shown.reduce((sum, { content }) => sum + costOf(content), 0),
      };
    },
    'summary-window': assembled(productWith({ recallAbove: NEVER })),
    recall: async (talk, question, before) => {
      const { found } = await product.search({
        tenantId: EVALUATOR.tenantId,
        conversationId: talk.conversationId,
        question,
        beforeSeq: before,
        limit: RANKED,
      });
      const tokens = found
        .slice(0, options.memory.recallLimit)
        .reduce((sum, seq) => sum + costOf(talk.messages[seq - 1]!.content), 0);
      return { units: distinct(found.map((seq) => talk.unitOf(seq))), tokens };
    },
    combined: assembled(product),
    'combined-50': assembled(productWith({ recallAbove: options.memory.summaryFrom })),
    full: async (talk, _question, before) => {
      const shown = talk.messages.slice(0, before - 1).reverse();
      return {
        units: distinct(shown.map(({ unit }) => unit)),
        tokens: shown.reduce((sum, { content }) => sum + costOf(content), 0),
      };
    },
  };
}

/** Recalled messages as ranked, then the window, newest first, then what the summary holds, newest first. */
function unitsOf(talk: LoadedTalk, { recalled, messages, summary }: MemoryContext): readonly string[] {
  return distinct([
    ...recalled.map(({ seq }) => talk.unitOf(seq)),
    ...[...messages].reverse().map(({ seq }) => talk.unitOf(seq)),
    ...(summary ? talk.unitsIn(summary.text) : []),
  ]);
}

function distinct(units: readonly string[]): readonly string[] {
  return [...new Set(units)];
}
