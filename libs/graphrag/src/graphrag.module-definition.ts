import { ConfigurableModuleBuilder, type ModuleMetadata, type Provider } from '@nestjs/common';
import type { GraphragOptionsInput } from './graphrag.options.js';

/** Beside the options: where the ports come from. */
export interface GraphragModuleExtras {
  /** Default true: other modules inject the services without importing this one. */
  isGlobal?: boolean;
  /** Modules that export what this one needs: `TenantDatabase`, `ChatModel`, … Global ones need not be named. */
  imports?: ModuleMetadata['imports'];
  /** Adapters: `JobQueue`, unless a global module provides it; `Extractor` and `SystemDatabase` to replace the defaults. */
  adapters?: Provider[];
}

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<GraphragOptionsInput>({ moduleName: 'Graphrag' })
    .setClassMethodName('forRoot')
    .setExtras<GraphragModuleExtras>({ isGlobal: true, imports: [], adapters: [] }, (definition, extras) => ({
      ...definition,
      global: extras.isGlobal ?? true,
      imports: [...(definition.imports ?? []), ...(extras.imports ?? [])],
      providers: [...(definition.providers ?? []), ...(extras.adapters ?? [])],
    }))
    .build();
