import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { ConcurrencyModuleOptions } from './concurrency.options.js';

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<ConcurrencyModuleOptions>({ moduleName: 'Concurrency' })
    .setClassMethodName('forRoot')
    .setExtras({ isGlobal: true }, (definition, { isGlobal }) => ({ ...definition, global: isGlobal }))
    .build();
