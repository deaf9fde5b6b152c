import { Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Clock, SystemClock, SystemDatabase, TenantDatabase } from '@sparkle/contracts';
import { ChatModel, LocalExtractiveChatModel } from '@sparkle/llm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ChatOrchestrator,
  CONVERSATION_OPTIONS,
  ConversationModule,
  ConversationOptionsInvalidError,
  ConversationService,
  MemoryService,
  Retriever,
  SummaryService,
} from '../src/index.js';
import { ScriptedRetriever } from '../src/testing/index.js';
import { Fixture } from './fixture.js';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.open();
});
afterAll(async () => {
  await fixture?.db.drop();
});

function platform() {
  const { database } = fixture.db;
  @Module({
    providers: [
      { provide: TenantDatabase, useValue: database },
      { provide: SystemDatabase, useValue: database },
      { provide: ChatModel, useValue: new LocalExtractiveChatModel() },
      { provide: Clock, useClass: SystemClock },
    ],
    exports: [TenantDatabase, SystemDatabase, ChatModel, Clock],
  })
  class Platform {}
  return Platform;
}

describe('the module', () => {
  it('answers with the platform it is given, the retriever it is given, and the local model', async () => {
    const retriever = new ScriptedRetriever();
    retriever.passages = [
      {
        id: 'c1',
        kind: 'chunk',
        text: 'Entropy measures the disorder of a system.',
        title: 'Thermodynamics',
      },
    ];
    const app = await Test.createTestingModule({
      imports: [
        ConversationModule.forRoot({
          memory: { window: 8 },
          imports: [platform()],
          adapters: [{ provide: Retriever, useValue: retriever }],
        }),
      ],
    }).compile();
    const owner = { tenantId: fixture.tenantId, userId: 'ada' };
    const { id } = await app.get(ConversationService).create(owner);
    const turn = await app
      .get(ChatOrchestrator)
      .reply({ ...owner, conversationId: id, content: 'What does entropy measure?' });
    expect(turn).toMatchObject({
      answer: 'Entropy measures the disorder of a system. [c1]',
      citations: [{ id: 'c1' }],
      model: 'local-extractive',
    });
    expect(app.get(CONVERSATION_OPTIONS).memory.window).toBe(8);
    expect(await app.get(SummaryService).warmupCandidates()).toEqual([]);
    await app.close();
  });

  it('works without a retriever, from what the user said, also once only a summary is left of it', async () => {
    const app = await Test.createTestingModule({
      imports: [
        ConversationModule.forRootAsync({
          imports: [platform()],
          useFactory: async () => ({ turn: { maxOutputTokens: 100 } }),
        }),
      ],
    }).compile();
    const owner = { tenantId: fixture.tenantId, userId: 'ada' };
    const { id } = await fixture.conversation(40, (seq) =>
      seq === 1 ? 'My favourite planet is Saturn.' : `We talk about topic ${'abcdefghij'[seq % 10]}.`,
    );
    const ask = { ...owner, conversationId: id, content: 'What is my favourite planet?' };
    expect((await app.get(SummaryService).process({ ...owner, conversationId: id })).made).toBe(1);
    const turn = await app.get(ChatOrchestrator).reply(ask);
    expect(turn.memory.strategy).toBe('summary-window');
    expect(turn.answer).toContain('Saturn');
    expect(turn.citations).toMatchObject([
      { id: 'S1', kind: 'summary', quote: 'User: My favourite planet is Saturn.' },
    ]);
    expect(app.get(MemoryService)).toBeInstanceOf(MemoryService);
    await app.close();
  });

  it('stops the start on wrong options, naming each', async () => {
    const start = Test.createTestingModule({
      imports: [ConversationModule.forRoot({ maxPage: 0, maxMessageChars: -1, imports: [platform()] })],
    }).compile();
    await expect(start).rejects.toThrow(ConversationOptionsInvalidError);
    await expect(start).rejects.toThrow(/maxMessageChars.*maxPage/s);
  });
});
