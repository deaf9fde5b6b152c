import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { LlmModuleOptions } from './llm.options.js';

export const {
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN: LLM_OPTIONS,
  OPTIONS_TYPE,
  ASYNC_OPTIONS_TYPE,
} = new ConfigurableModuleBuilder<LlmModuleOptions>({ moduleName: 'Llm' })
  .setClassMethodName('forRoot')
  .setExtras({ isGlobal: false }, (definition, { isGlobal }) => ({ ...definition, global: isGlobal }))
  .build();
