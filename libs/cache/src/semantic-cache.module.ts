import { ConfigurableModuleBuilder, Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CacheService } from './core/cache.service.js';
import type { QuestionEmbedder } from './ports/question-embedder.port.js';
import type { SemanticStore } from './ports/semantic-store.port.js';
import { SemanticCache } from './semantic/semantic.cache.js';
import type { SemanticCacheOptionsInput } from './semantic/semantic-cache.options.js';

export interface SemanticCacheModuleOptions {
  readonly store: SemanticStore;
  readonly embedder: QuestionEmbedder;
  readonly options?: SemanticCacheOptionsInput;
}

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } =
  new ConfigurableModuleBuilder<SemanticCacheModuleOptions>({ moduleName: 'SparkleSemanticCache' })
    .setClassMethodName('forRoot')
    .setExtras({ isGlobal: true }, (definition, { isGlobal }) => ({ ...definition, global: isGlobal }))
    .build();

/** Provides {@link SemanticCache}. Needs `CacheModule.forRoot` in the application. */
@Module({
  providers: [
    {
      provide: SemanticCache,
      useFactory: (cache: CacheService, { store, embedder, options }: SemanticCacheModuleOptions) =>
        new SemanticCache({ cache, store, embedder }, options),
      inject: [CacheService, MODULE_OPTIONS_TOKEN],
    },
  ],
  exports: [SemanticCache],
})
export class SemanticCacheModule extends ConfigurableModuleClass implements OnApplicationShutdown {
  constructor(@Inject(SemanticCache) private readonly semantic: SemanticCache) {
    super();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.semantic.drain();
  }
}
