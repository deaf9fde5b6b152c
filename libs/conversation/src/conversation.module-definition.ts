import { ConfigurableModuleBuilder, type ModuleMetadata, type Provider } from '@nestjs/common';
import type { ConversationModuleOptions } from './conversation.options.js';

/** Beside the options: where the ports come from. */
export interface ConversationModuleExtras {
  /** Default true: other modules inject the services without importing this one. */
  isGlobal?: boolean;
  /** Modules that export what this one needs: `TenantDatabase`, `ChatModel`, `Clock`, … Global ones need not be named. */
  imports?: ModuleMetadata['imports'];
  /** Adapters of the optional ports: `Retriever`, `Admission`, `SummaryRequests`, `SummaryCache`, `SystemDatabase`. */
  adapters?: Provider[];
}

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<ConversationModuleOptions>({ moduleName: 'Conversation' })
    .setClassMethodName('forRoot')
    .setExtras<ConversationModuleExtras>(
      { isGlobal: true, imports: [], adapters: [] },
      (definition, extras) => ({
        ...definition,
        global: extras.isGlobal ?? true,
        imports: [...(definition.imports ?? []), ...(extras.imports ?? [])],
        providers: [...(definition.providers ?? []), ...(extras.adapters ?? [])],
      }),
    )
    .build();
