import { Global, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Clock, parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LlmBudgetExceededError } from './errors.js';
import { LlmModule } from './llm.module.js';
import type { LlmModuleOptions } from './llm.options.js';
import { ChatModel } from './ports/chat-model.port.js';
import { EmbeddingModel } from './ports/embedding-model.port.js';
import { ModelAdmission } from './ports/model-admission.port.js';
import { OpenAiServer } from './testing/openai-server.js';

const tenantId = parseTenantId('acme');
const request = { tenantId, messages: [{ role: 'user' as const, content: 'Why?' }] };

describe('LlmModule', () => {
  let server: OpenAiServer;
  beforeAll(async () => {
    server = await OpenAiServer.start();
  });
  afterAll(() => server.stop());

  it('provides local models without any option', async () => {
    const app = await Test.createTestingModule({ imports: [LlmModule.forRoot({})] }).compile();
    const chat = app.get<ChatModel>(ChatModel);
    const embedding = app.get<EmbeddingModel>(EmbeddingModel);
    expect([chat.id, chat.local, embedding.id, embedding.dimensions]).toEqual([
      'local-extractive',
      true,
      'local-use-512',
      512,
    ]);
    expect(await embedding.embed({ tenantId, texts: ['hello'] })).toHaveLength(1);
    await app.close();
    await expect(embedding.embed({ tenantId, texts: ['other'] })).rejects.toMatchObject({
      code: 'LLM_UNAVAILABLE',
    });
  });

  it('provides remote models from asynchronous options, and falls back to the local one', async () => {
    const app = await Test.createTestingModule({
      imports: [
        LlmModule.forRootAsync({
          useFactory: async (): Promise<LlmModuleOptions> => ({
            chat: {
              kind: 'openai-compatible',
              baseUrl: server.baseUrl,
              model: 'remote-chat',
              fallbackToLocal: true,
              resilience: { maxAttempts: 1 },
            },
            embedding: {
              kind: 'openai-compatible',
              baseUrl: server.baseUrl,
              model: 'remote-embed',
              dimensions: 8,
            },
          }),
        }),
      ],
    }).compile();
    const chat = app.get<ChatModel>(ChatModel);
    expect(await chat.generate(request)).toMatchObject({ model: 'remote-chat' });
    server.enqueue({ kind: 'status', status: 500 });
    expect(await chat.generate(request)).toMatchObject({ model: 'local-extractive', fallback: true });
    const [vector] = await app.get<EmbeddingModel>(EmbeddingModel).embed({ tenantId, texts: ['x'] });
    expect(vector).toHaveLength(8);
    await app.close();
  });

  it("takes the application's clock and admission", async () => {
    @Global()
    @Module({
      providers: [
        { provide: Clock, useValue: new TestClock() },
        {
          provide: ModelAdmission,
          useValue: { admit: () => Promise.reject(new LlmBudgetExceededError(1)) } satisfies ModelAdmission,
        },
      ],
      exports: [Clock, ModelAdmission],
    })
    class SurroundingsModule {}
    const app = await Test.createTestingModule({
      imports: [SurroundingsModule, LlmModule.forRoot({ isGlobal: true })],
    }).compile();
    await expect(app.get<ChatModel>(ChatModel).generate(request)).rejects.toMatchObject({
      code: 'LLM_BUDGET_EXCEEDED',
    });
    // The local embedding model costs nothing and is bounded by its threads.
    const local = app.get<EmbeddingModel>(EmbeddingModel);
    expect(await local.embed({ tenantId, texts: ['hello'] })).toHaveLength(1);
    await app.close();
    const remote = await Test.createTestingModule({
      imports: [
        SurroundingsModule,
        LlmModule.forRoot({
          embedding: {
            kind: 'openai-compatible',
            baseUrl: server.baseUrl,
            model: 'remote-embed',
            dimensions: 8,
          },
        }),
      ],
    }).compile();
    await expect(
      remote.get<EmbeddingModel>(EmbeddingModel).embed({ tenantId, texts: ['hello'] }),
    ).rejects.toMatchObject({ code: 'LLM_BUDGET_EXCEEDED' });
    await remote.close();
  });

  it('stops the start over wrong options, naming every path and no value', async () => {
    const wrong = {
      chat: { kind: 'openai-compatible', baseUrl: 'not-an-address', apiKey: 42, model: '' },
      embedding: { kind: 'local', threads: 99 },
      surprise: 'sk-secret',
    } as unknown as LlmModuleOptions;
    const start = Test.createTestingModule({ imports: [LlmModule.forRoot(wrong)] }).compile();
    const error = (await start.catch((caught: unknown) => caught)) as Error & { paths: string[] };
    expect(error).toMatchObject({ code: 'LLM_OPTIONS_INVALID' });
    for (const path of ['chat.baseUrl', 'chat.apiKey', 'chat.model', 'embedding.threads', 'surprise']) {
      expect(error.message).toContain(path);
    }
    expect(error.message).not.toMatch(/not-an-address|42|99|sk-secret/u);
  });
});
