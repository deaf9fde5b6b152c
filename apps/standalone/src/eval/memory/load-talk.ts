import type { INestApplicationContext } from '@nestjs/common';
import { ConversationService, SummaryService } from '@sparkle/conversation';
import { EVALUATOR } from '../embedded-product.js';
import type { Talk, TalkMessage } from './talk.js';

/** A talk in the product's store, its message `seq` being the data's message `seq`. */
export interface LoadedTalk extends Talk {
  readonly conversationId: string;
  unitOf(seq: number): string;
  /**
   * Units a summary holds something of, newest first: those with a sentence that stands in it word for word, in the
   * prose or as a note. The local summariser copies sentences, so nothing else of it can be attributed.
   */
  unitsIn(summary: string): readonly string[];
}

/** Messages between two looks at whether a summary is due. */
const STEP = 10;
/** A shorter sentence stands anywhere. */
const MIN_SENTENCE = 8;

/**
 * Appends a talk, message by message, with the dates it was held on; whenever a summary is due, it is made, as the
 * worker does.
 */
export async function loadTalk(app: INestApplicationContext, talk: Talk): Promise<LoadedTalk> {
  const { tenantId, userId } = EVALUATOR;
  const conversations = app.get(ConversationService);
  const summaries = app.get(SummaryService);
  const { id: conversationId } = await conversations.create({ tenantId, userId });
  for (const [index, { role, content, at }] of talk.messages.entries()) {
    await conversations.append({ tenantId, userId, conversationId, role, content, createdAt: at });
    if ((index + 1) % STEP === 0) await summaries.process({ tenantId, conversationId });
    if ((index + 1) % 100 === 0)
      process.stderr.write(`\reval: ${talk.name}: ${index + 1} of ${talk.messages.length} messages`);
  }
  await summaries.process({ tenantId, conversationId });
  process.stderr.write(`\reval: ${talk.name}: ${talk.messages.length} messages\n`);
  const sentences = talk.messages.map(sentencesOf);
  const attributed = new Map<string, readonly string[]>();
  return {
    ...talk,
    conversationId,
    unitOf: (seq) => talk.messages[seq - 1]!.unit,
    unitsIn: (summary) => {
      const known = attributed.get(summary);
      if (known) return known;
      const units = talk.messages.flatMap(({ unit }, at) =>
        sentences[at]!.some((sentence) => summary.includes(sentence)) ? [unit] : [],
      );
      const found = [...new Set(units.reverse())];
      attributed.set(summary, found);
      return found;
    },
  };
}

function sentencesOf({ content }: TalkMessage): readonly string[] {
  return content
    .split(/(?<=[.!?])\s+|(?<=[。！？；])|\n+/u)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence.length >= MIN_SENTENCE);
}
