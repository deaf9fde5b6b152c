import { setTimeout as sleep } from 'node:timers/promises';
import type { INestApplicationContext } from '@nestjs/common';
import {
  ChatOrchestrator,
  CONVERSATION_OPTIONS,
  type ConversationOptions,
  MemoryService,
  type TurnRequest,
} from '@sparkle/conversation';
import { Database } from '@sparkle/database';
import { type ChatChunk, ChatModel, type ChatRequest } from '@sparkle/llm';

/** Long enough for a claim of {@link LEASE_MS} to be renewed twice. */
const SILENT_MS = 1_000;
const LEASE_MS = 1_000;

/** Says half a sentence and then nothing for a while. */
class HesitantModel implements ChatModel {
  readonly id = 'hesitant';
  readonly local = true;

  constructor(private readonly model: ChatModel) {}

  generate(request: ChatRequest) {
    return this.model.generate(request);
  }

  async *stream(): AsyncIterable<ChatChunk> {
    yield { type: 'text', text: 'A gradient is' };
    await sleep(SILENT_MS);
    yield { type: 'text', text: ' a slope.' };
  }

  countTokens(text: string): number {
    return this.model.countTokens(text);
  }
}

/**
 * A client that leaves in the middle of an answer: the claim is renewed while the model is silent, a second
 * request with the same key is refused, the half answer is stored, and a retry replaces it.
 */
export async function interruptTurn(app: INestApplicationContext, turn: TurnRequest): Promise<void> {
  const options = app.get<ConversationOptions>(CONVERSATION_OPTIONS);
  const hesitant = new ChatOrchestrator(
    app.get(Database),
    new HesitantModel(app.get(ChatModel)),
    app.get(MemoryService),
    { ...options, turn: { ...options.turn, leaseMs: LEASE_MS } },
  );
  let spoken = false;
  for await (const event of hesitant.replyStream(turn)) {
    if (event.type !== 'delta') continue;
    if (spoken) break;
    spoken = true;
    await app
      .get(ChatOrchestrator)
      .reply(turn)
      .catch(() => undefined);
  }
  await app.get(ChatOrchestrator).reply(turn);
}
