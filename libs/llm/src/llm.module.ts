import { Inject, Module, type OnModuleDestroy } from '@nestjs/common';
import { Clock, Random, SystemClock, SystemRandom } from '@sparkle/contracts';
import { LocalEmbeddingModel } from './adapters/local/local-embedding.model.js';
import { LocalExtractiveChatModel } from './adapters/local/local-extractive-chat.model.js';
import { OpenAICompatibleChatModel } from './adapters/openai-compatible/openai-compatible-chat.model.js';
import { OpenAICompatibleEmbeddingModel } from './adapters/openai-compatible/openai-compatible-embedding.model.js';
import { CachedEmbeddingModel } from './core/cached-embedding.model.js';
import { ResilientChatModel } from './core/resilient-chat.model.js';
import { ResilientEmbeddingModel } from './core/resilient-embedding.model.js';
import { ConfigurableModuleClass, LLM_OPTIONS } from './llm.module-definition.js';
import { type LlmModuleOptions, parseLlmOptions, type ResolvedLlmOptions } from './llm.options.js';
import { ChatModel } from './ports/chat-model.port.js';
import { EmbeddingModel } from './ports/embedding-model.port.js';
import { ModelAdmission } from './ports/model-admission.port.js';

const RESOLVED_OPTIONS = Symbol('ResolvedLlmOptions');
const BASE_EMBEDDING_MODEL = Symbol('BaseEmbeddingModel');

type BaseEmbeddingModel = LocalEmbeddingModel | OpenAICompatibleEmbeddingModel;

/** Parts that are the same for every model of the module; the application may provide its own. */
interface Surroundings {
  readonly clock: Clock;
  readonly random: Random;
}

function buildChatModel(
  { chat }: ResolvedLlmOptions,
  admission: ModelAdmission | undefined,
  surroundings: Surroundings,
): ChatModel {
  const admitted = { ...surroundings, ...(admission && { admission }) };
  if (chat.kind === 'local') return new ResilientChatModel(new LocalExtractiveChatModel(), admitted);
  const { fallbacks, fallbackToLocal, resilience, kind: _, ...primary } = chat;
  const remote = (options: (typeof fallbacks)[number]) =>
    new OpenAICompatibleChatModel({ ...withoutUndefined(options), clock: surroundings.clock });
  return new ResilientChatModel(remote(primary), {
    ...resilience,
    ...admitted,
    fallbacks: [...fallbacks.map(remote), ...(fallbackToLocal ? [new LocalExtractiveChatModel()] : [])],
  });
}

function buildBaseEmbeddingModel({ embedding }: ResolvedLlmOptions, clock: Clock): BaseEmbeddingModel {
  if (embedding.kind === 'local') return new LocalEmbeddingModel({ threads: embedding.threads });
  const { kind: _, resilience: __, pricePerMillion: ___, ...options } = embedding;
  return new OpenAICompatibleEmbeddingModel({ ...withoutUndefined(options), clock });
}

function buildEmbeddingModel(
  options: ResolvedLlmOptions,
  base: BaseEmbeddingModel,
  admission: ModelAdmission | undefined,
  surroundings: Surroundings,
): EmbeddingModel {
  const { embedding, embeddingCacheEntries } = options;
  // The local model costs nothing and is bounded by its threads, so it asks nobody.
  const model = new ResilientEmbeddingModel(
    base,
    embedding.kind === 'local'
      ? { ...surroundings, maxAttempts: 1 }
      : {
          ...surroundings,
          ...embedding.resilience,
          pricePerMillion: embedding.pricePerMillion,
          ...(admission && { admission }),
        },
  );
  return embeddingCacheEntries === 0
    ? model
    : new CachedEmbeddingModel(model, { maxEntries: embeddingCacheEntries });
}

/** Optional properties are left out rather than set to `undefined`. */
function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as T;
}

/**
 * Provides {@link ChatModel} and {@link EmbeddingModel} as configured. `Clock`, `Random` and
 * {@link ModelAdmission} are taken from the application when a global module provides them.
 */
@Module({
  providers: [
    {
      provide: RESOLVED_OPTIONS,
      useFactory: (options: LlmModuleOptions) => parseLlmOptions(options),
      inject: [LLM_OPTIONS],
    },
    {
      provide: ChatModel,
      useFactory: (
        options: ResolvedLlmOptions,
        admission?: ModelAdmission,
        clock: Clock = new SystemClock(),
        random: Random = new SystemRandom(),
      ) => buildChatModel(options, admission, { clock, random }),
      inject: [
        RESOLVED_OPTIONS,
        { token: ModelAdmission, optional: true },
        { token: Clock, optional: true },
        { token: Random, optional: true },
      ],
    },
    {
      provide: BASE_EMBEDDING_MODEL,
      useFactory: (options: ResolvedLlmOptions, clock: Clock = new SystemClock()) =>
        buildBaseEmbeddingModel(options, clock),
      inject: [RESOLVED_OPTIONS, { token: Clock, optional: true }],
    },
    {
      provide: EmbeddingModel,
      useFactory: (
        options: ResolvedLlmOptions,
        base: BaseEmbeddingModel,
        admission?: ModelAdmission,
        clock: Clock = new SystemClock(),
        random: Random = new SystemRandom(),
      ) => buildEmbeddingModel(options, base, admission, { clock, random }),
      inject: [
        RESOLVED_OPTIONS,
        BASE_EMBEDDING_MODEL,
        { token: ModelAdmission, optional: true },
        { token: Clock, optional: true },
        { token: Random, optional: true },
      ],
    },
  ],
  exports: [ChatModel, EmbeddingModel],
})
export class LlmModule extends ConfigurableModuleClass implements OnModuleDestroy {
  constructor(@Inject(BASE_EMBEDDING_MODEL) private readonly embedding: BaseEmbeddingModel) {
    super();
  }

  /** Stops the worker threads of the local embedding model. */
  async onModuleDestroy(): Promise<void> {
    if (this.embedding instanceof LocalEmbeddingModel) await this.embedding.close();
  }
}
